"""Whether each policy rule names alerts, SLOs and actions that exist, and whether each action is used."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from freezeline.problems import Position, Problems, nearest
from generator.model import alert_labels
from generator.model.alert_labels import may_match
from generator.model.burn import consumed_label
from generator.model.policy import BudgetRemaining, Trigger, matchers
from generator.model.spec import Slo, Spec


def known_alerts(spec: Spec) -> frozenset[str]:
    """Names of the alerts that the spec makes."""
    return frozenset(labels["alertname"] for labels in alert_labels.of(spec))


def report_unknown(
    problems: Problems, code: str, position: Position, *, kind: str, name: str, known: Iterable[str]
) -> None:
    """Report a name that nothing in the spec has, with the nearest one that it has."""
    near = nearest(name, known)
    listed = ", ".join(sorted(known))
    hint = f"did you mean `{near}`?" if near else f"known here: {listed}" if listed else f"the spec has no {kind}"
    problems.add(code, position, f"there is no {kind} {name!r}", hint)


def check(spec: Spec, problems: Problems) -> None:
    """Report policy that names what the spec does not have, or that could never begin."""
    for rule in spec.policy:
        for name in rule.do:
            if name not in spec.actions and name not in spec.broken:
                report_unknown(
                    problems, "policy/unknown-action", rule.position, kind="action", name=name, known=spec.actions
                )
        _check_trigger(spec, rule.on, problems)
        for condition in rule.unfreeze.all_of:
            if isinstance(condition, BudgetRemaining):
                _check_budget(spec, condition, problems)
    _check_unused(spec, problems)


def _check_trigger(spec: Spec, trigger: Trigger, problems: Problems) -> None:
    at = trigger.position
    slos = {slo.name: slo for slo in spec.slos}
    if trigger.alert and trigger.alert not in known_alerts(spec) | spec.broken:
        report_unknown(problems, "policy/unknown-alert", at, kind="alert", name=trigger.alert, known=known_alerts(spec))
        return
    if trigger.slo and trigger.slo not in slos.keys() | spec.broken:
        report_unknown(problems, "policy/unknown-slo", at, kind="SLO", name=trigger.slo, known=slos)
        return
    if spec.broken:
        return  # what is missing may be what could not be read
    meant = [slos[trigger.slo]] if trigger.slo else list(spec.slos)
    if trigger.budget_consumed is not None and not _has_share(meant, trigger.budget_consumed):
        shares = sorted({share for slo in meant for share in slo.profile.consumed})
        known = ", ".join(f"{consumed_label(share)}%" for share in shares)
        hint = f"known here: {known}" if known else "the spec has no SLO"
        label = consumed_label(trigger.budget_consumed)
        problems.add("policy/unknown-alert", at, f"no alert tells of {label}% of the budget", hint)
        return
    tiers = {tier.name for slo in meant for tier in slo.profile.tiers}
    if trigger.tier and trigger.tier not in tiers:
        report_unknown(problems, "policy/unknown-tier", at, kind="tier", name=trigger.tier, known=tiers)
    elif not any(may_match(trigger, labels) for labels in alert_labels.of(spec)):
        wanted = ", ".join(f'{label}="{value}"' for label, value in matchers(trigger, spec.service))
        problems.add("policy/unknown-alert", at, f"no alert of the spec has {wanted}", "the rule could never begin")


def _has_share(slos: list[Slo], share: Decimal) -> bool:
    return any(share in slo.profile.consumed for slo in slos)


def _check_budget(spec: Spec, condition: BudgetRemaining, problems: Problems) -> None:
    known = {slo.name for slo in spec.slos}
    if condition.slo and condition.slo not in known | spec.broken:
        report_unknown(problems, "policy/unknown-slo", condition.position, kind="SLO", name=condition.slo, known=known)
    elif not known and not spec.broken:
        hint = "the budget belongs to an SLO; add one under `slos:`"
        problems.add("policy/unknown-slo", condition.position, "the spec has no SLO whose budget could remain", hint)


def _check_unused(spec: Spec, problems: Problems) -> None:
    if spec.broken or problems.errors:
        return  # a rule that names it may be what could not be read
    used = {name for rule in spec.policy for name in rule.do}
    used |= set(spec.canary.on_abort) if spec.canary else set()
    for name, action in spec.actions.items():
        if name not in used:
            hint = "name it under `do:` of a rule, or remove it"
            problems.add("policy/unused-action", action.position, f"nothing does {name}", hint, warning=True)
