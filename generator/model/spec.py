"""The meaning of a whole spec: frozen values, without text to parse and without I/O.

`position` is a value's place in the spec. Later problems point there.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, field

from freezeline.problems import Position
from generator.conditions import Condition
from generator.model.burn import DroppedTier, Profile
from generator.model.teams import Owner
from generator.reading.source import Value, place
from generator.sli import Sli

if TYPE_CHECKING:  # sections that many specs lack: the parser of a section imports the section's values
    from generator.model.actions import Action
    from generator.model.canary import Canary
    from generator.model.dashboard import Dashboard
    from generator.model.gate import Gate
    from generator.model.policy import PolicyRule
    from generator.model.routing import Routing

API_VERSION = "freezeline/v1"


class Defaults(Struct, frozen=True, kw_only=True):
    """Values that the SLOs and alerts of one spec share, unless an SLO or alert says otherwise."""

    window_ms: int
    interval_ms: int  # evaluation interval of plain alerts and of the fast group; at least the scrape interval
    scrape_ms: int
    runbook: str = ""  # URL with {service}, {alert}, {slo}
    grafana: str = ""  # base URL
    retention_ms: int | None = None  # Prometheus' retention, if windows should be checked against the retention


class Slo(Struct, frozen=True, kw_only=True):
    """One objective. `objective` is a percentage (99.9), `budget_ratio` the rest (0.001)."""

    name: str
    objective: Decimal
    budget_ratio: Decimal
    sli: Sli
    group_by: tuple[str, ...]
    profile: Profile
    dropped_tiers: tuple[DroppedTier, ...]
    position: Position
    written: Value
    description: str = ""
    runbook: str = ""

    def at(self, *path: str) -> Position:
        """Position of a value of the SLO: `at("sli", "total")`."""
        return place(self.written, *path)


class PlainAlert(Struct, frozen=True, kw_only=True):
    """An alert beside the burn-rate alerts. `within_ms` is a promise: from the first bad scrape to firing."""

    name: str
    condition: Condition
    for_ms: int
    severity: str
    interval_ms: int  # of the alert's rule group
    position: Position
    written: Value
    within_ms: int | None = None
    consecutive: int = 1  # evaluations in a row that must breach
    team: str = ""
    summary: str = ""
    description: str = ""
    runbook: str = ""

    def at(self, *path: str) -> Position:
        """Position of a value of the alert: `at("within")`."""
        return place(self.written, *path)

    @property
    def earliest_ms(self) -> int:
        """The longest time from a breaching sample to firing: one interval until an evaluation, then `for`."""
        waited_ms = self.for_ms + (self.consecutive - 1) * self.interval_ms
        return self.interval_ms + waited_ms


class Spec(Struct, frozen=True, kw_only=True):
    """One spec file. `name` is the file's stem and names every artefact; `digest` is of the file's text."""

    name: str
    file: str
    digest: str
    service: str
    owner: Owner
    defaults: Defaults
    scope: str = ""  # as written in this spec; the set's scope is in `OutputSet`
    scope_position: Position | None = None
    slos: tuple[Slo, ...] = ()
    alerts: tuple[PlainAlert, ...] = ()
    policy: tuple[PolicyRule, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    routing: Routing | None = None
    canary: Canary | None = None
    gate: Gate | None = None
    dashboard: Dashboard | None = None
    targets: Mapping[str, str] = field(default_factory=dict)
    # Names whose definitions have problems → their kind. A reference to such a name is not reported as unknown.
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The spec's name in annotations, flags and journals: `checkout@sha256:9f2c0d…`."""
        return f"{self.name}@sha256:{self.digest}"


class OutputSet(Struct, frozen=True, kw_only=True):
    """Specs that are generated together. `scope` marks their series, and keeps several sets in one Prometheus apart."""

    scope: str
    specs: tuple[Spec, ...]

    def profiles(self) -> Mapping[str, Profile]:
        """The profiles in use, by name, sorted."""
        found = {slo.profile.name: slo.profile for spec in self.specs for slo in spec.slos}
        return dict(sorted(found.items()))
