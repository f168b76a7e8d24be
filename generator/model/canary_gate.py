"""What is measured while a rollout goes on: the values of `canary.gates`."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from freezeline.problems import Position
from generator.promql.text import Selector


class RatioMeasure(Struct, frozen=True, kw_only=True):
    """The share of bad events. With `good`, `counted` selects the good events, and the others are bad."""

    KIND: ClassVar[str] = "ratio"

    counted: Selector
    total: Selector
    good: bool


class QuantileMeasure(Struct, frozen=True, kw_only=True):
    """A quantile of a histogram. "p95 ≤ 800 ms" means: at most 5 % of the observations are above 0.8 s."""

    KIND: ClassVar[str] = "quantile"

    histogram: Selector
    quantile: Decimal
    native: bool


class QueryMeasure(Struct, frozen=True, kw_only=True):
    """A query of the user's own. `samples` counts the events behind the value; empty: the value stands for itself."""

    KIND: ClassVar[str] = "query"

    query: str
    samples: str


class PushedMeasure(Struct, frozen=True, kw_only=True):
    """Values that another program sends to the receiver's API."""

    KIND: ClassVar[str] = "push"


Measure = RatioMeasure | QuantileMeasure | QueryMeasure | PushedMeasure


class CanaryGate(Struct, frozen=True, kw_only=True):
    """A measurement that aborts after `consecutive` breaches in a row.

    `value` is the bound, in the unit of the query; None if the gate only compares both releases. `at_most_times` is
    that comparison: the canary's value may be this many times the stable release's value. Breaches of a row lie at
    least `spaced_ms` apart. `unit` is that of the values, for people.
    """

    id: str
    measure: Measure
    over_ms: int  # the window of each measurement; 0 if the value has no window
    op: str  # "<=" or ">=": the comparison that must hold
    value: Decimal | None
    at_most_times: Decimal | None
    consecutive: int
    spaced_ms: int
    min_samples: int
    on_breach: str  # "abort" or "hold"
    unit: str  # "ratio", "seconds", "milliseconds", or "" for a bare number
    position: Position


def allowed_share(gate: CanaryGate) -> Decimal | None:
    """The share of bad events that a gate allows; None for gates that do not count events."""
    match gate.measure:
        case QuantileMeasure(quantile=quantile):
            return 1 - quantile
        case RatioMeasure(good=good) if gate.value is not None:
            return 1 - gate.value if good else gate.value
        case _:
            return None


def counts_events(gate: CanaryGate) -> bool:
    """Whether a gate counts events with a bound of its own, so that an A/B test can count them, too."""
    if isinstance(gate.measure, QuantileMeasure):
        return gate.value is not None and not gate.measure.native
    return isinstance(gate.measure, RatioMeasure)
