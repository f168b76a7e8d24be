"""How a release ships in stages: the values of a spec's `canary` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator.model import policy
from generator.model.ab import AbTest
from generator.model.canary_gate import CanaryGate
from generator.model.command import Command
from generator.model.traffic import Haproxy, TrafficCommands


class NoData(Struct, frozen=True, kw_only=True):
    """What happens while gates have no data: hold for `hold_for_ms`, then do `then`."""

    hold_for_ms: int
    then: str  # "abort" or "hold"


class Ask(Struct, frozen=True, kw_only=True):
    """Who must say yes: the go/no-go gate, or a person."""

    gate: bool = False
    approval: str = ""  # "manual"


class Stage(Struct, frozen=True, kw_only=True):
    """One share of traffic, and how long it is watched. `soak` marks the last stage, after all traffic has moved."""

    weight: Decimal
    bake_ms: int
    soak_ms: int
    then: Ask | None
    daily: Ask | None
    ab: AbTest | None
    position: Position


class Canary(Struct, frozen=True, kw_only=True):
    """The `canary` section."""

    deploy: Command | None
    release: Command | None
    traffic: Haproxy | TrafficCommands | None
    start: Ask | None
    every_ms: int
    min_samples: int
    no_data: NoData
    stages: tuple[Stage, ...]
    gates: tuple[CanaryGate, ...]
    abort_on: tuple[policy.Trigger, ...]
    on_abort: tuple[str, ...]
    position: Position


def asks_gate(canary: Canary) -> bool:
    """Whether any step asks the go/no-go gate."""
    asks = [canary.start, *(ask for stage in canary.stages for ask in (stage.then, stage.daily))]
    return any(ask is not None and ask.gate for ask in asks)
