"""The policy's `canary` as values: stages, measurements, and what an abort does. Weights are ratios."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from receiver.policy.model import Matcher


class Command(Struct, frozen=True, kw_only=True):
    """A command as an argument list."""

    command: tuple[str, ...]
    timeout_s: float


class ChosenUsers(Struct, frozen=True, kw_only=True):
    """Users who get the canary whatever its weight: keys of the map in `map`, a file of HAProxy's configuration."""

    map: str
    values: tuple[str, ...]


class Haproxy(Struct, frozen=True, kw_only=True):
    """Traffic by server weights through HAProxy's runtime socket. `stable` and `canary` are the servers of a side."""

    socket: str
    backend: str
    stable: tuple[str, ...]
    canary: tuple[str, ...]
    users: ChosenUsers | None = None


class RenderedFile(Struct, frozen=True, kw_only=True):
    """Traffic by a file from a template. `read` prints the percentage that the running proxy uses.

    `cut` ends the canary's connections once the weight is 0. `users` are for the template.
    """

    template: str
    file: str
    reload: tuple[str, ...]
    read: tuple[str, ...]
    timeout_s: float = 10.0
    cut: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class TrafficCommands(Struct, frozen=True, kw_only=True):
    """Traffic by two commands. `set` gets the percentage as its last argument; `read` prints the percentage."""

    set: tuple[str, ...]
    read: tuple[str, ...]
    timeout_s: float


class Traffic(Struct, frozen=True, kw_only=True):
    """The adapter that moves traffic: exactly one member is present."""

    haproxy: Haproxy | None = None
    file: RenderedFile | None = None
    commands: TrafficCommands | None = None


class Approval(Struct, frozen=True, kw_only=True):
    """A person must agree. Without an answer within `within_s`, the engine does `then`; None waits for ever."""

    then: Literal["hold", "abort"]
    within_s: float | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """Who must say yes: the gate, a person, or both."""

    gate: bool = False
    approval: Approval | None = None


class Daily(Struct, frozen=True, kw_only=True):
    """The same question each day. `at` are times of day such as `08:00`, in the time zone `zone`."""

    at: tuple[str, ...]
    zone: str
    gate: bool = False
    approval: Approval | None = None


class Tracks(Struct, frozen=True, kw_only=True):
    """Label values for which `$canary` and `$stable` stand in queries."""

    canary: str
    stable: str


class NoData(Struct, frozen=True, kw_only=True):
    """What happens while gates have no data: hold for `hold_for_s`, then do `then`."""

    hold_for_s: float
    then: Literal["abort", "hold"]


class AbMetric(Struct, frozen=True, kw_only=True):
    """Counters of one metric, as selectors with `$canary`. Bad events are counted, or good ones (`good`)."""

    id: str
    total: str
    bad: str = ""
    good: str = ""


class AbTest(Struct, frozen=True, kw_only=True):
    """Statistics that compare both releases over a stage. All numbers but `variance_inflation` are ratios.

    `detect` is the smallest rise of a bad share that matters, relative to the stable release's share.
    """

    metrics: tuple[AbMetric, ...]
    confidence: Decimal
    power: Decimal
    detect: Decimal
    method: Literal["group-sequential", "anytime", "fixed-horizon"]
    assignment: Literal["request", "user"]
    then: Literal["approval", "advance"]
    variance_inflation: Decimal | None = None


class Stage(Struct, frozen=True, kw_only=True):
    """One share of traffic, and how long the engine watches it. `soak_s` marks the last stage."""

    weight: Decimal
    bake_s: float = 0.0
    soak_s: float = 0.0
    then: Ask | None = None
    daily: Daily | None = None
    ab: AbTest | None = None


class Proof(Struct, frozen=True, kw_only=True):
    """When counts prove a breach. `level` is the chance that a release at its very bound is found to break it.

    `stage_level` is the same for all windows of a stage together; None: a stage is not judged as a whole. Failures come
    in bursts, so counts vary more than independent events: `inflation` is the ratio of both variances. `pass_level` is
    the chance that a release with twice the allowed failures passes a stage; None: a stage needs no such evidence.
    """

    level: Decimal
    inflation: Decimal
    stage_level: Decimal | None = None
    pass_level: Decimal | None = None


class _Bound(Struct, frozen=True, kw_only=True):
    """What every measurement has. `value` is the bound; `at_most_times` the bound as a multiple of the stable value.

    The breaches of a row lie at least `spaced_s` apart. `unit` is that of values and bounds; "": unknown, or none.
    """

    id: str
    consecutive: int
    min_samples: int
    on_breach: Literal["abort", "hold"]
    op: Literal["<=", ">="] = "<="
    value: Decimal | None = None
    at_most_times: Decimal | None = None
    over_s: float = 0.0
    spaced_s: float = 0.0
    unit: Literal["", "ratio", "seconds", "milliseconds"] = ""


class RatioGate(_Bound, frozen=True, kw_only=True, tag_field="kind", tag="ratio"):
    """Queries that count bad events and all events over `over_s`. With `op` ">=", `value` bounds the good share."""

    bad: str
    total: str
    proof: Proof | None = None


class QuantileGate(_Bound, frozen=True, kw_only=True, tag_field="kind", tag="quantile"):
    """The share of observations above the bound, which may be 1 - `quantile`.

    `buckets` counts a classic histogram by `le`. For a native histogram, `above` and `total` count, and `above` holds
    `$bound`. `observed` gives the quantile for people, and the stable release's value for a comparison.
    """

    quantile: Decimal
    observed: str
    buckets: str = ""
    above: str = ""
    total: str = ""
    proof: Proof | None = None


class QueryGate(_Bound, frozen=True, kw_only=True, tag_field="kind", tag="query"):
    """A value that stands for itself, or for as many events as `samples` counts."""

    query: str
    samples: str = ""


class PushGate(_Bound, frozen=True, kw_only=True, tag_field="kind", tag="push"):
    """Values that another program sends to the receiver's API."""


CanaryGate = RatioGate | QuantileGate | QueryGate | PushGate


class Canary(Struct, frozen=True, kw_only=True):
    """How a release ships in stages."""

    every_s: float
    scrape_s: float
    no_data: NoData
    stages: tuple[Stage, ...]
    gates: tuple[CanaryGate, ...] = ()
    abort_on: tuple[tuple[Matcher, ...], ...] = ()
    on_abort: tuple[str, ...] = ()
    deploy: Command | None = None
    release: Command | None = None
    traffic: Traffic | None = None
    start: Ask | None = None
    tracks: Tracks | None = None
