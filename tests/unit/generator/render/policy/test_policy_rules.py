"""Policy rules: the spec's text, and the receiver's data."""

from typing import Any

import pytest

from generator.render.policy import policy
from generator.spec.policy import kebab
from tests.unit.generator.spec.loading import ACTIONS, found, good


def rendered(rule: str, extra: str = "") -> dict[str, Any]:
    """The only rule of a policy, as the receiver reads it."""
    spec = good(ACTIONS + f"policy:\n  - {rule}\n" + extra)
    rules: Any = policy.render(spec)["rules"]
    (only,) = rules
    return dict(only)


def match(rule: dict[str, Any]) -> dict[str, str]:
    """A rule's matchers as label → value; all are equalities."""
    assert {matcher["op"] for matcher in rule["match"]} == {"="}
    return {matcher["label"]: matcher["value"] for matcher in rule["match"]}


@pytest.mark.parametrize(
    "on,rule_id,labels",
    [
        ("{alert: FailureRateHigh}", "failure-rate-high", {"alertname": "FailureRateHigh"}),
        (
            "{budget_consumed: 100%}",
            "budget-consumed-100",
            {"alertname": "SLOBudgetConsumed", "budget_consumed": "100"},
        ),
        (
            "{budget_consumed: 50%, slo: failures}",
            "budget-consumed-50-failures",
            {"alertname": "SLOBudgetConsumed", "budget_consumed": "50", "slo": "failures"},
        ),
        (
            "{alert: SLOBudgetBurn, slo: failures, tier: fast}",
            "slo-budget-burn-failures-fast",
            {"alertname": "SLOBudgetBurn", "slo": "failures", "tier": "fast"},
        ),
        ("{severity: critical}", "severity-critical", {"severity": "critical"}),
        (
            "{alert: SLOBudgetBurn, labels: {route: /pay}}",
            "slo-budget-burn-pay",
            {"alertname": "SLOBudgetBurn", "route": "/pay"},
        ),
        ("{alert: SLONoData, slo: failures}", "slo-no-data-failures", {"alertname": "SLONoData", "slo": "failures"}),
    ],
)
def test_a_trigger_becomes_matchers_of_its_service(on: str, rule_id: str, labels: dict[str, str]) -> None:
    """Every form of `on` becomes plain label matchers, and an id made of their words."""
    rule = rendered(f"{{on: {on}, do: [freeze]}}")
    assert (rule["id"], match(rule)) == (rule_id, {**labels, "service": "gateway"})


def test_an_id_can_be_written() -> None:
    """An `id:` replaces the generated id."""
    assert rendered("{id: stop, on: {alert: QueueLong}, do: [tell]}")["id"] == "stop"


@pytest.mark.parametrize(
    "name,expected",
    [
        ("FailureRateHigh", "failure-rate-high"),
        ("DLQEntriesIncreasing", "dlq-entries-increasing"),
        ("HighRAGFailureRate", "high-rag-failure-rate"),
        ("Http5xxHigh", "http5xx-high"),
        ("already_snake", "already-snake"),
    ],
)
def test_names_become_kebab_case(name: str, expected: str) -> None:
    """Capitals separate words; abbreviations stay together."""
    assert kebab(name) == expected


def test_a_freeze_ends_five_minutes_after_its_alert_unless_said_otherwise() -> None:
    """The default: unfreeze 300 s after the alert resolved, review after a day."""
    unfreeze = rendered("{on: {alert: FailureRateHigh}, do: [freeze]}")["unfreeze"]
    assert unfreeze == {"resolved_for_s": 300, "all_of": [], "review_after_s": 86400}


def test_a_budget_condition_is_a_query_on_what_is_left() -> None:
    """As in the contract's example: the value is a text, and the alert needs no waiting time of its own."""
    rule = "{on: {budget_consumed: 100%, slo: failures}, do: [freeze], until: {budget_remaining: 10%, held_for: 30m}}"
    assert rendered(rule)["unfreeze"] == {
        "resolved_for_s": 0,
        "all_of": [
            {
                "id": "budget",
                "query": 'slo:error_budget_remaining{service="gateway",slo="failures"}',
                "op": ">=",
                "value": "0.1",
                "held_for_s": 1800,
                "max_age_s": 600,
            }
        ],
        "review_after_s": 86400,
    }


def test_without_an_slo_every_budget_must_be_left() -> None:
    """One condition for each SLO (in its worst group); without data, a condition keeps the freeze."""
    rule = "{on: {budget_consumed: 100%}, do: [freeze], until: {budget_remaining: 12.5%}}"
    conditions = rendered(rule)["unfreeze"]["all_of"]
    assert {condition["id"]: (condition["query"], condition["value"]) for condition in conditions} == {
        "budget-failures": ('slo:error_budget_remaining{service="gateway",slo="failures"}', "0.125"),
        "budget-latency": ('min(slo:error_budget_remaining{service="gateway",slo="latency"})', "0.125"),
    }


def test_a_budget_trigger_without_a_condition_keeps_the_hold_down() -> None:
    """Without a condition, only the waiting time keeps the freeze from flapping."""
    rule = rendered("{on: {budget_consumed: 100%}, do: [freeze]}")
    assert rule["unfreeze"]["resolved_for_s"] == 300


def test_a_query_of_the_users_own_can_be_waited_for() -> None:
    """Any query with a bound, beside a budget, with all times written."""
    until = "{query: 'sum(queue)', max: 10, budget_remaining: 5%, slo: failures, held_for: 90s, max_age: 1m, "
    until += "resolved_for: 2m, review_after: 1h}"
    unfreeze = rendered(f"{{on: {{alert: QueueLong}}, do: [freeze], until: {until}}}")["unfreeze"]
    assert [condition["id"] for condition in unfreeze["all_of"]] == ["budget", "query"]
    assert unfreeze["all_of"][1] == {
        "id": "query",
        "query": "sum(queue)",
        "op": "<=",
        "value": "10",
        "held_for_s": 90,
        "max_age_s": 60,
    }
    assert (unfreeze["resolved_for_s"], unfreeze["review_after_s"]) == (120, 3600)


@pytest.mark.parametrize(
    "rule,code,place",
    [
        ("{on: {alert: FailureRateHihg}, do: [tell]}", "policy/unknown-alert", "{alert: FailureRateHihg}"),
        ("{on: {alert: QueueLong}, do: [tel]}", "policy/unknown-action", "{on: {alert: QueueLong}, do: [tel]}"),
        ("{on: {alert: SLOBudgetBurn, slo: failure}, do: [tell]}", "policy/unknown-slo", "{alert: SLOBudgetBurn"),
        ("{on: {alert: SLOBudgetBurn, tier: quick}, do: [tell]}", "policy/unknown-tier", "{alert: SLOBudgetBurn"),
        ("{on: {alert: QueueLong, severity: critical}, do: [tell]}", "policy/unknown-alert", "{alert: QueueLong"),
        ("{on: {severity: info}, do: [tell]}", "policy/unknown-alert", "{severity: info}"),
        ("{on: {}, do: [tell]}", "policy/trigger", "{}"),
        ("{on: {alert: QueueLong, budget_consumed: 50%}, do: [tell]}", "policy/trigger", "{alert: QueueLong"),
        ("{on: {alert: QueueLong, labels: {severity: critical}}, do: [tell]}", "policy/label", "critical}}"),
        ("{on: {alert: QueueLong}, do: []}", "policy/no-action", "[]}"),
        ("{on: {alert: QueueLong}, do: [tell, tell]}", "policy/duplicate-action", "[tell, tell]}"),
        ("{on: {alert: QueueLong}, do: [tell], until: {held_for: 1m}}", "policy/until", "1m}}"),
        ("{on: {alert: QueueLong}, do: [tell], until: {budget_remaining: 100%}}", "policy/until", "100%}}"),
        ("{on: {alert: QueueLong}, do: [tell], until: {budget_remaining: 5%, slo: x}}", "policy/unknown-slo", "x}}"),
        ("{on: {alert: QueueLong}, do: [tell], until: {query: queue}}", "policy/until", "queue}}"),
        ("{on: {alert: QueueLong}, do: [tell], until: {query: 'queue[', max: 1}}", "promql/parse", "'queue['"),
        ("{on: {alert: QueueLong}, do: [tell], until: {resolved_for: soon}}", "spec/type", "soon}}"),
        ("{on: {alert: QueueLong}, do: [tell], untill: {}}", "spec/unknown-key", "untill: {}}"),
    ],
)
def test_a_mistake_in_a_rule_is_reported_where_it_stands(rule: str, code: str, place: str) -> None:
    """Code and position of each mistake, each once."""
    problems = found(ACTIONS + f"policy:\n  - {rule}\n")
    assert [(problem[0], problem[1].startswith(place)) for problem in problems] == [(code, True)]


def test_two_rules_of_one_id_are_reported() -> None:
    """The hint asks for another id for the second rule."""
    rules = "policy:\n  - {on: {alert: QueueLong}, do: [tell]}\n  - {on: {alert: QueueLong}, do: [freeze, rollback]}\n"
    assert found(ACTIONS + rules) == [("policy/duplicate-id", "{on: {alert: QueueLong}, do: [freeze, rollback]}")]


def test_a_reference_to_what_could_not_be_read_is_not_reported_again() -> None:
    """One mistake in an alert or an action gives one problem."""
    text = """\
        actions: {tell: {channels: []}}
        policy: [{on: {alert: FailureRateHigh}, do: [tell]}]
        """
    assert [code for code, _ in found(text)] == ["policy/channel"]


def test_an_action_that_nothing_does_is_worth_a_warning() -> None:
    """People easily write a freeze action and forget to name it in a rule."""
    assert ("policy/unused-action", "{command: [/opt/gateway/rollback.sh]}") in found(
        ACTIONS + "policy: [{on: {alert: QueueLong}, do: [freeze, tell]}]\n"
    )
