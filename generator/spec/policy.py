"""Reads `policy`: which alert starts which actions, and when a freeze ends."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from generator import names
from generator.model.burn import consumed_label
from generator.model.policy import BudgetRemaining, PolicyRule, QueryHolds, Trigger, Unfreeze
from generator.names import SEVERITIES
from generator.promql.check import Want
from generator.promql.text import is_label_name
from generator.reading.reader import Reader
from generator.units import DAY, MINUTE

RESOLVED_FOR_MS = 5 * MINUTE
REVIEW_AFTER_MS = DAY
MAX_AGE_MS = 10 * MINUTE
LONGEST_AGE_MS = DAY


def parse_rules(readers: Iterable[Reader]) -> tuple[PolicyRule, ...]:
    """The `policy` list. Every problem is reported; a rule with a problem is left out."""
    found: dict[str, PolicyRule] = {}
    for reader in readers:
        before = reader.problems.error_count
        rule = _parse_rule(reader)
        if rule is not None and rule.id in found:
            first = found[rule.id].position.line
            hint = f"write another `id:`; the rule on line {first} has this one"
            reader.fail("policy/duplicate-id", f"two rules have the id {rule.id}", hint)
        if rule is not None and reader.problems.error_count == before:
            found[rule.id] = rule
    return tuple(found.values())


def _parse_rule(reader: Reader) -> PolicyRule | None:
    on = reader.mapping("on", required=True)
    trigger = _parse_trigger(on) if on is not None else None
    if reader.required_value("do") is not None and not (reader.texts("do")):
        reader.fail(
            "policy/no-action",
            f"{reader.what} names no action",
            "write `do: [freeze, tell]` with names under `actions:`",
            key="do",
        )
    do = reader.texts("do")
    for name in sorted({name for name in do if do.count(name) > 1}):
        reader.fail("policy/duplicate-action", f"{reader.what}.do names {name} twice", f"remove one {name}", key="do")
    until = reader.mapping("until")
    unfreeze = _parse_unfreeze(until, trigger)
    rule_id = reader.name("id", _default_id(trigger) if trigger else "rule")
    reader.finish()
    if trigger is None:
        return None
    return PolicyRule(id=rule_id, on=trigger, do=do, unfreeze=unfreeze, position=reader.position)


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
        reader.fail(
            "policy/trigger", f"{reader.what} has both `alert` and `budget_consumed`", "write two rules, one for each"
        )
    elif not trigger.alertname and not severity:
        hint = "write `on: {alert: Name}`, `on: {budget_consumed: 100%}` or `on: {severity: critical}`"
        reader.fail("policy/trigger", f"{reader.what} does not say which alert starts the rule", hint)
    return trigger


def _parse_labels(reader: Reader) -> tuple[tuple[str, str], ...]:
    inner = reader.mapping("labels")
    if inner is None:
        return ()
    found = []
    for label, _ in inner.free_entries():
        if not is_label_name(label) or label in names.RESERVED_LABELS:
            hint = "write a label of the data, such as one of `group_by`; other labels have keys beside `labels`"
            inner.fail("policy/label", f"{inner.what}: {label!r} is not a label of the data", hint, key=label)
        found.append((label, inner.text(label)))
    return tuple(found)


def _parse_unfreeze(until: Reader | None, trigger: Trigger | None) -> Unfreeze:
    if until is None:
        return Unfreeze(resolved_for_ms=RESOLVED_FOR_MS, all_of=(), review_after_ms=REVIEW_AFTER_MS)
    held_for_ms = until.duration_ms("held_for", 0, at_least=0)
    max_age_ms = until.duration_ms("max_age", MAX_AGE_MS)
    if max_age_ms > LONGEST_AGE_MS:
        until.fail(
            "policy/max-age",
            f"{until.what}.max_age is longer than one day",
            "write `max_age: 1d` or less",
            key="max_age",
        )
    conditions: list[BudgetRemaining | QueryHolds] = []
    if until.has("budget_remaining"):
        conditions.append(_parse_budget(until, trigger, held_for_ms, max_age_ms))
    if until.has("query"):
        conditions.append(_parse_query(until, held_for_ms, max_age_ms))
    elif not conditions:
        for key in ("slo", "held_for", "max_age"):
            if until.has(key):
                hint = (
                    f"add `budget_remaining: 10%`, or remove `{key}`; `resolved_for: 10m` waits after the alert's end"
                )
                until.fail(
                    "policy/until", f"{until.what} has `{key}`, but no condition that `{key}` belongs to", hint, key=key
                )
    by_budget = trigger is not None and trigger.budget_consumed is not None and bool(conditions)
    unfreeze = Unfreeze(
        resolved_for_ms=until.duration_ms("resolved_for", 0 if by_budget else RESOLVED_FOR_MS, at_least=0),
        all_of=tuple(conditions),
        review_after_ms=until.duration_ms("review_after", REVIEW_AFTER_MS),
    )
    until.finish()
    return unfreeze


def _parse_budget(until: Reader, trigger: Trigger | None, held_for_ms: int, max_age_ms: int) -> BudgetRemaining:
    at_least = until.ratio("budget_remaining")
    if not 0 <= at_least < 1:
        hint = "write a share of the whole budget, such as `budget_remaining: 10%`"
        until.fail(
            "policy/until",
            f"{until.what}.budget_remaining must be at least 0% and below 100%",
            hint,
            key="budget_remaining",
        )
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
        until.fail(
            "policy/until",
            f"{until.what} has a query, but not exactly one of `min` and `max`",
            "add `max: 1%` or `min: 99%`",
            key="query",
        )
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
        parts = ["budget-consumed", consumed_label(trigger.budget_consumed)]
    elif trigger.alert:
        parts = [kebab(trigger.alert)]
    else:
        parts = ["severity"]
    parts += [kebab(part) for part in (trigger.slo, trigger.tier, trigger.severity) if part]
    parts += [kebab(value) for _, value in trigger.labels]
    return "-".join(part for part in parts if part)[:64].strip("-.") or "rule"
