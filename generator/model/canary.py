"""How a release ships in stages: the values of a spec's `canary` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator.model import policy
from generator.model.ab import AbTest
from generator.model.canary_gate import CanaryGate
from generator.model.command import Command
from generator.model.traffic import Traffic


class NoData(Struct, frozen=True, kw_only=True):
    """What happens while gates have no data: hold for `hold_for_ms`, then do `then`."""

    hold_for_ms: int
    then: str  # "abort" or "hold"


class Approval(Struct, frozen=True, kw_only=True):
    """A person must agree. Without an answer within `within_ms`, the engine does `then`; None waits for ever."""

    within_ms: int | None
    then: str  # "hold" or "abort"


class Ask(Struct, frozen=True, kw_only=True):
    """Who must say yes: the go/no-go gate, a person, or both."""

    gate: bool = False
    approval: Approval | None = None


class Daily(Struct, frozen=True, kw_only=True):
    """The same question each day. `at` are times of day such as `08:00`, in the time zone `zone`."""

    at: tuple[str, ...]
    zone: str
    gate: bool
    approval: Approval | None


class Tracks(Struct, frozen=True, kw_only=True):
    """Label values for which `$canary` and `$stable` stand in queries."""

    canary: str
    stable: str


class Stage(Struct, frozen=True, kw_only=True):
    """One share of traffic, and how long it is watched. `soak` marks the last stage, after all traffic has moved."""

    weight: Decimal
    bake_ms: int
    soak_ms: int
    then: Ask | None
    daily: Daily | None
    ab: AbTest | None
    position: Position


class Canary(Struct, frozen=True, kw_only=True):
    """The `canary` section."""

    deploy: Command | None
    release: Command | None
    traffic: Traffic | None
    start: Ask | None
    every_ms: int
    no_data: NoData
    stages: tuple[Stage, ...]
    gates: tuple[CanaryGate, ...]
    confidence: Decimal | None
    evidence: Decimal | None  # how sure a stage must be that the release is not bad; None: not at all
    variance_inflation: Decimal
    requests_per_second: Decimal | None  # of the whole service, when traffic is low; None: not stated
    tracks: Tracks | None
    abort_on: tuple[policy.Trigger, ...]
    on_abort: tuple[str, ...]
    position: Position


def asks_gate(canary: Canary) -> bool:
    """Whether any step asks the go/no-go gate."""
    asks = [canary.start, *(ask for stage in canary.stages for ask in (stage.then, stage.daily))]
    return any(ask is not None and ask.gate for ask in asks)
