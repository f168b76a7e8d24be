"""What must hold before a release ships: the values of a spec's `gate` section."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

from freezeline.problems import Position
from generator import names


class NotFrozen(Struct, frozen=True, kw_only=True):
    """The service's freeze flag is absent, and the receiver's heartbeat is fresh."""


class NoneFiring(Struct, frozen=True, kw_only=True):
    """No alert of the service with these labels is firing."""

    match: tuple[tuple[str, str], ...]


class BudgetLeft(Struct, frozen=True, kw_only=True):
    """At least this ratio of an SLO's budget is left."""

    slo: str
    at_least: Decimal


class RulesLoaded(Struct, frozen=True, kw_only=True):
    """Prometheus runs every rule of the spec."""


class ImagePinned(Struct, frozen=True, kw_only=True):
    """The image has a digest. `${NAME}` comes from the gate's environment."""

    image: str


class ScanClean(Struct, frozen=True, kw_only=True):
    """A Trivy report has at most these findings, is fresh, and is about the image of another check."""

    trivy: str
    at_most: tuple[tuple[str, int], ...]
    max_age_ms: int
    same_digest_as: str


class NoSecrets(Struct, frozen=True, kw_only=True):
    """A Gitleaks report has at most this many findings. `max_age_ms` None: the report's age does not count."""

    report: str
    at_most: int
    max_age_ms: int | None


class QueryWithin(Struct, frozen=True, kw_only=True):
    """A query stays within a bound. `unit` is that of the values, for people."""

    query: str
    op: str
    value: Decimal
    unit: str  # "ratio", "seconds", or "" for a bare number


FlagValue = bool | int | float | str


class FlagIs(Struct, frozen=True, kw_only=True):
    """What a feature flag must be in an evaluation context."""

    flag: str
    value: FlagValue
    context: Mapping[str, FlagValue]


class FlagsPresent(Struct, frozen=True, kw_only=True):
    """A JSON file holds these feature flags, and flags have these values."""

    flag_file: str
    present: tuple[str, ...]
    values: tuple[FlagIs, ...] = ()


class Rehearsed(Struct, frozen=True, kw_only=True):
    """The last rehearsal of a kind succeeded, is fresh, and kept its limits (`rto_at_most` → milliseconds).

    `connected_at_least` is the least share of streams that were connected and answered.
    """

    kind: str
    max_age_ms: int
    limits_ms: Mapping[str, int] = field(default_factory=dict)
    integrity: bool = False
    connected_at_least: Decimal | None = None


CheckKind = (
    NotFrozen
    | NoneFiring
    | BudgetLeft
    | RulesLoaded
    | ImagePinned
    | ScanClean
    | NoSecrets
    | QueryWithin
    | FlagsPresent
    | Rehearsed
)


class Check(Struct, frozen=True, kw_only=True):
    """One line of the checklist."""

    id: str
    kind: CheckKind
    position: Position


class Gate(Struct, frozen=True, kw_only=True):
    """The `gate` section. `sources` says which sources must be readable for a verdict."""

    sources: Mapping[str, str]
    checks: tuple[Check, ...]
    position: Position
    broken: frozenset[str] = frozenset()  # ids of checks with problems


def asks_rules(gate: Gate) -> bool:
    """Whether a check asks for the spec's rules."""
    return any(isinstance(check.kind, RulesLoaded) for check in gate.checks)


def default(position: Position) -> Gate:
    """The gate of a spec without `gate`: not frozen, and no critical alert firing."""
    return Gate(
        sources={"flag": "required", "prometheus": "required", "receiver": "optional"},
        checks=(
            Check(id="not-frozen", kind=NotFrozen(), position=position),
            Check(id="no-critical", kind=NoneFiring(match=((names.SEVERITY, "critical"),)), position=position),
        ),
        position=position,
    )
