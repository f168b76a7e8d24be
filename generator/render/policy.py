"""The policy file that the receiver reads (contracts: policy): rules, actions, escalation, gate and canary as data.

Durations are seconds (`*_s`), decimals are texts, so that no reader rounds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from generator import gate as gates
from generator.actions import LEGACY_TIMEOUT_MS, Action, FreezeAction, LegacyFile, NotifyAction, RollbackAction
from generator.canary import asks_gate
from generator.gate import Gate
from generator.model import Spec
from generator.policy import BudgetRemaining, PolicyRule, QueryHolds, matchers
from generator.render import canary as canary_render
from generator.render import gate as gate_render
from generator.render.policy_values import budget_query, command, matcher_list, seconds
from generator.routing import Routing, channels_of
from generator.units import decimal_text

FORMAT = "freezeline.policy/1"


def render(spec: Spec) -> dict[str, object]:
    """The policy of one spec as JSON data."""
    policy: dict[str, object] = {
        "format": FORMAT,
        "name": spec.name,
        "service": spec.service,
        "spec": spec.reference,
        "rules": [_rule(spec, rule) for rule in spec.policy],
        "actions": {name: _action(action) for name, action in spec.actions.items()},
    }
    if spec.routing is not None:
        policy |= _people(spec.routing)
    gate = _gate(spec)
    if gate is not None:
        policy["gate"] = gate_render.render(spec, gate)
    if spec.canary is not None:
        policy["canary"] = canary_render.render(spec, spec.canary)
    if spec.targets:
        policy["targets"] = dict(spec.targets)
    return policy


def _gate(spec: Spec) -> Gate | None:
    """The spec's gate; where a rollout asks one that is not written, the default one."""
    if spec.gate is None and spec.canary is not None and asks_gate(spec.canary):
        return gates.default(spec.canary.position)
    return spec.gate


def _rule(spec: Spec, rule: PolicyRule) -> dict[str, object]:
    all_of: list[dict[str, object]] = []
    for condition in rule.release.all_of:
        if isinstance(condition, BudgetRemaining):
            all_of += _budget_conditions(spec, condition)
        else:
            all_of.append(_condition("query", condition.query, condition.op, condition.value, condition))
    return {
        "id": rule.id,
        "match": matcher_list(matchers(rule.on, spec.service)),
        "do": list(rule.do),
        "release": {
            "resolved_for_s": seconds(rule.release.resolved_for_ms),
            "all_of": all_of,
            "review_after_s": seconds(rule.release.review_after_ms),
        },
    }


def _budget_conditions(spec: Spec, condition: BudgetRemaining) -> list[dict[str, object]]:
    """One condition for each SLO that is meant: where one has no data, its condition does not hold."""
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


def _action(action: Action) -> dict[str, object]:
    match action:
        case FreezeAction():
            return _freeze(action)
        case RollbackAction():
            return _rollback(action)
        case NotifyAction():
            told: dict[str, object] = {"type": "notify", "channels": list(action.channels)}
            told |= {"fallback": list(action.fallback)} if action.fallback else {}
            return told | ({"moments": list(action.moments)} if action.moments else {})


def _freeze(action: FreezeAction) -> dict[str, object]:
    legacy: list[Mapping[str, object]] = [
        {"file": one.file, "text": one.text}
        if isinstance(one, LegacyFile)
        else {"on": list(one.on), "off": list(one.off), "timeout_s": seconds(one.timeout_ms or LEGACY_TIMEOUT_MS)}
        for one in action.legacy
    ]
    return {"type": "freeze", "flag": action.flag} | ({"legacy": legacy} if legacy else {})


def _rollback(action: RollbackAction) -> dict[str, object]:
    found: dict[str, object] = {"type": "rollback", "command": list(action.command.argv)}
    found |= {"cwd": action.cwd} if action.cwd else {}
    found |= {"env": dict(action.env)} if action.env else {}
    found |= {
        "timeout_s": seconds(action.command.timeout_ms),
        "grace_s": seconds(action.grace_ms),
        "output_max_bytes": action.output_max_bytes,
    }
    if action.verify is not None:
        verify = action.verify
        found["verify"] = command(verify.command) | {"done": list(verify.done), "not_done": list(verify.not_done)}
    if action.release is not None:
        found["release"] = command(action.release)
    found |= {
        "once_per": action.once_per,
        "cooldown_s": seconds(action.cooldown_ms),
        "max_per_day": action.max_per_day,
    }
    if action.undo is not None:
        undo = action.undo
        found["undo"] = {"within_s": seconds(undo.within_ms)} | (
            {"command": list(undo.command), "timeout_s": seconds(undo.timeout_ms)} if undo.command else {}
        )
    return found


def _people(routing: Routing) -> dict[str, object]:
    found: dict[str, object] = {}
    if routing.escalation:
        found["escalation"] = [
            {
                "after_s": seconds(level.after_ms),
                "level": level.level,
                "to": level.to,
                "channels": list(channels_of(routing.teams[level.to])),
            }
            | ({"ask": level.ask} if level.ask else {})
            for level in routing.escalation
        ]
    if routing.status_every_ms is not None:
        found["status_every_s"] = seconds(routing.status_every_ms)
    return found
