"""The report of one rollout as values that a page can show. `release.show.page` makes the report.

The receiver never imports `release`, so whoever starts the receiver hands in the function that makes reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from msgspec import Struct


class Asked(Struct, frozen=True, kw_only=True):
    """What a gate asked Prometheus: each query with its name in the policy. Without queries, a program sent values."""

    gate: str
    queries: Sequence[tuple[str, str]]
    window: str


class Counted(Struct, frozen=True, kw_only=True):
    """How often a gate said what in one stage, and its last measurement there. Stages count from 1."""

    stage: int
    gate: str
    passed: int
    breached: int
    inconclusive: int
    value: str
    bound: str
    why: str


class Line(Struct, frozen=True, kw_only=True):
    """Values over time, as a graph draws them, with the newest bound: the most or the least that is good."""

    name: str
    unit: str
    points: Sequence[tuple[float, Decimal]]
    bound: Decimal | None
    at_least: bool


class Measurement(Struct, frozen=True, kw_only=True):
    """One measurement in words."""

    at: str
    stage: int
    gate: str
    verdict: str
    value: str
    bound: str
    samples: str
    why: str


class Happened(Struct, frozen=True, kw_only=True):
    """Something that changed the rollout, and where the rollout stood afterwards."""

    at: float
    what: str
    phase: str
    stage: int


class AbResult(Struct, frozen=True, kw_only=True):
    """The A/B test of one stage: the answer in words, a table with a row for each metric, and each metric's looks."""

    stage: int
    said: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[Line]


class RolloutReport(Struct, frozen=True, kw_only=True):
    """Everything that a person may want to know of one rollout. `measurements` are the newest of `measured`.

    `broken` is the first damaged step of the record; None if the record is whole. `markdown` is for a file.
    """

    service: str
    id: str
    release: str
    stable: str
    phase: str
    why: str
    begun_at: float
    ended_at: float | None
    stage: int
    stages: int
    asked: Sequence[Asked]
    counted: Sequence[Counted]
    lines: Sequence[Line]
    happened: Sequence[Happened]
    tests: Sequence[AbResult]
    measurements: Sequence[Measurement]
    measured: int
    broken: int | None
    markdown: str


Reporter = Callable[[str, str], RolloutReport | None]
"""The report of a service's rollout, by the rollout's id; None where nobody knows the rollout.

Reads a database, so call a reporter in a thread. Raises `receiver.rollouts.RolloutsError`.
"""


def no_report(_service: str, _rollout: str) -> None:
    """The reporter of a receiver that was started without one: nobody knows any rollout."""
