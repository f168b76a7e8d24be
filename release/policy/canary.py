"""The policy's `canary` as values: stages, measurements, and what an abort does. Weights are ratios."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from release.policy.gate import MatcherText


class Command(Struct, frozen=True, kw_only=True):
    """A command as an argument list."""

    command: tuple[str, ...]
    timeout_s: float


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
    timeout_s: float


class Traffic(Struct, frozen=True, kw_only=True):
    """The adapter that moves traffic: exactly one member is present."""

    haproxy: Haproxy | None = None
    commands: TrafficCommands | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """Who must say yes: the gate, or a person."""

    gate: bool = False
    approval: str = ""


class NoData(Struct, frozen=True, kw_only=True):
    """What happens while gates have no data: hold for `hold_for_s`, then do `then`."""

    hold_for_s: float
    then: Literal["abort", "hold"]


class AbTest(Struct, frozen=True, kw_only=True):
    """Statistics that compare both releases over a stage. `metrics` are SLOs; `confidence` and `power` are ratios."""

    metrics: tuple[str, ...]
    confidence: Decimal
    power: Decimal
    method: str
    then: Literal["approval", "advance"]


class Stage(Struct, frozen=True, kw_only=True):
    """One share of traffic, and how long the engine watches it. `soak_s` marks the last stage."""

    weight: Decimal
    bake_s: float = 0.0
    soak_s: float = 0.0
    then: Ask | None = None
    daily: Ask | None = None
    ab: AbTest | None = None


class CanaryGate(Struct, frozen=True, kw_only=True):
    """A measurement that aborts after `consecutive` breaches in a row."""

    id: str
    op: Literal["<=", ">="]
    value: Decimal
    consecutive: int
    query: str = ""
    source: str = ""


class Canary(Struct, frozen=True, kw_only=True):
    """How a release ships in stages."""

    every_s: float
    min_samples: int
    no_data: NoData
    stages: tuple[Stage, ...]
    gates: tuple[CanaryGate, ...] = ()
    abort_on: tuple[tuple[MatcherText, ...], ...] = ()
    on_abort: tuple[str, ...] = ()
    deploy: Command | None = None
    release: Command | None = None
    traffic: Traffic | None = None
    start: Ask | None = None
