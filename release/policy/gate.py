"""The policy's `gate` as values: the checks that must pass before a release ships."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from receiver.policy.model import Matcher


class NotFrozen(Struct, frozen=True, kw_only=True, tag_field="kind", tag="not-frozen"):
    """No freeze flag of the service exists, and the receiver's heartbeat is fresh."""

    id: str


class Rule(Struct, frozen=True, kw_only=True):
    """A rule of the spec: the recorded series' or the alert's name, and the expression."""

    name: str
    query: str


class RulesLoaded(Struct, frozen=True, kw_only=True, tag_field="kind", tag="rules-loaded"):
    """Prometheus runs every rule of the spec."""

    id: str
    rules: tuple[Rule, ...]


class NoneFiring(Struct, frozen=True, kw_only=True, tag_field="kind", tag="none-firing"):
    """No alert with these labels is firing."""

    id: str
    match: tuple[Matcher, ...]


class Budget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="budget"):
    """At least `value` of the SLO's error budget is left, as a ratio. `query` asks Prometheus for what is left."""

    id: str
    slo: str
    query: str
    op: Literal[">="]
    value: Decimal


class Query(Struct, frozen=True, kw_only=True, tag_field="kind", tag="query"):
    """Every sample of the query is within the bound. `unit` is that of values and bound; "": unknown, or none."""

    id: str
    query: str
    op: Literal["<=", ">="]
    value: Decimal
    unit: Literal["", "ratio", "seconds", "milliseconds"] = ""


class ImagePinned(Struct, frozen=True, kw_only=True, tag_field="kind", tag="image-pinned"):
    """The image is named by its digest. `${NAME}` stands for a variable of the gate's environment."""

    id: str
    image: str


class ScanClean(Struct, frozen=True, kw_only=True, tag_field="kind", tag="scan-clean"):
    """A Trivy report is fresh, has at most these findings, and is about the image of another check."""

    id: str
    trivy: str
    at_most: Mapping[str, int]
    max_age_s: float
    same_digest_as: str = ""


class Secrets(Struct, frozen=True, kw_only=True, tag_field="kind", tag="secrets"):
    """A Gitleaks report has at most this many findings, and is fresh where `max_age_s` says so."""

    id: str
    report: str
    at_most: int
    max_age_s: float | None = None


FlagValue = bool | int | float | str


class FlagIs(Struct, frozen=True, kw_only=True, rename={"value": "is", "context": "for"}):
    """What a feature flag must be in an evaluation context."""

    flag: str
    value: FlagValue
    context: Mapping[str, FlagValue] = field(default_factory=dict)


class Flags(Struct, frozen=True, kw_only=True, tag_field="kind", tag="flags"):
    """A file of feature flags holds these flags, and flags have these values."""

    id: str
    flag_file: str
    present: tuple[str, ...] = ()
    values: tuple[FlagIs, ...] = ()


class Rehearsed(Struct, frozen=True, kw_only=True, tag_field="kind", tag="rehearsed"):
    """The last rehearsal of a kind succeeded, is fresh, and kept its limits."""

    id: str
    rehearsal: str
    max_age_s: float
    rto_at_most_s: float | None = None
    rpo_at_most_s: float | None = None
    deploy_at_most_s: float | None = None
    rollback_at_most_s: float | None = None
    first_event_at_most_s: float | None = None
    connected_at_least: Decimal | None = None
    integrity: bool = False


Check = NotFrozen | RulesLoaded | NoneFiring | Budget | Query | ImagePinned | ScanClean | Secrets | Flags | Rehearsed


class Gate(Struct, frozen=True, kw_only=True):
    """The checklist, and which sources must be readable for a verdict: "required" or "optional"."""

    checks: tuple[Check, ...]
    sources: Mapping[str, Literal["required", "optional"]] = field(default_factory=dict)
