"""The SLO part of a dashboard: one table of all objectives, and a section for each SLO."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from generator import names
from generator.model.spec import Slo, Spec
from generator.panels import bargauge, stat, table, timeseries
from generator.panels.base import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Json,
    Step,
    Target,
    View,
    nan_mapping,
    override,
    rising,
    thresholds,
    value_mapping,
)
from generator.render.dashboards.layout import Section
from generator.render.dashboards.queries import SloQueries, SpecQueries, pace_ms, window_s
from generator.render.links import link, variable
from generator.units import decimal_text, duration_text

OPEN_SECTIONS = 6  # further SLOs are folded: a spec with fifty SLOs then opens quickly

LITTLE, ALMOST_NONE = Decimal("0.25"), Decimal("0.1")  # of the budget
BUDGET_STEPS = (Step(color=RED), Step(color=YELLOW, value=ALMOST_NONE), Step(color=GREEN, value=LITTLE))
BURN_STEPS = rising(Decimal(1), Decimal(6))


def runs_out_steps(longest_s: int) -> tuple[Step, ...]:
    """Red if the budget ends within a thirtieth of the SLO's window (one of thirty days), yellow within a tenth."""
    return (
        Step(color=RED),
        Step(color=YELLOW, value=Decimal(longest_s // 30)),
        Step(color=GREEN, value=Decimal(longest_s // 10)),
    )


def runs_out_reading(*, calendar: bool = False) -> str:
    """How to read "runs out in". In a calendar window, no error leaves before the window ends."""
    reading = "Budget left ÷ burn rate"
    if calendar:
        return f"{reading}. The next window begins with a whole budget."
    return f"{reading}: the budget may last longer, because errors also leave the window."


def runs_out_mappings(windows_s: set[int]) -> tuple[Json, ...]:
    """Words for both ends of "runs out in": already spent, and not before the window ends."""
    texts = {0: ("spent", RED)} | dict.fromkeys(sorted(windows_s), ("not at this pace", GREEN))
    return (value_mapping(texts), nan_mapping("no traffic"))


def objectives_table(queries: SpecQueries, uid: str, width: int, height: int) -> Json:
    """Every SLO and group in one row: objective, SLI, budget left, burn rate, and time until the budget runs out."""
    windows = {window_s(slo.profile) for slo in queries.spec.slos}
    columns = ("Value #A", "Value #B", "Value #C", "Value #D", "Value #E")
    headings = ("Objective", "SLI", "Budget left", "Burn rate", "Runs out in")
    colored: Json = {"custom.displayMode": "color-background"}
    overrides = [
        override("Objective", {"unit": "percentunit", "decimals": 3}),
        override("SLI", {"unit": "percentunit", "decimals": 3}),
        override("Budget left", colored | {"unit": "percentunit", "thresholds": thresholds(BUDGET_STEPS)}),
        override("Burn rate", colored | {"unit": "suffix:×", "thresholds": thresholds(BURN_STEPS)}),
        override(
            "Runs out in",
            colored
            | {
                "unit": "s",
                "mappings": list(runs_out_mappings(windows)),
                "thresholds": thresholds(runs_out_steps(max(windows))),
            },
        ),
        override(names.SLO, {"displayName": "SLO"}),
        *(override(label, {"links": [_group_link(uid, label)]}) for label in queries.groups),
    ]
    view = View(
        title="Objectives",
        description=(
            "One row per SLO and group, over the SLO's window. Burn rate 1 spends exactly the budget in that window. "
            "Runs out in, at the burn rate of the last hour (or of the shortest long window of its tiers): "
            f"{runs_out_reading()}"
        ),
        unit="none",
        decimals=2,
        targets=tuple(
            Target(expr=expr, instant=True, table=True)
            for expr in (queries.objective, queries.sli, queries.remaining, queries.burn, queries.runs_out_s)
        ),
        overrides=tuple(overrides),
        transformations=table.joined((*queries.row_labels, *columns), dict(zip(columns, headings, strict=True))),
        width=width,
        height=height,
    )
    return table.build(view, ("Budget left", False))


def _group_link(uid: str, label: str) -> Json:
    url = f"/d/{uid}?var-{variable(label)}=${{__data.fields.{label}:percentencode}}&${{__url_time_range}}"
    return {"title": f"Only this {label}", "url": url, "targetBlank": False}


def sections(queries: SpecQueries) -> list[Section]:
    """A section for each SLO, in the order of the spec."""
    return [_section(queries, slo, folded=index >= OPEN_SECTIONS) for index, slo in enumerate(queries.spec.slos)]


def _section(queries: SpecQueries, slo: Slo, *, folded: bool) -> Section:
    own = queries.of(slo)
    runbook = _runbook(queries.spec, slo)
    objective = f"{decimal_text(slo.objective)} % over {slo.profile.window}"
    numbers = [[_objective(own), _budget_left(own)], [_sli(own), _runs_out(own)]]
    tiers = [[_tiers(own, runbook)]] if slo.profile.tiers else []
    graphs = [[_burn(own, runbook, 7 if tiers else 12)], [_budget(own, runbook)]]
    return Section(title=f"SLO {slo.name}: {objective}", lines=((*numbers, *tiers, *graphs),), folded=folded)


def _runbook(spec: Spec, slo: Slo) -> tuple[Json, ...]:
    template = slo.runbook or spec.defaults.runbook
    if not template:
        return ()
    url = link(template, service=spec.service, alert=names.BUDGET_BURN, slo=slo.name)
    return ({"title": "Runbook", "url": url, "targetBlank": True},)


def _objective(own: SloQueries) -> Json:
    about = own.slo.description or own.slo.sli.describe()
    view = View(
        title="Objective",
        description=f"The objective over {own.slo.profile.window}. {about}",
        unit="percentunit",
        targets=(Target(expr=own.objective, instant=True, legend="objective"),),
        steps=(Step(color=BLUE),),
        width=3,
        height=4,
    )
    return stat.build(view, background=False)


def _sli(own: SloQueries) -> Json:
    objective = own.slo.objective.scaleb(-2)
    comfortable = objective + own.slo.budget_ratio * LITTLE
    view = View(
        title="SLI",
        description=f"Share of good events over {own.slo.profile.window}, in the worst group shown.",
        unit="percentunit",
        targets=(Target(expr=own.sli, instant=True, legend="SLI"),),
        steps=(Step(color=RED), Step(color=YELLOW, value=objective), Step(color=GREEN, value=comfortable)),
        mappings=(nan_mapping("no traffic"),),
        decimals=3,
        width=3,
        height=4,
    )
    return stat.build(view)


def _budget_left(own: SloQueries) -> Json:
    view = View(
        title="Budget left",
        description=f"Part of the error budget over {own.slo.profile.window} that is left, in the worst group shown.",
        unit="percentunit",
        targets=(Target(expr=own.worst_remaining, instant=True, legend="budget left"),),
        steps=BUDGET_STEPS,
        mappings=(nan_mapping("no traffic"),),
        decimals=1,
        width=3,
        height=4,
    )
    return stat.build(view)


def _runs_out(own: SloQueries) -> Json:
    profile = own.slo.profile
    view = View(
        title="Runs out in",
        description=(
            f"Time until the budget is spent, if errors continue as in the last {duration_text(pace_ms(profile))}. "
            f"{runs_out_reading(calendar=bool(profile.window.calendar))}"
        ),
        unit="s",
        targets=(Target(expr=own.runs_out_s, instant=True, legend="runs out in"),),
        steps=runs_out_steps(window_s(profile)),
        mappings=runs_out_mappings({window_s(profile)}),
        decimals=1,
        width=3,
        height=4,
    )
    return stat.build(view)


def _tiers(own: SloQueries, runbook: tuple[Json, ...]) -> Json:
    tiers = own.slo.profile.tiers
    named = "; ".join(
        f"{tier.name}: {duration_text(tier.long_ms)} and {duration_text(tier.short_ms)} above "
        f"{_factor(tier.factor)}× ({tier.severity})"
        for tier in tiers
    )
    view = View(
        title="How near each tier is to firing",
        description=f"The lower burn rate of both windows, as a share of the tier's factor. 100 % fires. {named}.",
        unit="percentunit",
        targets=tuple(Target(expr=own.tier_share(tier), legend=tier.name, instant=True) for tier in tiers),
        steps=rising(Decimal("0.5"), Decimal(1)),
        mappings=(nan_mapping("no traffic"),),
        decimals=0,
        links=runbook,
        width=5,
        height=8,
    )
    return bargauge.build(view)


def _burn(own: SloQueries, runbook: tuple[Json, ...], width: int) -> Json:
    profile = own.slo.profile
    if profile.tiers:
        targets = tuple(
            Target(expr=own.tier_burn(tier), legend=f"{tier.name} (fires above {_factor(tier.factor)}×)")
            for tier in profile.tiers
        )
        paging = [tier.factor for tier in profile.tiers if tier.pages]
        fires = Decimal(_factor(min(paging))) if paging else None
    else:
        targets = (Target(expr=own.pace_burn, legend=f"over {duration_text(pace_ms(profile))}"),)
        fires = None
    steps = (
        rising(Decimal(1), fires) if fires and fires > 1 else (Step(color=GREEN), Step(color=YELLOW, value=Decimal(1)))
    )
    view = View(
        title="Burn rate by tier" if profile.tiers else "Burn rate",
        description=(
            "Burn rate 1 is sustainable: it spends exactly the budget. For each tier, the lower of its two windows. "
            "Yellow: above the sustainable rate. Red: the lowest factor that pages."
        ),
        unit="suffix:×",
        targets=targets,
        steps=steps,
        decimals=2,
        links=runbook,
        width=width,
        height=8,
    )
    return timeseries.build(view)


def _factor(factor: Fraction) -> str:
    return decimal_text(round(Decimal(factor.numerator) / factor.denominator, 2))


def _budget(own: SloQueries, runbook: tuple[Json, ...]) -> Json:
    profile = own.slo.profile
    legend = " ".join(f"{{{{{label}}}}}" for label in own.slo.group_by) or "budget left"
    view = View(
        title="Budget over the window",
        description=f"Part of the error budget left over {profile.window}, whatever range the dashboard shows.",
        unit="percentunit",
        targets=(Target(expr=own.remaining, legend=legend),),
        steps=BUDGET_STEPS,
        maximum=Decimal(1),
        links=runbook,
        time_from=duration_text(profile.window.length_ms),
        width=6,
        height=8,
    )
    return timeseries.build(view, from_zero=True)
