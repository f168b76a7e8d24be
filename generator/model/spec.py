"""What a spec means, once read: frozen values, no text to parse any more, no I/O.

`position` on each value is where it stands in the spec, so that whatever is found later can point there.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

from freezeline.problems import Position
from generator.conditions import Condition
from generator.model.actions import Action
from generator.model.burn import DroppedTier, Profile
from generator.model.canary import Canary
from generator.model.dashboard import Dashboard
from generator.model.gate import Gate
from generator.model.policy import PolicyRule
from generator.model.routing import Routing
from generator.model.teams import Owner
from generator.reading.source import Value, place
from generator.sli import Sli

API_VERSION = "freezeline/v1"


class Defaults(Struct, frozen=True, kw_only=True):
    """What SLOs and alerts of one spec share unless they say otherwise."""

    window_ms: int
    interval_ms: int  # evaluation interval of plain alerts and of the fast group; never below the scrape interval
    scrape_ms: int
    runbook: str = ""  # URL with {service}, {alert}, {slo}
    grafana: str = ""  # base URL
    retention_ms: int | None = None  # Prometheus' retention, where a window should be held against it


class Slo(Struct, frozen=True, kw_only=True):
    """One objective. `objective` is a percentage (99.9), `budget_ratio` what it leaves (0.001)."""

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
        """Where a value of it stands: `at("sli", "total")`."""
        return place(self.written, *path)


class PlainAlert(Struct, frozen=True, kw_only=True):
    """An alert beside the burn-rate ones. `within_ms` is a promise: first bad sample scraped → firing."""

    name: str
    condition: Condition
    for_ms: int
    severity: str
    interval_ms: int  # of its rule group
    position: Position
    written: Value
    within_ms: int | None = None
    consecutive: int = 1  # evaluations in a row that must breach
    team: str = ""
    summary: str = ""
    description: str = ""
    runbook: str = ""

    def at(self, *path: str) -> Position:
        """Where a value of it stands: `at("within")`."""
        return place(self.written, *path)

    @property
    def earliest_ms(self) -> int:
        """The latest that the alert fires after a sample that breaches at once: one interval to see it, then `for`."""
        waited_ms = self.for_ms + (self.consecutive - 1) * self.interval_ms
        return self.interval_ms + waited_ms


class Spec(Struct, frozen=True, kw_only=True):
    """One spec file. `name` is its stem and names every artefact; `digest` is of its text."""

    name: str
    file: str
    digest: str
    service: str
    owner: Owner
    defaults: Defaults
    slos: tuple[Slo, ...] = ()
    alerts: tuple[PlainAlert, ...] = ()
    policy: tuple[PolicyRule, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    routing: Routing | None = None
    canary: Canary | None = None
    gate: Gate | None = None
    dashboard: Dashboard | None = None
    targets: Mapping[str, str] = field(default_factory=dict)
    broken: frozenset[str] = (
        frozenset()
    )  # names that were written but could not be read: references to them are not wrong

    @property
    def reference(self) -> str:
        """What annotations, flags and journals name the spec by: `checkout@sha256:9f2c0d…`."""
        return f"{self.name}@sha256:{self.digest}"


class OutputSet(Struct, frozen=True, kw_only=True):
    """Specs that are generated together. `scope` marks their series, so that sets in one Prometheus never mix."""

    scope: str
    specs: tuple[Spec, ...]

    def profiles(self) -> Mapping[str, Profile]:
        """The profiles in use, by name, in the order of names."""
        found = {slo.profile.name: slo.profile for spec in self.specs for slo in spec.slos}
        return dict(sorted(found.items()))
