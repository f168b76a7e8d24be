"""The `canary` section: the spec's text, and the receiver's data."""

from typing import Any

import pytest

from generator.render.policy import policy
from tests.unit.generator.spec.loading import ACTIONS, found, good

RULES = "policy: [{on: {severity: critical}, do: [freeze, tell]}]\n"
STAGES = "stages: [{weight: 10%, bake: 1h}, {weight: 100%, soak: 1h}]"
GATES = "gates: [{id: errors, query: 'errors', max: 1%}]"
END = "on_abort: [freeze, rollback]"


def section(*lines: str) -> str:
    """Actions, a policy and a canary section of these lines."""
    return ACTIONS + RULES + "canary:\n" + "".join(f"  {line}\n" for line in lines)


def rendered(*lines: str) -> dict[str, Any]:
    """The compiled member."""
    member: Any = policy.render(good(section(*lines)))["canary"]
    return dict(member)


def test_a_short_section_gets_its_defaults_written_out() -> None:
    """A check every 30 s, one sample is enough, and ten minutes without data abort."""
    assert rendered(STAGES, GATES, END) == {
        "every_s": 30,
        "min_samples": 1,
        "no_data": {"hold_for_s": 600, "then": "abort"},
        "stages": [{"weight": "0.1", "bake_s": 3600}, {"weight": "1", "soak_s": 3600}],
        "gates": [{"id": "errors", "query": "errors", "op": "<=", "value": "0.01", "consecutive": 1}],
        "abort_on": [],
        "on_abort": ["freeze", "rollback"],
    }


def test_every_key_of_the_contract_is_carried() -> None:
    """Adapter, approvals, daily checks, an A/B test, pushed samples and alerts that abort."""
    member = rendered(
        "deploy:  {command: [/opt/deploy.sh], timeout: 300s}",
        "release: {command: [/opt/release.sh]}",
        "traffic: {haproxy: {socket: /run/haproxy/admin.sock, backend: web, stable: old, canary: new}}",
        "start:   {gate: true}",
        "every: 15s",
        "min_samples: 50",
        "no_data: {hold_for: 15m, then: hold}",
        "stages:",
        "  - {weight: 5%,   bake: 90m, then: {approval: manual}}",
        "  - {weight: 12.5%, bake: 7d, daily: {gate: true}}",
        "  - {weight: 50%,  bake: 14d, ab: {metrics: [failures], confidence: 99%, power: 90%, then: approval}}",
        "  - {weight: 100%, soak: 24h, then: {gate: true}}",
        "gates: [{id: cpu, source: push, max: 80%, consecutive: 3}, {id: ok, query: 'ok{v=\"$canary\"}', min: 99.5%}]",
        "abort_on: [{severity: critical}, {alert: QueueLong}]",
        END,
    )
    assert member["traffic"]["haproxy"]["socket"] == "/run/haproxy/admin.sock"
    assert (member["start"], member["every_s"], member["min_samples"]) == ({"gate": True}, 15, 50)
    assert member["no_data"] == {"hold_for_s": 900, "then": "hold"}
    assert member["stages"] == [
        {"weight": "0.05", "bake_s": 5400, "then": {"approval": "manual"}},
        {"weight": "0.125", "bake_s": 604800, "daily": {"gate": True}},
        {
            "weight": "0.5",
            "bake_s": 1209600,
            "ab": {
                "metrics": ["failures"],
                "confidence": "0.99",
                "power": "0.9",
                "method": "fixed-horizon",
                "then": "approval",
            },
        },
        {"weight": "1", "soak_s": 86400, "then": {"gate": True}},
    ]
    assert member["gates"] == [
        {"id": "cpu", "source": "push", "op": "<=", "value": "0.8", "consecutive": 3},
        {"id": "ok", "query": 'ok{v="$canary"}', "op": ">=", "value": "0.995", "consecutive": 1},
    ]
    service = {"label": "service", "op": "=", "value": "gateway"}
    assert member["abort_on"] == [
        [{"label": "severity", "op": "=", "value": "critical"}, service],
        [{"label": "alertname", "op": "=", "value": "QueueLong"}, service],
    ]


def test_a_rollout_that_asks_a_gate_gets_the_default_one() -> None:
    """Without `gate:`, the default gate asks whether the service is frozen and whether a critical alert fires."""
    compiled: Any = policy.render(good(section(STAGES, GATES, "start: {gate: true}", END)))
    assert [check["kind"] for check in compiled["gate"]["checks"]] == ["not-frozen", "none-firing"]


def test_traffic_can_be_moved_by_commands() -> None:
    """For load balancers without an adapter in Freezeline."""
    member = rendered("traffic: {commands: {set: [/opt/set], read: [/opt/get], timeout: 3s}}", STAGES, GATES, END)
    assert member["traffic"] == {"commands": {"set": ["/opt/set"], "read": ["/opt/get"], "timeout_s": 3}}


@pytest.mark.parametrize(
    "lines,code,place",
    [
        (["stages: []", GATES, END], "canary/no-stage", "stages: []"),
        (["stages: [{weight: 10%, bake: 1h}]", GATES, END], "canary/weight", "{weight: 10%"),
        (["stages: [{weight: 100%, bake: 1h}, {weight: 50%, bake: 1h}]", GATES, END], "canary/weight", "50%"),
        (["stages: [{weight: 0%, bake: 1h}, {weight: 100%, soak: 1h}]", GATES, END], "canary/weight", "0%"),
        (["stages: [{weight: 100%}]", GATES, END], "canary/stage", "{weight: 100%}"),
        (["stages: [{weight: 100%, soak: 1h, then: {}}]", GATES, END], "canary/ask", "{}"),
        (["stages: [{weight: 100%, soak: 1h, daily: {gate: true}}]", GATES, END], "canary/stage", "{gate: true}"),
        (["stages: [{weight: 100%, soak: 1h, ab: {metrics: []}}]", GATES, END], "canary/ab", "[]"),
        (["stages: [{weight: 100%, soak: 1h, ab: {metrics: [x]}}]", GATES, END], "canary/unknown-slo", "{weight"),
        ([STAGES, "gates: [{id: a, query: 'x'}]", END], "canary/gate", "{id: a"),
        ([STAGES, "gates: [{id: a, query: 'x', max: 1, min: 0}]", END], "canary/gate", "{id: a"),
        ([STAGES, "gates: [{id: a, query: 'x{v=\"$new\"}', max: 1}]", END], "canary/placeholder", "'x{v"),
        ([STAGES, "gates: [{id: a, query: 'x(', max: 1}]", END], "promql/parse", "'x('"),
        ([STAGES, "gates: [{id: a, source: push, query: 'x', max: 1}]", END], "canary/gate", "'x'"),
        ([STAGES, "gates: [{id: a, query: x, max: 1}, {id: a, query: y, max: 1}]", END], "canary/duplicate-gate", "a,"),
        ([STAGES, END], "canary/blind", "stages:"),
        ([STAGES, GATES, "on_abort: [freeze, rollbakc]"], "canary/unknown-action", "stages:"),
        ([STAGES, GATES, "on_abort: [freeze]"], "canary/no-rollback", "stages:"),
        ([STAGES, GATES, "on_abort: [rollback]"], "canary/no-freeze", "stages:"),
        ([STAGES, GATES, "abort_on: [{alert: Nothing}]", END], "canary/unknown-alert", "{alert: Nothing}"),
        ([STAGES, GATES, "traffic: {}", END], "canary/traffic", "{}"),
        (
            [
                STAGES,
                GATES,
                "traffic: {haproxy: {socket: /run/h.sock, backend: b, stable: x, canary: x}}",
                END,
            ],
            "canary/traffic",
            "x}}",
        ),
        ([STAGES, GATES, "evry: 15s", END], "spec/unknown-key", "evry"),
    ],
)
def test_a_mistake_is_reported_where_it_stands(lines: list[str], code: str, place: str) -> None:
    """Each mistake gives a problem with its code at its position."""
    problems = [problem for problem in found(section(*lines)) if problem[0] != "policy/unused-action"]
    assert (code, True) in [(problem[0], problem[1].startswith(place)) for problem in problems]
    assert {problem[0].split("/")[0] for problem in problems} == {code.split("/", maxsplit=1)[0]}
