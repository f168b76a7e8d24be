"""All services of an output set on one page: smallest budget first, frozen or not, with links to their dashboards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from generator import names
from generator.model.burn import Profile
from generator.model.spec import Spec
from generator.panels import bargauge, stat, state_timeline, table, timeseries
from generator.panels.base import (
    Json,
    Step,
    Target,
    View,
    nan_mapping,
    override,
    rising,
    thresholds,
)
from generator.promql.text import quote
from generator.render.dashboards.layout import Section, spread
from generator.render.dashboards.queries import (
    DEAD_LETTERS,
    EPISODES_OPEN,
    FROZEN,
    REHEARSAL_TOOK,
    REHEARSED_AT,
    equal,
    one_of,
    pace_ratio,
    runs_out_s,
    window_s,
)
from generator.render.dashboards.slo import (
    BUDGET_STEPS,
    BURN_STEPS,
    runs_out_mappings,
    runs_out_reading,
    runs_out_steps,
)
from generator.render.dashboards.status import FROZEN_TEXTS, NO_RECEIVER, ONE_IS_RED, ONE_IS_YELLOW
from generator.render.links import dashboard_uid

SHOWN_IN_BARS = 20
NO_REHEARSAL = "no rehearsal"
REHEARSAL_STEPS = rising(Decimal(7 * 86400), Decimal(30 * 86400))
"""A rehearsal is old after a week, as the gates of the shipped specs say."""


class OverviewQueries:
    """Queries about every service of a set. A query names profiles, not SLOs, and does not grow with their number."""

    def __init__(self, specs: Sequence[Spec], scope: str) -> None:
        self.specs = specs
        self.scope = scope
        self.services = one_of(names.SERVICE, sorted({spec.service for spec in specs}))
        found = {slo.profile.name: slo.profile for spec in specs for slo in spec.slos}
        self.profiles: list[Profile] = [found[name] for name in sorted(found)]

    @property
    def remaining(self) -> str:
        """The recorded budgets of the set."""
        return f"{names.ERROR_BUDGET_REMAINING}{{{equal(scope=self.scope)}}}"

    def _own(self, profile: Profile) -> str:
        return equal(scope=self.scope, profile=profile.name)

    def _budgets(self, profile: Profile) -> str:
        keep = f"{names.SERVICE}, {names.SLO}"
        return f"on ({keep}) group_left () max by ({keep}) ({names.ERROR_BUDGET}{{{self._own(profile)}}})"

    @property
    def burn(self) -> str:
        """The highest burn rate of each service."""
        keep = f"{names.SERVICE}, {names.SLO}"
        parts = (
            f"max by ({keep}) ({pace_ratio(profile, self._own(profile))}) / {self._budgets(profile)}"
            for profile in self.profiles
        )
        return f"max by ({names.SERVICE}) ({' or '.join(parts)})"

    @property
    def runs_out_s(self) -> str:
        """Seconds until the first budget of each service is spent."""
        keep = (names.SERVICE, names.SLO)
        parts = (runs_out_s(profile, self._own(profile), self._budgets(profile), keep) for profile in self.profiles)
        return f"min by ({names.SERVICE}) ({' or '.join(parts)})"

    def firing(self, severity: str) -> str:
        """Alerts that fire, by service; 0 for a service without any."""
        matchers = equal(alertstate="firing", severity=severity)
        fires = f"count by ({names.SERVICE}) (ALERTS{{{self.services},{matchers}}})"
        return f"{fires} or max by ({names.SERVICE}) ({self.remaining}) * 0"

    @property
    def frozen(self) -> str:
        """1 = frozen, by service."""
        return f"max by ({names.SERVICE}) ({FROZEN}{{{self.services}}})"

    @property
    def dashboards(self) -> str:
        """A row for every service of the set, measured or not, with its team and its dashboard."""
        first: dict[str, Spec] = {}
        for spec in self.specs:
            first.setdefault(spec.service, spec)
        return " or ".join(self._row(spec) for spec in first.values())

    @staticmethod
    def _row(spec: Spec) -> str:
        labels = {names.SERVICE: spec.service, names.TEAM: spec.owner.team, "dashboard": dashboard_uid(spec.name)}
        row = "vector(1)"
        for label, value in labels.items():
            row = f'label_replace({row}, "{label}", {quote(value.replace("$", "$$"))}, "", "")'
        return row


def overview_sections(specs: Sequence[Spec], scope: str) -> list[Section]:
    """The sections of the overview."""
    queries = OverviewQueries(specs, scope)
    numbers = list(_numbers(queries))
    widths = spread(len(numbers))
    line = [[panel | {"gridPos": {"h": 4, "w": width}}] for panel, width in zip(numbers, widths, strict=True)]
    height = min(3 + len({spec.service for spec in specs}), 20)
    return [
        Section(title="Now", lines=(line, [[_table(queries, max(height, 5))]])),
        Section(title="Budgets", lines=([[_bars(queries)], [_over_time(queries)]],)),
        Section(title="Freezes", lines=([[_freezes(queries)]],)),
        Section(title="Rehearsals", lines=([[_rehearsed_ago(queries)], [_rehearsals_took(queries)]],)),
    ]


def _numbers(queries: OverviewQueries) -> Iterable[Json]:
    yield _number(
        "Services frozen",
        "How many services may not ship.",
        f"sum({queries.frozen})",
        ONE_IS_RED,
        no_value=NO_RECEIVER,
    )
    yield _number(
        "Budgets spent",
        "How many SLOs and groups have no error budget left.",
        f"count({queries.remaining} <= 0) or vector(0)",
        ONE_IS_RED,
    )
    for severity, steps in (("critical", ONE_IS_RED), ("warning", ONE_IS_YELLOW)):
        matchers = equal(alertstate="firing", severity=severity)
        yield _number(
            f"Alerts firing: {severity}",
            f"Alerts of these services with severity {severity} that fire now.",
            f"count(ALERTS{{{queries.services},{matchers}}}) or vector(0)",
            steps,
        )
    yield _number(
        "Open incidents",
        "Open episodes of the receiver.",
        f"sum(max by ({names.SERVICE}, {names.SEVERITY}) ({EPISODES_OPEN}{{{queries.services}}})) "
        f"or 0 * max({queries.frozen})",
        ONE_IS_YELLOW,
        no_value=NO_RECEIVER,
    )
    yield _number(
        "Undelivered notices",
        "Notices that could not be delivered, also after all retries: somebody was not told.",
        f"sum(max by (channel) ({DEAD_LETTERS})) or 0 * max({queries.frozen})",
        ONE_IS_RED,
        no_value=NO_RECEIVER,
    )


def _number(title: str, description: str, expr: str, steps: tuple[Step, ...], *, no_value: str = "no data") -> Json:
    view = View(
        title=title,
        description=description,
        unit="none",
        targets=(Target(expr=expr, instant=True, legend=title),),
        steps=steps,
        no_value=no_value,
        width=4,
        height=4,
    )
    return stat.build(view)


def _table(queries: OverviewQueries, height: int) -> Json:
    windows = {window_s(profile) for profile in queries.profiles}
    columns = {
        "Value #B": "Budget left",
        "Value #C": "Runs out in",
        "Value #D": "Burn rate",
        "Value #E": "Freeze",
        "Value #F": "Critical",
        "Value #G": "Warning",
    }
    colored: Json = {"custom.displayMode": "color-background"}
    view = View(
        title="Services",
        description=(
            "The service with the smallest error budget first. A click on a service opens its dashboard. "
            f"Runs out in: {runs_out_reading()}"
        ),
        unit="none",
        targets=tuple(
            Target(expr=expr, instant=True, table=True)
            for expr in (
                queries.dashboards,
                f"min by ({names.SERVICE}) ({queries.remaining})",
                queries.runs_out_s,
                queries.burn,
                queries.frozen,
                queries.firing("critical"),
                queries.firing("warning"),
            )
        ),
        overrides=(
            override(names.SERVICE, {"displayName": "Service", "links": [_to_dashboard()]}),
            override(names.TEAM, {"displayName": "Team"}),
            override("dashboard", {"custom.hidden": True}),
            override(
                "Budget left",
                colored | {"unit": "percentunit", "decimals": 1, "thresholds": thresholds(BUDGET_STEPS)},
            ),
            override(
                "Runs out in",
                colored
                | {
                    "unit": "s",
                    "decimals": 1,
                    "mappings": list(runs_out_mappings(windows)),
                    "thresholds": thresholds(runs_out_steps(max(windows, default=0))),
                },
            ),
            override("Burn rate", colored | {"unit": "suffix:×", "decimals": 2, "thresholds": thresholds(BURN_STEPS)}),
            override("Freeze", colored | {"mappings": [FROZEN_TEXTS]}),
            override("Critical", colored | {"thresholds": thresholds(ONE_IS_RED)}),
            override("Warning", colored | {"thresholds": thresholds(ONE_IS_YELLOW)}),
        ),
        transformations=table.joined((names.SERVICE, *columns, names.TEAM, "dashboard"), columns, hidden=("Value #A",)),
        width=24,
        height=height,
    )
    return table.build(view, ("Budget left", False))


def _to_dashboard() -> Json:
    return {
        "title": "Open the dashboard",
        "url": "/d/${__data.fields.dashboard}?${__url_time_range}",
        "targetBlank": False,
    }


def _bars(queries: OverviewQueries) -> Json:
    view = View(
        title="Budget left, worst first",
        description=f"The {SHOWN_IN_BARS} SLOs and groups with the least error budget left.",
        unit="percentunit",
        targets=(
            Target(
                expr=f"sort(bottomk({SHOWN_IN_BARS}, {queries.remaining}))",
                instant=True,
                legend=f"{{{{{names.SERVICE}}}}} {{{{{names.SLO}}}}}",
            ),
        ),
        steps=BUDGET_STEPS,
        mappings=(nan_mapping("no traffic"),),
        decimals=1,
        width=10,
        height=10,
    )
    return bargauge.build(view)


def _over_time(queries: OverviewQueries) -> Json:
    view = View(
        title="Least budget left, by service",
        description="The smallest error budget of each service over time.",
        unit="percentunit",
        targets=(Target(expr=f"min by ({names.SERVICE}) ({queries.remaining})", legend=f"{{{{{names.SERVICE}}}}}"),),
        steps=BUDGET_STEPS,
        maximum=Decimal(1),
        width=14,
        height=10,
    )
    return timeseries.build(view, from_zero=True)


def _freezes(queries: OverviewQueries) -> Json:
    view = View(
        title="Freezes over time",
        description="When each service was frozen, as the receiver reports.",
        unit="none",
        targets=(Target(expr=queries.frozen, legend=f"{{{{{names.SERVICE}}}}}"),),
        mappings=(FROZEN_TEXTS,),
        no_value=NO_RECEIVER,
        width=24,
        height=6,
    )
    return state_timeline.build(view)


def _rehearsed_ago(queries: OverviewQueries) -> Json:
    keep = f"{names.SERVICE}, {names.KIND_OF_REHEARSAL}"
    view = View(
        title="Time since the last good rehearsal",
        description="How long ago `freezeline drill` last succeeded, by service and kind of rehearsal.",
        unit="s",
        targets=(
            Target(
                expr=f"time() - max by ({keep}) ({REHEARSED_AT}{{{queries.services}}})",
                instant=True,
                legend=f"{{{{{names.SERVICE}}}}} {{{{{names.KIND_OF_REHEARSAL}}}}}",
            ),
        ),
        steps=REHEARSAL_STEPS,
        no_value=NO_REHEARSAL,
        width=10,
        height=8,
    )
    return bargauge.build(view)


def _rehearsals_took(queries: OverviewQueries) -> Json:
    labels = (names.SERVICE, names.KIND_OF_REHEARSAL, names.MEASURE)
    view = View(
        title="Measured in rehearsals",
        description="What the newest rehearsal of each kind measured: RTO, RPO, MTTR, deployment, rollback, streams.",
        unit="s",
        targets=(
            Target(
                expr=f"max by ({', '.join(labels)}) ({REHEARSAL_TOOK}{{{queries.services}}})",
                legend=" ".join(
                    f"{{{{{label}}}}}" for label in (names.SERVICE, names.KIND_OF_REHEARSAL, names.MEASURE)
                ),
            ),
        ),
        no_value=NO_REHEARSAL,
        width=14,
        height=8,
    )
    return timeseries.build(view, from_zero=True)
