"""The `canary` section: the spec's text, and the receiver's data."""

from typing import Any

import pytest

from generator.model.canary_proof import least_events, proof_of
from generator.render.policy import policy
from tests.unit.generator.spec.loading import ACTIONS, found, good

RULES = "policy: [{on: {severity: critical}, do: [freeze, tell]}]\n"
STAGES = "stages: [{weight: 10%, bake: 1h}, {weight: 100%, soak: 1h}]"
GATES = "gates: [{id: errors, query: 'errors', max: 1%}]"
END = "on_abort: [freeze, rollback]"
ONCE = {"consecutive": 1, "min_samples": 1, "on_breach": "abort"}


def section(*lines: str) -> str:
    """Actions, a policy and a canary section of these lines."""
    return ACTIONS + RULES + "canary:\n" + "".join(f"  {line}\n" for line in lines)


def rendered(*lines: str) -> dict[str, Any]:
    """The compiled member."""
    member: Any = policy.render(good(section(*lines)))["canary"]
    return dict(member)


def test_a_short_section_gets_its_defaults_written_out() -> None:
    """A check every 30 s, one sample is enough, and ten minutes without data hold the rollout."""
    assert rendered(STAGES, GATES, END) == {
        "every_s": 30,
        "scrape_s": 15,
        "no_data": {"hold_for_s": 600, "then": "hold"},
        "stages": [{"weight": "0.1", "bake_s": 3600}, {"weight": "1", "soak_s": 3600}],
        "gates": [
            {"id": "errors", "kind": "query", "query": "errors", "unit": "ratio", "op": "<=", "value": "0.01", **ONCE}
        ],
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
        "  - {weight: 50%,  bake: 14d, ab: {metrics: [share], confidence: 99%, power: 90%, then: approval}}",
        "  - {weight: 100%, soak: 24h, then: {gate: true}}",
        "gates:",
        "  - {id: cpu, source: push, max: 80%, consecutive: 3}",
        "  - {id: ok, query: 'ok{v=\"$canary\"}', min: 99.5%}",
        "  - {id: share, ratio: {bad: b, total: t}, over: 1m, max: 1%}",
        "abort_on: [{severity: critical}, {alert: QueueLong}]",
        END,
    )
    assert member["traffic"]["haproxy"]["socket"] == "/run/haproxy/admin.sock"
    assert (member["start"], member["every_s"]) == ({"gate": True}, 15)
    assert member["no_data"] == {"hold_for_s": 900, "then": "hold"}
    assert member["stages"] == [
        {"weight": "0.05", "bake_s": 5400, "then": {"approval": {"then": "hold"}}},
        {"weight": "0.125", "bake_s": 604800, "daily": {"at": ["08:00"], "zone": "UTC", "gate": True}},
        {
            "weight": "0.5",
            "bake_s": 1209600,
            "ab": {
                "metrics": [{"id": "share", "total": "t", "bad": "b"}],
                "confidence": "0.99",
                "power": "0.9",
                "detect": "0.2",
                "method": "group-sequential",
                "assignment": "request",
                "then": "approval",
            },
        },
        {"weight": "1", "soak_s": 86400, "then": {"gate": True}},
    ]
    assert member["gates"][:2] == [
        {
            "id": "cpu",
            "kind": "push",
            "unit": "ratio",
            "op": "<=",
            "value": "0.8",
            **ONCE,
            "consecutive": 3,
            "min_samples": 50,
        },
        {
            "id": "ok",
            "kind": "query",
            "query": 'ok{v="$canary"}',
            "unit": "ratio",
            "op": ">=",
            "value": "0.995",
            **ONCE,
            "min_samples": 50,
        },
    ]
    service = {"label": "service", "op": "=", "value": "gateway"}
    assert member["abort_on"] == [
        [{"label": "severity", "op": "=", "value": "critical"}, service],
        [{"label": "alertname", "op": "=", "value": "QueueLong"}, service],
    ]


def gates(*written: str) -> list[dict[str, Any]]:
    """The compiled gates."""
    found: list[dict[str, Any]] = rendered(STAGES, f"gates: [{', '.join(written)}]", END)["gates"]
    return found


def test_a_ratio_counts_bad_and_all_events() -> None:
    """Where no series of bad events exists, the total's zero stands in: a perfect release passes."""
    bad, good = gates(
        "{id: a, ratio: {bad: 'e_total{v=\"$canary\"}', total: t_total}, over: 2m, max: 0.5%}",
        "{id: b, ratio: {good: g_total, total: t_total}, over: 1m, min: 90%, than: {track: $stable, at_most: 1.5x}}",
    )
    assert bad == {
        "id": "a",
        "kind": "ratio",
        "bad": 'sum(increase(e_total{v="$canary"}[2m])) or 0 * sum(increase(t_total[2m]))',
        "total": "sum(increase(t_total[2m]))",
        "unit": "ratio",
        "over_s": 120,
        "op": "<=",
        "value": "0.005",
        "proof": {"level": "0.000139", "stage_level": "0.00417", "pass_level": "0.05", "inflation": "2"},
        **ONCE,
    }
    total = "sum(increase(t_total[1m]))"
    assert good["bad"] == f"{total} - (sum(increase(g_total[1m])) or 0 * {total})"
    assert (good["op"], good["value"], good["at_most_times"]) == (">=", "0.9", "1.5")


def test_a_quantile_counts_observations_by_bucket() -> None:
    """The bound is in the metric's own unit; a native histogram is counted above a bound that the engine fills in."""
    classic, native = gates(
        "{id: a, p95_of: 'd_ms{v=\"$canary\"}', over: 2m, max: 800ms}",
        "{id: b, p99_of: d_seconds, native: true, over: 5m, max: 1s, on_breach: hold}",
    )
    assert (classic["quantile"], classic["value"]) == ("0.95", "800")
    assert classic["buckets"] == 'sum by (le) (increase(d_ms_bucket{v="$canary"}[2m]))'
    assert "histogram_quantile(0.95, " in classic["observed"]
    assert native["total"] == "histogram_count(sum(increase(d_seconds[5m])))"
    assert "histogram_fraction(-Inf, $bound, " in native["above"]
    assert (native["value"], native["on_breach"]) == ("1", "hold")


def test_the_window_of_a_query_is_its_longest_range() -> None:
    """After a change of weight, the engine waits until all of a query's data is from the new weight."""
    (found,) = gates("{id: a, query: 'max_over_time(rate(x[1m])[10m:1m]) + rate(y[2m])', max: 1, samples: 'sum(n)'}")
    assert (found["over_s"], found["samples"]) == (600, "sum(n)")


@pytest.mark.parametrize(
    "written,spaced_s",
    [
        ("ratio: {bad: e, total: t}, over: 2m, max: 1%, consecutive: 3", 60),
        ("ratio: {bad: e, total: t}, over: 1m, max: 1%, consecutive: 4", 20),
        ("ratio: {bad: e, total: t}, over: 1m, max: 1%, consecutive: 8", 8.572),
        ("ratio: {bad: e, total: t}, over: 1m, max: 1%, consecutive: 8, spaced: 30s", 30),
        ("ratio: {bad: e, total: t}, over: 1m, max: 1%, consecutive: 4, spaced: 0s", None),
        ("ratio: {bad: e, total: t}, over: 1m, max: 1%", None),
        ("query: 'max_over_time(x[10m])', max: 1, consecutive: 2", 600),
        ("query: x, max: 1, consecutive: 3", None),
    ],
)
def test_a_row_of_breaches_spans_a_window(written: str, spaced_s: float | None) -> None:
    """One burst lies in every window that overlaps; a row that spans a window needs more than one burst."""
    (gate,) = gates("{id: a, " + written + "}")
    assert gate.get("spaced_s") == spaced_s


@pytest.mark.parametrize(
    "written,level",
    [
        ("ratio: {bad: e, total: t}, over: 2m, max: 1%", "0.000417"),  # 2.5 % over 60 windows
        ("ratio: {bad: e, total: t}, over: 2m, max: 1%, consecutive: 3", "0.0204"),  # its root: two windows
        ("ratio: {bad: e, total: t}, over: 2m, max: 1%, consecutive: 3, spaced: 0s", "0.000417"),  # they overlap
        ("ratio: {bad: e, total: t}, over: 2m, max: 1%, consecutive: 3, spaced: 2m", "0.025"),  # three windows
        ("ratio: {bad: e, total: t}, over: 2m, max: 1%, consecutive: 3, than: {at_most: 2x}", "0.0144"),  # two bounds
        ("p95_of: d_seconds, over: 1d, max: 1s, consecutive: 9", "0.025"),  # never more than that half
    ],
)
def test_the_level_is_shared_over_the_windows_of_the_rollout(written: str, level: str) -> None:
    """However long a rollout is watched, a healthy release gets through with the confidence that the spec states."""
    (gate,) = gates("{id: a, " + written + "}")
    assert gate["proof"]["level"] == level


def test_the_bare_bound_needs_no_proof() -> None:
    """`confidence: off`; a gauge needs none anyway."""
    member = rendered("confidence: off", STAGES, "gates: [{id: a, p95_of: d_seconds, over: 1m, max: 1s}]", END)
    assert "proof" not in member["gates"][0]
    assert "proof" not in rendered(STAGES, GATES, END)["gates"][0]


@pytest.mark.parametrize(
    "written,unit",
    [
        ("ratio: {bad: e, total: t}, over: 1m, max: 1%", "ratio"),
        ("p95_of: d_seconds, over: 1m, max: 0.5", "seconds"),
        ("p95_of: d_seconds, over: 1m, than: {at_most: 2x}", "seconds"),
        ("p95_of: latency, over: 1m, max: 500ms", "seconds"),
        ("p95_of: latency_ms, over: 1m, max: 500ms", "milliseconds"),
        ("p95_of: latency, over: 1m, max: 500", None),
        ("query: 'max(used)', max: 85%", "ratio"),
        ("query: 'max(lag)', max: 2s", "seconds"),
        ("query: 'max(error_percentage)', max: 1.0", None),
        ("source: push, min: 45%", "ratio"),
    ],
)
def test_the_unit_of_a_gate(written: str, unit: str | None) -> None:
    """People read values with their unit: that of the kind, of the metric's name, or as the bound is written."""
    assert gates("{id: a, " + written + "}")[0].get("unit") == unit


def test_stages_that_need_only_time() -> None:
    """`evidence: off`: the policy asks for none, as policies did before there was evidence."""
    ratio = "gates: [{id: a, ratio: {bad: e, total: t}, over: 1m, max: 1%}]"
    assert "pass_level" not in rendered("evidence: off", STAGES, ratio, END)["gates"][0]["proof"]
    assert rendered("evidence: 90%", STAGES, ratio, END)["gates"][0]["proof"]["pass_level"] == "0.1"


@pytest.mark.parametrize(
    "written,events",
    [
        ("ratio: {bad: e, total: t}, over: 1m, max: 0.5%", 2),
        ("ratio: {bad: e, total: t}, over: 1m, max: 5%", 3),
        ("ratio: {bad: e, total: t}, over: 1m, max: 20%", 6),
        ("ratio: {bad: e, total: t}, over: 1m, max: 90%", 81),
        ("ratio: {good: e, total: t}, over: 1m, min: 80%", 6),
        ("p50_of: d_seconds, over: 1m, max: 1s", 13),
        ("p95_of: d_seconds, over: 1m, max: 1s, min_samples: 20", 20),
        ("query: up, max: 1", 1),
    ],
)
def test_the_fewest_events_that_prove_a_breach(written: str, events: int) -> None:
    """K bad events of k prove a share above the bound p where p to the power of k is at most the level."""
    canary = good(section("variance_inflation: 1", STAGES, "gates: [{id: a, " + written + "}]", END)).canary
    assert canary is not None
    gate = canary.gates[0]
    assert least_events(gate, proof_of(canary, gate)) == events


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
        (["stages: [{weight: 100%, soak: 1h, ab: {metrics: [x]}}]", GATES, END], "canary/unknown-gate", "{weight"),
        ([STAGES, "evidence: 30%", GATES, END], "canary/evidence", "30%"),
        ([STAGES, "variance_inflation: 0.5", GATES, END], "canary/variance-inflation", "0.5"),
        ([STAGES, "gates: [{id: a, query: 'x'}]", END], "canary/gate", "{id: a"),
        ([STAGES, "gates: [{id: a, query: 'x', max: 1, min: 0}]", END], "canary/gate", "{id: a"),
        ([STAGES, "gates: [{id: a, query: 'x{v=\"$new\"}', max: 1}]", END], "canary/placeholder", "'x{v"),
        ([STAGES, "gates: [{id: a, query: 'x(', max: 1}]", END], "promql/parse", "'x('"),
        ([STAGES, "gates: [{id: a, source: push, query: 'x', max: 1}]", END], "canary/gate", "'x'"),
        ([STAGES, "gates: [{id: a, max: 1}]", END], "canary/gate", "{id: a"),
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
