"""Policy: which alert leads to which actions, and when a freeze ends again.

`parse_rules` reads what is written; `check` holds it against the rest of the spec, once all of that is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from freezeline.dataclass import dataclass
from freezeline.problems import Position, Problems, nearest
from generator import alert_labels, names
from generator.actions import Action, FreezeAction, NotifyAction, RollbackAction, parse_actions
from generator.model import SEVERITIES, Slo, Spec
from generator.promql import Want
from generator.reader import Reader, is_label_name
from generator.units import DAY, MINUTE

__all__ = [
    "Action",
    "BudgetRemaining",
    "FreezeAction",
    "NotifyAction",
    "PolicyRule",
    "QueryHolds",
    "Release",
    "RollbackAction",
    "Trigger",
    "check",
    "matchers",
    "parse_actions",
    "parse_rules",
]

RESOLVED_FOR_MS = 5 * MINUTE
REVIEW_AFTER_MS = DAY
MAX_AGE_MS = 10 * MINUTE
LONGEST_AGE_MS = DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Which alerts of the service begin it; what is empty does not matter. `budget_consumed` is a ratio (1 = all)."""

    alert: str = ""
    slo: str = ""
    tier: str = ""
    severity: str = ""
    budget_consumed: Decimal | None = None
    labels: tuple[tuple[str, str], ...] = ()
    position: Position

    @property
    def alertname(self) -> str:
        """The label `alertname`, or "" for any."""
        return names.BUDGET_CONSUMED if self.budget_consumed is not None else self.alert


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRemaining:
    """At least this ratio of the budget is left. No `slo`: of each SLO of the service."""

    slo: str
    at_least: Decimal
    held_for_ms: int
    max_age_ms: int
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryHolds:
    """A query of the user's own compares true."""

    query: str
    op: str  # ">=" or "<="
    value: Decimal
    held_for_ms: int
    max_age_ms: int
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """When the freeze goes by itself: all of it holds and the alert has been resolved for `resolved_for_ms`."""

    resolved_for_ms: int
    all_of: tuple[BudgetRemaining | QueryHolds, ...]
    review_after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One line of policy: on this, do that, until then. `do` names actions."""

    id: str
    on: Trigger
    do: tuple[str, ...]
    release: Release
    position: Position


def parse_rules(readers: Iterable[Reader]) -> tuple[PolicyRule, ...]:
    """The `policy` list. What is wrong is reported; a rule with a mistake is left out."""
    found: dict[str, PolicyRule] = {}
    for reader in readers:
        before = reader.problems.error_count
        rule = _parse_rule(reader)
        if rule is not None and rule.id in found:
            first = found[rule.id].position.line
            hint = f"the other is on line {first}; write `id:` to tell them apart"
            reader.fail("policy/duplicate-id", f"two rules have the id {rule.id}", hint)
        if rule is not None and reader.problems.error_count == before:
            found[rule.id] = rule
    return tuple(found.values())


def _parse_rule(reader: Reader) -> PolicyRule | None:
    on = reader.mapping("on", required=True)
    trigger = _parse_trigger(on) if on is not None else None
    if reader.required_value("do") is not None and not (reader.texts("do")):
        reader.fail("policy/no-action", f"{reader.what} does nothing", "name actions: `do: [freeze, tell]`", key="do")
    do = reader.texts("do")
    for name in sorted({name for name in do if do.count(name) > 1}):
        reader.fail("policy/duplicate-action", f"{name} stands in `do` twice", "once is enough", key="do")
    until = reader.mapping("until")
    release = _parse_release(until, trigger)
    rule_id = reader.name("id", _default_id(trigger) if trigger else "rule")
    reader.finish()
    if trigger is None:
        return None
    return PolicyRule(id=rule_id, on=trigger, do=do, release=release, position=reader.position)


def _parse_trigger(reader: Reader) -> Trigger:
    consumed = reader.ratio("budget_consumed") if reader.has("budget_consumed") else None
    severity = reader.choice("severity", SEVERITIES) if reader.has("severity") else ""
    trigger = Trigger(
        alert=reader.text("alert", ""),
        slo=reader.text("slo", ""),
        tier=reader.text("tier", ""),
        severity=severity,
        budget_consumed=consumed,
        labels=_parse_labels(reader),
        position=reader.position,
    )
    reader.finish()
    if trigger.alert and consumed is not None:
        reader.fail("policy/trigger", "`alert` and `budget_consumed` are two triggers", "make two rules of them")
    elif not trigger.alertname and not severity:
        hint = "on: {alert: Name}, on: {budget_consumed: 100%} or on: {severity: critical}"
        reader.fail("policy/trigger", f"{reader.what} does not say on which alert", hint)
    return trigger


def _parse_labels(reader: Reader) -> tuple[tuple[str, str], ...]:
    inner = reader.mapping("labels")
    if inner is None:
        return ()
    found = []
    for label, _ in inner.free_entries():
        if not is_label_name(label) or label in names.RESERVED_LABELS:
            hint = "a label of the data, such as one of `group_by`; the others have keys of their own beside `labels`"
            inner.fail("policy/label", f"{label!r} cannot stand in {inner.what}", hint, key=label)
        found.append((label, inner.text(label)))
    return tuple(found)


def _parse_release(until: Reader | None, trigger: Trigger | None) -> Release:
    if until is None:
        return Release(resolved_for_ms=RESOLVED_FOR_MS, all_of=(), review_after_ms=REVIEW_AFTER_MS)
    held_for_ms = until.duration_ms("held_for", 0, at_least=0)
    max_age_ms = until.duration_ms("max_age", MAX_AGE_MS)
    if max_age_ms > LONGEST_AGE_MS:
        until.fail("policy/max-age", "an answer may be a day old at most", "shorten `max_age`", key="max_age")
    conditions: list[BudgetRemaining | QueryHolds] = []
    if until.has("budget_remaining"):
        conditions.append(_parse_budget(until, trigger, held_for_ms, max_age_ms))
    if until.has("query"):
        conditions.append(_parse_query(until, held_for_ms, max_age_ms))
    elif not conditions:
        for key in ("slo", "held_for", "max_age"):
            if until.has(key):
                hint = (
                    "add `budget_remaining: 10%`, or remove it; `resolved_for` is how long the alert must be resolved"
                )
                until.fail("policy/until", f"`{key}` says nothing without a condition", hint, key=key)
    by_budget = trigger is not None and trigger.budget_consumed is not None and bool(conditions)
    release = Release(
        resolved_for_ms=until.duration_ms("resolved_for", 0 if by_budget else RESOLVED_FOR_MS, at_least=0),
        all_of=tuple(conditions),
        review_after_ms=until.duration_ms("review_after", REVIEW_AFTER_MS),
    )
    until.finish()
    return release


def _parse_budget(until: Reader, trigger: Trigger | None, held_for_ms: int, max_age_ms: int) -> BudgetRemaining:
    at_least = until.ratio("budget_remaining")
    if not 0 <= at_least < 1:
        hint = "write a share of the whole budget, such as 10%"
        until.fail("policy/until", "budget_remaining must lie between 0% and 100%", hint, key="budget_remaining")
    return BudgetRemaining(
        slo=until.text("slo", trigger.slo if trigger else ""),
        at_least=at_least,
        held_for_ms=held_for_ms,
        max_age_ms=max_age_ms,
        position=until.at("slo" if until.has("slo") else "budget_remaining"),
    )


def _parse_query(until: Reader, held_for_ms: int, max_age_ms: int) -> QueryHolds:
    bounds = [(op, until.bound(key)[0]) for key, op in (("min", ">="), ("max", "<=")) if until.has(key)]
    if len(bounds) != 1:
        until.fail("policy/until", "a query needs one bound", "add `min:` or `max:`", key="query")
    op, value = bounds[0] if bounds else (">=", Decimal(0))
    return QueryHolds(
        query=until.promql("query", Want.NUMBER),
        op=op,
        value=value,
        held_for_ms=held_for_ms,
        max_age_ms=max_age_ms,
        position=until.at("query"),
    )


def kebab(text: str) -> str:
    """A name in kebab case: `DLQEntriesIncreasing` → `dlq-entries-increasing`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", text)
    return re.sub(r"[^a-z0-9.]+", "-", spaced.lower()).strip("-")


def _default_id(trigger: Trigger) -> str:
    if trigger.budget_consumed is not None:
        parts = ["budget-consumed", alert_labels.consumed_label(trigger.budget_consumed)]
    elif trigger.alert:
        parts = [kebab(trigger.alert)]
    else:
        parts = ["severity"]
    parts += [kebab(part) for part in (trigger.slo, trigger.tier, trigger.severity) if part]
    parts += [kebab(value) for _, value in trigger.labels]
    return "-".join(part for part in parts if part)[:64].strip("-.") or "rule"


def matchers(trigger: Trigger, service: str) -> tuple[tuple[str, str], ...]:
    """The labels that an alert must have, each with its value; the service always."""
    consumed = alert_labels.consumed_label(trigger.budget_consumed) if trigger.budget_consumed is not None else ""
    known = (
        ("alertname", trigger.alertname),
        (names.BUDGET_CONSUMED_LABEL, consumed),
        (names.SLO, trigger.slo),
        (names.TIER, trigger.tier),
        (names.SEVERITY, trigger.severity),
        *trigger.labels,
        (names.SERVICE, service),
    )
    return tuple((label, value) for label, value in known if value)


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
        for condition in rule.release.all_of:
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
        known = ", ".join(f"{alert_labels.consumed_label(share)}%" for share in shares)
        hint = f"known here: {known}" if known else "the spec has no SLO"
        label = alert_labels.consumed_label(trigger.budget_consumed)
        problems.add("policy/unknown-alert", at, f"no alert tells of {label}% of the budget", hint)
        return
    tiers = {tier.name for slo in meant for tier in slo.profile.tiers}
    if trigger.tier and trigger.tier not in tiers:
        report_unknown(problems, "policy/unknown-tier", at, kind="tier", name=trigger.tier, known=tiers)
    elif not any(_may_match(trigger, labels) for labels in alert_labels.of(spec)):
        wanted = ", ".join(f'{label}="{value}"' for label, value in matchers(trigger, spec.service))
        problems.add("policy/unknown-alert", at, f"no alert of the spec has {wanted}", "the rule could never begin")


def _has_share(slos: list[Slo], share: Decimal) -> bool:
    return any(share in slo.profile.consumed for slo in slos)


def _may_match(trigger: Trigger, labels: alert_labels.AlertLabels) -> bool:
    """Whether an alert with these labels begins it; labels of the data may be there."""
    wanted = matchers(trigger, labels[names.SERVICE])
    return all(labels.get(label) == value for label, value in wanted if (label, value) not in trigger.labels)


def begins(rule: PolicyRule, labels: alert_labels.AlertLabels) -> bool:
    """Whether an alert of the spec begins the rule; where the data decides, it does."""
    return _may_match(rule.on, labels)


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
