"""Whether each policy rule names existing alerts, SLOs and actions, and whether some rule uses each action."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from freezeline.problems import Position, Problems, nearest
from generator import names
from generator.model import alert_labels
from generator.model.alert_labels import may_match
from generator.model.burn import consumed_label
from generator.model.policy import BudgetRemaining, Trigger, matchers
from generator.model.spec import Slo, Spec


def known_alerts(spec: Spec) -> frozenset[str]:
    """Names of the alerts that Freezeline generates for the spec, or would generate for SLOs without problems."""
    broken_slo = "SLO" in spec.broken.values()
    found = frozenset(labels["alertname"] for labels in alert_labels.of(spec))
    return found.union(names.GENERATED_ALERTS) if broken_slo else found


def report_unknown(
    spec: Spec, problems: Problems, code: str, position: Position, *, kind: str, name: str, known: Iterable[str]
) -> None:
    """Report a name that the spec does not define, with the nearest name that it does.

    A name whose own definition has problems may be the one that was meant.
    """
    known = {*known, *(broken for broken, its_kind in spec.broken.items() if its_kind == kind)}
    near = nearest(name, sorted(known))
    listed = ", ".join(sorted(known))
    if near:
        hint = f"did you mean `{near}`?"
    elif listed:
        hint = f"use one of: {listed}"
    else:
        hint = f"add {'an' if kind[0] in 'aSe' else 'a'} {kind} to the spec, or remove the name"
    problems.add(code, position, f"the spec has no {kind} {name!r}", hint)


def check(spec: Spec, problems: Problems) -> None:
    """Report rules that name something unknown, and rules that no alert can start."""
    for rule in spec.policy:
        for name in rule.do:
            if name not in spec.actions and name not in spec.broken:
                report_unknown(
                    spec, problems, "policy/unknown-action", rule.position, kind="action", name=name, known=spec.actions
                )
        _check_trigger(spec, rule.on, problems)
        for condition in rule.unfreeze.all_of:
            if isinstance(condition, BudgetRemaining):
                _check_budget(spec, condition, problems)
    _check_unused(spec, problems)


def _check_trigger(spec: Spec, trigger: Trigger, problems: Problems) -> None:
    at = trigger.position
    slos = {slo.name: slo for slo in spec.slos}
    if trigger.alert and trigger.alert not in known_alerts(spec) | spec.broken.keys():
        report_unknown(
            spec, problems, "policy/unknown-alert", at, kind="alert", name=trigger.alert, known=known_alerts(spec)
        )
        return
    if trigger.slo and trigger.slo not in slos.keys() | spec.broken.keys():
        report_unknown(spec, problems, "policy/unknown-slo", at, kind="SLO", name=trigger.slo, known=slos)
        return
    if spec.broken:
        return  # the missing name may belong to a part of the spec with problems
    meant = [slos[trigger.slo]] if trigger.slo else list(spec.slos)
    if trigger.budget_consumed is not None and not _has_share(meant, trigger.budget_consumed):
        shares = sorted({share for slo in meant for share in slo.profile.consumed})
        known = ", ".join(f"{consumed_label(share)}%" for share in shares)
        hint = f"write one of: {known}" if known else "add an SLO under `slos:`, or remove the rule"
        label = consumed_label(trigger.budget_consumed)
        problems.add("policy/unknown-alert", at, f"no alert fires at {label}% of the budget", hint)
        return
    tiers = {tier.name for slo in meant for tier in slo.profile.tiers}
    if trigger.tier and trigger.tier not in tiers:
        report_unknown(spec, problems, "policy/unknown-tier", at, kind="tier", name=trigger.tier, known=tiers)
    elif not any(may_match(trigger, labels) for labels in alert_labels.of(spec)):
        wanted = ", ".join(f'{label}="{value}"' for label, value in matchers(trigger, spec.service))
        problems.add(
            "policy/unknown-alert",
            at,
            f"the rule can never start: no alert of the spec has {wanted}",
            "write labels of an alert that this spec generates: see `freezeline explain`",
        )


def _has_share(slos: list[Slo], share: Decimal) -> bool:
    return any(share in slo.profile.consumed for slo in slos)


def _check_budget(spec: Spec, condition: BudgetRemaining, problems: Problems) -> None:
    known = {slo.name for slo in spec.slos}
    if condition.slo and condition.slo not in known | spec.broken.keys():
        report_unknown(
            spec, problems, "policy/unknown-slo", condition.position, kind="SLO", name=condition.slo, known=known
        )
    elif not known and not spec.broken:
        hint = "add an SLO under `slos:`, or remove `budget_remaining`"
        problems.add(
            "policy/unknown-slo",
            condition.position,
            "the rule waits for an error budget, but the spec has no SLO",
            hint,
        )


def _check_unused(spec: Spec, problems: Problems) -> None:
    if spec.broken or problems.errors:
        return  # a rule with problems may use the action
    used = {name for rule in spec.policy for name in rule.do}
    used |= set(spec.canary.on_abort) if spec.canary else set()
    for name, action in spec.actions.items():
        if name not in used:
            hint = f"write `do: [{name}]` in a rule, or remove the action"
            problems.add("policy/unused-action", action.position, f"no rule uses the action {name}", hint, warning=True)
