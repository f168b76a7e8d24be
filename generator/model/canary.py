"""How a release ships in stages: the values of a spec's `canary` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator.model import policy
from generator.model.command import Command


class Haproxy(Struct, frozen=True, kw_only=True):
    """Traffic by server weights through HAProxy's runtime socket."""

    socket: str
    backend: str
    stable: str
    canary: str


class TrafficCommands(Struct, frozen=True, kw_only=True):
    """Traffic by two commands. `set` gets the percentage as its last argument; `read` prints the percentage."""

    set: tuple[str, ...]
    read: tuple[str, ...]
    timeout_ms: int


class NoData(Struct, frozen=True, kw_only=True):
    """What happens while gates have no data: hold for `hold_for_ms`, then do `then`."""

    hold_for_ms: int
    then: str  # "abort" or "hold"


class Ask(Struct, frozen=True, kw_only=True):
    """Who must say yes: the go/no-go gate, or a person."""

    gate: bool = False
    approval: str = ""  # "manual"


class AbTest(Struct, frozen=True, kw_only=True):
    """Statistics that compare both versions over a stage. `metrics` are SLOs; `confidence` and `power` are ratios."""

    metrics: tuple[str, ...]
    confidence: Decimal
    power: Decimal
    method: str
    then: str


class Stage(Struct, frozen=True, kw_only=True):
    """One share of traffic, and how long it is watched. `soak` marks the last stage, after all traffic has moved."""

    weight: Decimal
    bake_ms: int
    soak_ms: int
    then: Ask | None
    daily: Ask | None
    ab: AbTest | None
    position: Position


class CanaryGate(Struct, frozen=True, kw_only=True):
    """A measurement that aborts after `consecutive` breaches in a row. Without a query, the API receives samples."""

    id: str
    query: str
    op: str  # "<=" or ">=": the comparison that must hold
    value: Decimal
    consecutive: int
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
