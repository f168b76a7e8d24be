"""What follows from a line of a spec: series, rules, alerts, panels, policy and people, with the calculations.

Pure. The module asks the functions that generate, therefore it agrees with the generated files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct, to_builtins

from generator import names
from generator.checks import queries
from generator.model import alert_labels
from generator.model.actions import SwitchAction
from generator.model.alert_labels import begins
from generator.model.burn import Tier
from generator.model.canary_gate import CanaryGate
from generator.model.policy import BudgetRemaining, PolicyRule, Unfreeze
from generator.model.spec import PlainAlert, Slo, Spec
from generator.panels.base import Json
from generator.proofs import promises, slis
from generator.reading.source import Value
from generator.render.alertmanager import people
from generator.render.dashboards import dashboard
from generator.render.rules import rules, shared
from generator.render.rules.rule_file import Rule, RuleFile
from generator.reports import explain_canary
from generator.units import decimal_text, duration_text, percent_text, promql_number

LEVELS = (Fraction(1), Fraction(1, 2), Fraction(1, 5))


class RuleShown(Struct, frozen=True, kw_only=True):
    """One rule: its file, its interval, and the series that it records or the alert that it fires."""

    file: str
    group: str
    interval: str
    name: str
    labels: Mapping[str, str]
    expr: str
    own: bool  # belongs to this SLO or alert alone


class TierShown(Struct, frozen=True, kw_only=True):
    """One tier with its calculation. `detected_after`: error ratio → time from an error-free past to firing."""

    name: str
    severity: str
    share: str
    long: str
    short: str
    factor: str
    factor_working: str
    threshold_ratio: str
    threshold_working: str
    budget_gone_after: str
    detected_after: Mapping[str, str]
    resets_after: str


class PolicyShown(Struct, frozen=True, kw_only=True):
    """A policy rule that an alert starts: its actions, the feature flags that it sets, and the end of its freeze."""

    id: str
    position: str
    does: tuple[str, ...]
    sets: tuple[str, ...]
    unfrozen: str


class AlertShown(Struct, frozen=True, kw_only=True):
    """An alert, with its policy rules and the people that are told."""

    name: str
    labels: Mapping[str, str]
    fires_when: str
    policy: tuple[PolicyShown, ...]
    told: tuple[str, ...]


class Explained(Struct, frozen=True, kw_only=True):
    """One SLO or plain alert, from its line in the spec to the people that are told."""

    kind: str  # "slo", "alert" or "gate"
    name: str
    position: str
    facts: Mapping[str, str]
    reads: tuple[str, ...]
    rules: tuple[RuleShown, ...]
    tiers: tuple[TierShown, ...]
    left_out: Mapping[str, str]  # default tiers that this objective cannot have, with the reason
    alerts: tuple[AlertShown, ...]
    panels: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The explanation for `--json`."""
        plain: dict[str, object] = to_builtins(self)
        return plain


def explain(spec: Spec, scope: str, only: frozenset[str] | None = None) -> tuple[Explained, ...]:
    """SLOs, plain alerts and gates of a rollout, all or those of some names, in the order of the file."""
    panels = dashboard.render(spec, scope)
    own = rules.render(spec, scope)
    wanted = [slo for slo in spec.slos if only is None or slo.name in only]
    found = [(slo.position, _slo(spec, slo, scope, own, panels)) for slo in wanted]
    alerts = [alert for alert in spec.alerts if only is None or alert.name in only]
    found += [(alert.position, _alert(spec, alert, own, panels)) for alert in alerts]
    gates = spec.canary.gates if spec.canary is not None else ()
    wanted_gates = [gate for gate in gates if only is None or explain_canary.name(gate) in only]
    found += [(gate.position, _gate(spec, gate)) for gate in wanted_gates]
    return tuple(explained for _, explained in sorted(found, key=lambda item: item[0]))


# -- SLOs


def _slo(spec: Spec, slo: Slo, scope: str, own: RuleFile, panels: Json) -> Explained:
    profile = slo.profile
    budget = percent_text(slo.budget_ratio)
    outage_ms = int(slo.budget_ratio * profile.window.length_ms)
    counted = "slices of time" if not slis.counts_events(slo) else "events"
    facts = {
        "objective": f"{decimal_text(slo.objective)} % over {profile.window}",
        "error budget": f"100 % − {decimal_text(slo.objective)} % = {budget}: {_of_a_million(slo)} of a million "
        f"{counted}; as one full outage {duration_text(outage_ms // 1000 * 1000)}",
        "sli": slo.sli.describe(),
        "base": f"{names.base('total', profile.base_ms)} and {names.base('errors', profile.base_ms)}, each "
        f"{duration_text(profile.cadence.fast_ms)}",
        "identity": ", ".join(f'{label}="{value}"' for label, value in rules.identity(spec, slo, scope).items()),
    }
    if slo.group_by:
        facts["group by"] = ", ".join(slo.group_by)
    if profile.min_events:
        facts["minimum"] = f"{profile.min_events} bad {counted} in the long window, or no tier fires"
    return Explained(
        kind="slo",
        name=slo.name,
        position=str(slo.position),
        facts=facts,
        reads=tuple(f"{query.role}: {query.text}" for query in queries.of_slo(slo)),
        rules=(*_own_rules(own, slo), *_shown(shared.render(profile, scope), own=False)),
        tiers=tuple(_tier(spec, slo, tier) for tier in profile.tiers),
        left_out={tier.name: tier.reason for tier in slo.dropped_tiers},
        alerts=tuple(_slo_alerts(spec, slo)),
        panels=tuple(_panels(panels, f'{names.SLO}="{slo.name}"')),
    )


def _of_a_million(slo: Slo) -> str:
    return f"{slo.budget_ratio * 1_000_000:,.0f}"


def _gate(spec: Spec, gate: CanaryGate) -> Explained:
    return Explained(
        kind="gate",
        name=explain_canary.name(gate),
        position=str(gate.position),
        facts=dict(explain_canary.facts(spec.canary, gate)) if spec.canary is not None else {},
        reads=explain_canary.reads(gate),
        rules=(),
        tiers=(),
        left_out={},
        alerts=(),
        panels=(),
    )


def _tier(spec: Spec, slo: Slo, tier: Tier) -> TierShown:
    profile = slo.profile
    limit = promises.threshold(slo, tier)
    long_text, window = duration_text(tier.long_ms), profile.window
    factor, ratio = promql_number(tier.factor), _decimal(limit)
    detected = {
        percent_text(_decimal(level)): _seconds(
            promises.detection_ms(slo, tier, level, profile.cadence, spec.defaults.scrape_ms)
        )
        for level in LEVELS
        if level > limit
    }
    return TierShown(
        name=tier.name,
        severity=tier.severity,
        share=percent_text(tier.share),
        long=long_text,
        short=duration_text(tier.short_ms),
        factor=factor,
        factor_working=f"{percent_text(tier.share)} × {window} / {long_text} = {factor}",
        threshold_ratio=decimal_text(ratio),
        threshold_working=f"{factor} × {decimal_text(slo.budget_ratio)} = {decimal_text(ratio)} "
        f"({percent_text(ratio)} errors)",
        budget_gone_after=_seconds(int(window.length_ms / tier.factor)),
        detected_after=detected,
        resets_after=_seconds(promises.reset_ms(slo, tier, profile.cadence, spec.defaults.scrape_ms)),
    )


def _decimal(ratio: Fraction) -> Decimal:
    """The ratio, with at most seven decimals."""
    return (Decimal(ratio.numerator) / Decimal(ratio.denominator)).quantize(Decimal("0.0000001"))


def _seconds(duration_ms: int) -> str:
    """A duration rounded up to whole seconds."""
    return duration_text(-(-duration_ms // 1000) * 1000)


def _slo_alerts(spec: Spec, slo: Slo) -> Iterator[AlertShown]:
    by_tier = {tier.name: tier for tier in slo.profile.tiers}
    for labels in alert_labels.of(spec):
        if labels.get(names.SLO) != slo.name:
            continue
        tier = by_tier.get(labels.get(names.TIER, ""))
        if tier is not None:
            ratio = percent_text(_decimal(promises.threshold(slo, tier)))
            spans = f"{duration_text(tier.long_ms)} and over {duration_text(tier.short_ms)}"
            when = f"more than {ratio} errors over {spans}"
        elif names.BUDGET_CONSUMED_LABEL in labels:
            when = f"{labels[names.BUDGET_CONSUMED_LABEL]} % of the budget over {slo.profile.window} is spent"
        else:
            when = f"no event was measured for {duration_text(shared.NO_DATA_FOR_MS)}"
        yield _alert_shown(spec, labels, when)


# -- plain alerts


def _alert(spec: Spec, alert: PlainAlert, own: RuleFile, panels: Json) -> Explained:
    facts = {
        "condition": alert.condition.describe(),
        "severity": alert.severity,
        "evaluated": f"each {duration_text(alert.interval_ms)}",
        "fires": f"at most {duration_text(alert.earliest_ms)} after a sample that breaches at once: "
        + " + ".join(_waits(alert)),
    }
    if alert.within_ms is not None:
        facts["promise"] = f"within {duration_text(alert.within_ms)} of the first bad sample"
    read = queries.of_alert(alert)
    labels = next(labels for labels in alert_labels.of(spec) if labels["alertname"] == alert.name)
    return Explained(
        kind="alert",
        name=alert.name,
        position=str(alert.position),
        facts=facts,
        reads=tuple(f"{query.role}: {query.text}" for query in read),
        rules=tuple(_own_rules(own, alert)),
        tiers=(),
        left_out={},
        alerts=(_alert_shown(spec, labels, alert.condition.describe()),),
        panels=tuple(_panels(panels, *(query.text for query in read))),
    )


def _waits(alert: PlainAlert) -> Iterator[str]:
    yield f"one evaluation ({duration_text(alert.interval_ms)})"
    if alert.consecutive > 1:
        yield f"{alert.consecutive - 1} more in a row"
    if alert.for_ms:
        yield f"for {duration_text(alert.for_ms)}"


# -- what both have


def _own_rules(file: RuleFile, subject: Slo | PlainAlert) -> Iterator[RuleShown]:
    for shown, rule in _pairs(file, own=True):
        if rule.origin == subject.position:
            yield shown


def _shown(file: RuleFile, *, own: bool) -> Iterator[RuleShown]:
    return (shown for shown, _ in _pairs(file, own=own))


def _pairs(file: RuleFile, *, own: bool) -> Iterator[tuple[RuleShown, Rule]]:
    for group in file.groups:
        for rule in group.rules:
            shown = RuleShown(
                file=file.path,
                group=group.name,
                interval=duration_text(group.interval_ms),
                name=rule.name,
                labels=dict(rule.labels),
                expr=rule.expr,
                own=own,
            )
            yield shown, rule


def _alert_shown(spec: Spec, labels: Mapping[str, str], when: str) -> AlertShown:
    found = dict(labels)
    begun = [rule for rule in spec.policy if begins(rule, found)]
    return AlertShown(
        name=found["alertname"],
        labels=found,
        fires_when=when,
        policy=tuple(_policy_shown(spec, rule) for rule in begun),
        told=tuple(_told(spec, found)),
    )


def _policy_shown(spec: Spec, rule: PolicyRule) -> PolicyShown:
    switches = [action for name in rule.do if isinstance(action := spec.actions.get(name), SwitchAction)]
    return PolicyShown(
        id=rule.id,
        position=str(rule.position),
        does=rule.do,
        sets=tuple(f"{one.feature_flag} to {one.variant} in {one.file}" for one in switches),
        unfrozen=unfreeze_text(rule.unfreeze),
    )


def unfreeze_text(unfreeze: Unfreeze) -> str:
    """When a freeze ends, in one line."""
    parts = []
    if unfreeze.resolved_for_ms or not unfreeze.all_of:
        parts.append(f"the alert has been resolved for {duration_text(unfreeze.resolved_for_ms)}")
    for condition in unfreeze.all_of:
        held = f" for {duration_text(condition.held_for_ms)}" if condition.held_for_ms else ""
        if isinstance(condition, BudgetRemaining):
            parts.append(f"{percent_text(condition.at_least)} of the budget is left{held}")
        else:
            parts.append(f"{condition.query} {condition.op} {decimal_text(condition.value)}{held}")
    return f"{' and '.join(parts)}; reviewed after {duration_text(unfreeze.review_after_ms)}"


def _told(spec: Spec, labels: Mapping[str, str]) -> Iterator[str]:
    """The people that Alertmanager tells, in order."""
    for planned in people.plan(spec):
        if all(labels.get(label, "") in values for label, values in planned.match):
            where = f" ({planned.written.position})" if planned.written is not None else " (the owner)"
            yield f"{planned.address.team.name} by {', '.join(planned.address.media)}{where}"
            if not planned.goes_on:
                return


def _panels(shown: Json, *wanted: str) -> Iterable[str]:
    """Titles of the panels whose query holds one of some texts, each with its row."""
    row = ""
    found: dict[str, None] = {}
    for panel in dashboard.all_panels(shown):
        title = str(panel.get("title", ""))
        if panel.get("type") == "row":
            row = title
        queries = [str(target.get("expr", "")) for target in panel.get("targets", ())]
        if any(text in query for query in queries for text in wanted):
            found[f"{row} › {title}" if row else title] = None
    return found


# -- lines


def at_line(spec: Spec, root: Value, line: int) -> frozenset[str]:
    """The SLOs and alerts that a line of the spec is about; for a line of `policy`, those that start the rule.

    Empty if the line belongs to none of them.
    """
    before = [(at, found) for at, found in _starts(spec, root) if at <= line]
    return max(before, key=lambda item: item[0])[1] if before else frozenset()


def _starts(spec: Spec, root: Value) -> Iterator[tuple[int, frozenset[str]]]:
    """The first line of each part of the spec, with the names that it is about."""
    sections = root.content if isinstance(root.content, dict) else {}
    for section, entry in sections.items():
        yield entry.key_position.line, frozenset()
        inner = entry.value.content if isinstance(entry.value.content, dict) else {}
        for name, one in inner.items():
            if section in ("slos", "alerts"):
                yield one.key_position.line, frozenset({name})
            elif section == "actions":
                doing = tuple(rule for rule in spec.policy if name in rule.do)
                yield one.key_position.line, _beginning(spec, doing)
    for rule in spec.policy:
        yield rule.position.line, _beginning(spec, (rule,))
    for gate in spec.canary.gates if spec.canary is not None else ():
        yield gate.position.line, frozenset({explain_canary.name(gate)})


def _beginning(spec: Spec, begun: tuple[PolicyRule, ...]) -> frozenset[str]:
    return frozenset(
        labels.get(names.SLO, labels["alertname"])
        for labels in alert_labels.of(spec)
        if any(begins(rule, labels) for rule in begun)
    )
