"""The present state (freeze, alerts, budgets, rollback) and its history, as timelines and annotations."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from generator import names
from generator.model.spec import Spec
from generator.panels import stat, state_timeline, table
from generator.panels.base import (
    BLUE,
    DATASOURCE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Json,
    Step,
    Target,
    View,
    nan_mapping,
    override,
    range_mapping,
    thresholds,
    value_mapping,
)
from generator.promql.text import quote
from generator.render.dashboards.layout import Line, spread
from generator.render.dashboards.queries import CANARY_WEIGHT, FIRING, PENDING, SpecQueries, window_s
from generator.render.dashboards.slo import BUDGET_STEPS, runs_out_mappings, runs_out_reading, runs_out_steps
from generator.render.links import link

NO_RECEIVER = "no receiver"
FROZEN_TEXTS = value_mapping({0: ("not frozen", GREEN), 1: ("FROZEN", RED)})
ROLLBACK_TEXTS = value_mapping(
    {
        1: ("done", GREEN),
        2: ("not run", GREY),
        3: ("FAILED", RED),
        4: ("waiting", YELLOW),
        5: ("running", ORANGE),
        6: ("verifying", BLUE),
    }
)
ALERT_TEXTS = value_mapping({PENDING: ("pending", YELLOW), FIRING: ("FIRING", RED)})
ONE_IS_RED = (Step(color=GREEN), Step(color=RED, value=Decimal(1)))
ONE_IS_YELLOW = (Step(color=GREEN), Step(color=YELLOW, value=Decimal(1)))
_PLAIN = (Step(color=GREY),)


def now(queries: SpecQueries) -> Line:
    """One line of large numbers, to be looked at first."""
    views = [_frozen(queries), _firing(queries)]
    if queries.spec.slos:
        views += [_worst_budget(queries), _first_to_run_out(queries)]
    views += [_rollback(queries), _incidents(queries)]
    if queries.spec.canary is not None:
        views.append(_canary_weight(queries))
    widths = spread(len(views))
    return [[panel | {"gridPos": {"h": 4, "w": width}}] for panel, width in zip(views, widths, strict=True)]


def _stat(title: str, description: str, unit: str, *targets: Target, **more: object) -> Json:
    view = View(
        title=title,
        description=description,
        unit=unit,
        targets=targets,
        width=4,
        height=4,
        **more,  # type: ignore[arg-type]  # keyword by keyword to View, which types them
    )
    return stat.build(view)


def _frozen(queries: SpecQueries) -> Json:
    return _stat(
        "Freeze",
        "Whether the service is frozen, as the receiver reports. No data: Prometheus does not scrape the receiver.",
        "none",
        Target(expr=queries.frozen, legend="freeze", instant=True),
        mappings=(FROZEN_TEXTS,),
        steps=ONE_IS_RED,
        no_value=NO_RECEIVER,
    )


def _firing(queries: SpecQueries) -> Json:
    return _stat(
        "Alerts firing",
        "Alerts of this service that fire now, by severity.",
        "none",
        Target(expr=queries.firing_count("critical"), legend="critical", instant=True),
        Target(expr=queries.firing_count("warning"), legend="warning", instant=True),
        steps=ONE_IS_RED,
        overrides=(override("warning", {"thresholds": thresholds(ONE_IS_YELLOW)}),),
    )


def _worst_budget(queries: SpecQueries) -> Json:
    return _stat(
        "Least budget left",
        "The smallest part of an error budget that is left, of all SLOs and groups shown.",
        "percentunit",
        Target(expr=f"min({queries.remaining})", legend="budget left", instant=True),
        steps=BUDGET_STEPS,
        mappings=(nan_mapping("no traffic"),),
        decimals=1,
    )


def _first_to_run_out(queries: SpecQueries) -> Json:
    windows = {window_s(slo.profile) for slo in queries.spec.slos}
    return _stat(
        "First budget runs out in",
        f"Time until the first SLO's budget is spent at the present burn rate. {runs_out_reading()}",
        "s",
        Target(expr=f"min({queries.runs_out_s})", legend="runs out in", instant=True),
        steps=runs_out_steps(max(windows)),
        mappings=runs_out_mappings(windows),
        decimals=1,
    )


def _rollback(queries: SpecQueries) -> Json:
    return _stat(
        "Rollback",
        "What the rollback of this service is doing, or how it ended within the last hour.",
        "none",
        Target(expr=queries.rollback("1h"), legend="rollback", instant=True),
        mappings=(ROLLBACK_TEXTS,),
        steps=_PLAIN,
        no_value="none lately",
    )


def _incidents(queries: SpecQueries) -> Json:
    return _stat(
        "Open incidents",
        "Open episodes of the receiver, by severity.",
        "none",
        Target(expr=queries.incidents, legend="{{severity}}", instant=True),
        steps=ONE_IS_RED,
        overrides=(override("warning", {"thresholds": thresholds(ONE_IS_YELLOW)}),),
        no_value=NO_RECEIVER,
    )


def _canary_weight(queries: SpecQueries) -> Json:
    return _stat(
        "Canary",
        "Share of traffic that goes to the new version.",
        "percentunit",
        Target(expr=f"max({queries.receiver(CANARY_WEIGHT)})", legend="canary", instant=True),
        steps=(Step(color=GREY), Step(color=BLUE, value=Decimal("0.000001"))),
        no_value="none",
    )


def alerts_table(queries: SpecQueries, width: int, height: int) -> Json:
    """Pending and firing alerts, each with a link to its runbook."""
    linked = any(_runbooks(queries.spec))
    hidden = [override("runbook", {"custom.hidden": True})] if linked else []
    to_runbook = {"title": "Runbook", "url": "${__data.fields.runbook:raw}", "targetBlank": True}
    view = View(
        title="Alerts",
        description=f"Alerts that are pending or firing.{' A click on a name opens its runbook.' if linked else ''}",
        unit="none",
        targets=(
            Target(expr=_with_runbook(queries, queries.alert_states), instant=True, table=True),
            Target(expr=_with_runbook(queries, queries.alert_since_ms), instant=True, table=True),
        ),
        no_value="nothing pending, nothing firing",
        overrides=(
            override("State", {"mappings": [ALERT_TEXTS], "custom.displayMode": "color-text", "custom.width": 90}),
            override("Since", {"unit": "dateTimeFromNow"}),
            override(
                names.SEVERITY,
                {"displayName": "Severity", "mappings": [_severity_texts()], "custom.displayMode": "color-text"},
            ),
            override("alertname", {"displayName": "Alert"} | ({"links": [to_runbook]} if linked else {})),
            override(names.SLO, {"displayName": "SLO"}),
            override(names.TIER, {"displayName": "Tier"}),
            *hidden,
        ),
        transformations=table.joined(
            ("Value #A", *queries.alert_labels, "Value #B"), {"Value #A": "State", "Value #B": "Since"}
        ),
        width=width,
        height=height,
    )
    return table.build(view, ("State", True), ("Severity", False))


def _severity_texts() -> Json:
    texts = {"critical": RED, "warning": YELLOW, "info": BLUE}
    options = {text: {"text": text, "color": color, "index": i} for i, (text, color) in enumerate(texts.items())}
    return {"type": "value", "options": options}


def _runbooks(spec: Spec) -> Iterable[str]:
    yield spec.defaults.runbook
    yield from (alert.runbook for alert in spec.alerts)
    yield from (slo.runbook for slo in spec.slos)


def _with_runbook(queries: SpecQueries, expr: str) -> str:
    """The rows with the runbook of each alert as a label: the alert's own runbook, else the spec's pattern."""
    spec = queries.spec
    if spec.defaults.runbook:
        pattern = link(spec.defaults.runbook.replace("$", "$$"), service=spec.service, alert="${1}", slo="${2}")
        expr = _relabel(
            f'label_join({expr}, "runbook", ";", "alertname", "{names.SLO}")', pattern, "runbook", "(.*);(.*)"
        )
    for slo in (slo for slo in spec.slos if slo.runbook):
        pattern = link(slo.runbook.replace("$", "$$"), service=spec.service, slo=slo.name, alert="${1}")
        joined = f'label_join({expr}, "alert_of", ";", "alertname", "{names.SLO}")'
        expr = _relabel(joined, pattern, "alert_of", f"(.*);{_literal(slo.name)}")
    for alert in (alert for alert in spec.alerts if alert.runbook):
        url = link(alert.runbook.replace("$", "$$"), service=spec.service, alert=alert.name, slo="")
        expr = _relabel(expr, url, "alertname", _literal(alert.name))
    return expr


def _relabel(expr: str, replacement: str, source: str, pattern: str) -> str:
    return f'label_replace({expr}, "runbook", {quote(replacement)}, "{source}", {quote(pattern)})'


def _literal(text: str) -> str:
    return text.replace(".", "\\.")


def timelines(queries: SpecQueries) -> tuple[Line, ...]:
    """The receiver's work, and the alerts by name, across the page: equal times stand below each other."""
    return ([[_receiver_timeline(queries)]], [[_alert_timeline(queries)]])


def _alert_timeline(queries: SpecQueries) -> Json:
    rows = len(queries.spec.alerts) + 2 * len(queries.spec.slos)  # more than ever fire together
    view = View(
        title="Alerts over time",
        description="When each alert was pending and when it fired.",
        unit="none",
        targets=(Target(expr=queries.alert_states, legend=_alert_legend(queries)),),
        mappings=(ALERT_TEXTS,),
        steps=_PLAIN,
        no_value="nothing pending, nothing firing",
        width=24,
        height=min(max(4 + rows // 2, 6), 14),
    )
    return state_timeline.build(view)


def _alert_legend(queries: SpecQueries) -> str:
    shown = ("alertname", names.SLO, names.TIER, *queries.groups)
    return " ".join(f"{{{{{label}}}}}" for label in shown)


def _receiver_timeline(queries: SpecQueries) -> Json:
    targets = (
        Target(expr=queries.frozen, legend="Freeze"),
        Target(expr=queries.rollback("10m"), legend="Rollback"),
        Target(expr=queries.incident_count, legend="Incidents"),
    )
    view = View(
        title="Freeze, rollback and incidents over time",
        description="What the receiver did: freezes, rollbacks, and the incidents that it holds open.",
        unit="none",
        targets=targets,
        mappings=(range_mapping(None, Decimal("0.5"), "none", GREEN), range_mapping(Decimal("0.5"), None, "open", RED)),
        steps=_PLAIN,
        overrides=(
            override("Freeze", {"mappings": [FROZEN_TEXTS]}),
            override("Rollback", {"mappings": [ROLLBACK_TEXTS]}),
        ),
        no_value=NO_RECEIVER,
        width=24,
        height=5,
    )
    return state_timeline.build(view)


def marks(queries: SpecQueries) -> list[Json]:
    """Marks on every graph: when alerts began to fire, freezes while they last, and rollbacks as they change state."""
    where = " ".join(f"{{{{{label}}}}}" for label in (names.SLO, names.TIER, *queries.groups))
    return [
        _annotation("Critical alerts", queries.began_to_fire('severity="critical"'), RED, "{{alertname}}", where),
        _annotation("Other alerts", queries.began_to_fire('severity!="critical"'), YELLOW, "{{alertname}}", where),
        _annotation("Freeze", f"{queries.frozen} == 1", BLUE, "Frozen", queries.spec.service),
        _annotation("Rollback", queries.rollback_moves, PURPLE, "Rollback {{state}}", queries.spec.service),
    ]


def _annotation(name: str, expr: str, color: str, title: str, text: str) -> Json:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "30s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": names.SEVERITY,
        "useValueForTime": False,
    }
