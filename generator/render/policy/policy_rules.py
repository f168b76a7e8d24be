"""The policy's `rules`: which alerts match, which actions start, and when the freeze ends."""

from __future__ import annotations

from decimal import Decimal

from generator.model.policy import BudgetRemaining, PolicyRule, QueryHolds, matchers
from generator.model.spec import Spec
from generator.render.policy.policy_values import budget_query, matcher_list, seconds
from generator.units import decimal_text


def render(spec: Spec, rule: PolicyRule) -> dict[str, object]:
    """One rule as JSON data."""
    all_of: list[dict[str, object]] = []
    for condition in rule.unfreeze.all_of:
        if isinstance(condition, BudgetRemaining):
            all_of += _budget_conditions(spec, condition)
        else:
            all_of.append(_condition("query", condition.query, condition.op, condition.value, condition))
    return {
        "id": rule.id,
        "match": matcher_list(matchers(rule.on, spec.service)),
        "do": list(rule.do),
        "unfreeze": {
            "resolved_for_s": seconds(rule.unfreeze.resolved_for_ms),
            "all_of": all_of,
            "review_after_s": seconds(rule.unfreeze.review_after_ms),
        },
    }


def _budget_conditions(spec: Spec, condition: BudgetRemaining) -> list[dict[str, object]]:
    """One condition for each SLO of the rule. A condition without data does not hold."""
    meant = [slo for slo in spec.slos if condition.slo in ("", slo.name)]
    return [
        _condition(
            "budget" if len(meant) == 1 else f"budget-{slo.name}",
            budget_query(spec, slo),
            ">=",
            condition.at_least,
            condition,
        )
        for slo in meant
    ]


def _condition(
    name: str, query: str, op: str, value: Decimal, timing: BudgetRemaining | QueryHolds
) -> dict[str, object]:
    return {
        "id": name,
        "query": query,
        "op": op,
        "value": decimal_text(value),
        "held_for_s": seconds(timing.held_for_ms),
        "max_age_s": seconds(timing.max_age_ms),
    }
