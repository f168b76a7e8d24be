"""SLIs and conditions become PromQL that parses, keeps the labels of its groups, and reads only the named metrics."""

import itertools
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.checks import queries
from generator.conditions import CONDITIONS
from generator.names import RESERVED_LABELS
from generator.pipeline import rule_files
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.labels import labels_of
from generator.sli import SLI_TYPES
from generator.sli.histogram import in_metric_unit
from tests.unit.generator import specs

SLIS = {
    "bad": ("{bad: 'r_total{code=~\"5..\"}', total: r_total}", {"r_total"}),
    "good": ("{good: hits_total, total: served_total}", {"hits_total", "served_total"}),
    "histogram": ("{histogram: lat_seconds, below: 300ms}", {"lat_seconds_bucket", "lat_seconds_count"}),
    "error_ratio": (
        "{error_ratio: 'avg by (route) (my_ratio)', weight: 'sum by (route) (rate(t[$window]))'}",
        {"my_ratio", "t"},
    ),
    "good_when": ("{good_when: 'up{job=\"web\"} == 1'}", {"up"}),
    "value": ("{value: 'time() - done_seconds', max: 15m}", {"done_seconds"}),
}
CONDITION_TEXTS = {
    "when": ("when: 'max by (route) (queue_length) > 50'", {"queue_length"}),
    "ratio": ("ratio: {bad: 'r_total{code=~\"5..\"}', total: r_total}, over: 5m, above: 1%, by: [route]", {"r_total"}),
    "increase_of": ("increase_of: lost_total, over: 5m, at_least: 1, by: [route]", {"lost_total"}),
    "changes_of": ("changes_of: ready, over: 5m, at_least: 3, by: [route]", {"ready"}),
    **{
        key: (f"{key}: lat_seconds, over: 5m, above: 500ms, by: [route]", {"lat_seconds_bucket"})
        for key in ("p50_of", "p90_of", "p95_of", "p99_of")
    },
}


def test_every_type_is_here() -> None:
    """Every SLI type and condition has an example in these tests."""
    assert (set(SLIS), set(CONDITION_TEXTS)) == (set(SLI_TYPES), set(CONDITIONS))


def raw_metrics(expression: str) -> set[str]:
    """The user's metrics that an expression reads."""
    return {series.metric for series in queries.series(expression) if ":" not in series.metric}


@pytest.mark.parametrize("kind, grouped", list(itertools.product(SLIS, [False, True])))
def test_base_rules_of_an_sli(kind: str, grouped: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Every rule of an SLI parses, has no other labels than its groups', and reads only what the spec names."""
    text, metrics = SLIS[kind]
    body = specs.slo(f"objective: 99\nsli: {text}" + ("\ngroup_by: [route]" if grouped else ""))
    spec = specs.spec(body)
    own = next(iter(rule_files(specs.loaded(body).output_set)))
    pairs = [rule for group in own.groups if group.name.endswith("-fast") for rule in group.rules]
    assert len(pairs) >= 2
    read: set[str] = set()
    for rule in pairs:
        assert faults(rule.expr, Want.VECTOR) == []
        exact = labels_of(promql.parse(rule.expr)).exact
        assert exact is not None
        assert exact <= ({"route"} if grouped else set())
        read |= raw_metrics(rule.expr)
    assert read == metrics
    assert spec.slos[0].sli.describe()


@pytest.mark.parametrize("kind", CONDITION_TEXTS)
@pytest.mark.parametrize("consecutive", [1, 3])
def test_rules_of_a_condition(kind: str, consecutive: int) -> None:
    """Every rule of an alert parses, keeps the alert's labels, and reads only what the spec names."""
    text, metrics = CONDITION_TEXTS[kind]
    body = f"alerts:\n  A: {{{text}, severity: critical, consecutive: {consecutive}}}\n"
    own = next(iter(rule_files(specs.loaded(body).output_set)))
    rules = [rule for group in own.groups for rule in group.rules]
    assert [bool(rule.alert) for rule in rules] == [False] * (consecutive > 1) + [True]
    read: set[str] = set()
    for rule in rules:
        assert faults(rule.expr, Want.VECTOR) == []
        read |= raw_metrics(rule.expr)
    assert labels_of(promql.parse(rules[0].expr)).exact == frozenset({"route"})
    assert read - {"freezeline:breach"} == metrics


SELECTORS = ("x_total", "x_total{a=`\\d+`}", "x_total{a='#'}", '{"http.hits"}', 'x_bucket{le="1.0E7"}')
COUNTS = (
    "sum by (c) (rate({0}[$window]))",
    "sum by (c) (rate({0}[$window])) - sum by (c) (rate(y_total[$window]))",
    "sum by (c) (increase({0}[$window]) > 0) # inside\n + count by (c) (y == 1)",
    "clamp_min(sum by (c) (y) - avg by (c) (avg_over_time({0}[$window])), 0)",
)
AROUND = ("{0}", "({0})", "{0} > 0", "({0}) or vector(1)", "# before\n{0}", "{0} # after", '({0}) != 0 # ` "')


@st.composite
def guarded(draw: st.DrawFn) -> str:
    """A query that counts, with guards and comments around, and each kind of string inside."""
    text = draw(st.sampled_from(COUNTS)).format(draw(st.sampled_from(SELECTORS)))
    for around in draw(st.lists(st.sampled_from(AROUND), max_size=3)):
        text = around.format(f"({text}\n)")
    return text


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["bad", "good", "error_ratio", "success", "value", "when"]), part=guarded(), total=guarded()
)
def test_any_query_that_people_write_makes_rules(kind: str, part: str, total: str) -> None:
    """Guards, comments and strings of any kind give rules that parse, and keep the labels of the groups."""
    ratio = f"({part}\n) / ({total}\n)"
    slis: dict[str, object] = {
        "bad": {"bad": part, "total": total},
        "good": {"good": part, "total": total},
        "error_ratio": {"error_ratio": ratio, "weight": total},
        "success": {"error_ratio": f"1 - {ratio}"},
        "value": {"value": part, "max": 5},
    }
    sections: dict[str, object] = {"alerts": {"A": {"when": f"({part}\n) > 5 # now", "severity": "info"}}}
    if kind != "when":
        sections = {"slos": {"a": {"objective": 99, "group_by": ["c"], "sli": slis[kind]}}}
    loaded = specs.loaded("".join(f"{key}: {json.dumps(value)}\n" for key, value in sections.items()))
    assert [problem for problem in loaded.problems if not problem.warning] == []
    own = next(iter(rule_files(loaded.output_set)))
    for rule in (rule for group in own.groups if group.name.endswith(("fast", "1m")) for rule in group.rules):
        assert faults(rule.expr, Want.VECTOR) == []
        assert labels_of(promql.parse(rule.expr)).exact == frozenset({"c"})


@pytest.mark.parametrize("label", sorted(RESERVED_LABELS - {"__name__"}))
def test_reserved_labels_cannot_group(label: str) -> None:
    """No label of Freezeline's alerts or series can be a group."""
    assert "spec/reserved-label" in specs.codes(specs.slo(f"objective: 99\ngroup_by: [{label}]\n{specs.BAD_TOTAL}"))


@pytest.mark.parametrize(
    "written, value, metric, expected",
    [
        ("300ms", "0.3", "a_seconds", "0.3"),
        ("300ms", "0.3", "a_ms", "300"),
        ("60000", "60000", "a_ms", "60000"),
        ("1m", "60", "a_milliseconds", "60000"),
        ("0.3", "0.3", "a_seconds", "0.3"),
    ],
)
def test_bounds_in_the_metric_s_unit(written: str, value: str, metric: str, expected: str) -> None:
    """A duration is converted to the metric's unit; a bare number is unchanged."""
    assert in_metric_unit(Decimal(value), written, metric) == Decimal(expected)
