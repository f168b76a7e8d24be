"""The plan of a backfill: which span, which rules, which blocks."""

import promql_parser
import pytest

from generator import names
from generator.model.spec import Slo, Spec
from generator.prometheus import backfill
from generator.prometheus.backfill import BASE_SPAN_MS, BLOCKS_MS, HEAD_MS, Span
from generator.promql.lint import walk
from generator.units import DAY, HOUR, MINUTE, SECOND
from tests.unit.generator import specs

SLO = specs.BAD_TOTAL
SLIS = {
    "bad": SLO,
    "good": "sli: {good: g_total, total: t_total}",
    "histogram": "sli: {histogram: h_seconds, below: 300ms}",
    "native": "sli: {histogram: h_seconds, below: 300ms, native: true}",
    "ratio": "sli: {error_ratio: 'avg_over_time(r[$window])', weight: 'sum(rate(t_total[$window]))'}",
    "slices": "sli: {value: 'max(age)', max: 15m}",
}
NOW = 1_700_000_000
ROLLUP_S = 300


def slo_of(text: str) -> tuple[Spec, Slo]:
    """A spec of one SLO."""
    spec = specs.spec(specs.slo(f"objective: 99.5\n{text}"))
    return spec, spec.slos[0]


@pytest.mark.parametrize("kind", SLIS)
@pytest.mark.parametrize("window", ["30d", "calendar month"])
def test_rules_read_raw_series_only(kind: str, window: str) -> None:
    """Each rule is evaluated alone by promtool: no rule may read the result of another, and all parse."""
    spec, slo = slo_of(f"window: {window}\n{SLIS[kind]}")
    rules = [*backfill.rollup_rules(spec, slo, "slos"), *backfill.base_rules(spec, slo, "slos")]
    gaps = [] if kind in ("ratio", "slices") else ["slo:total:rollup5m", "slo:errors:rollup5m"]
    assert [rule.record for rule in rules] == [
        "slo:total:rollup5m",
        "slo:errors:rollup5m",
        "slo:total:rate5m",
        "slo:errors:rate5m",
    ]
    repairs = list(backfill.gap_rules(spec, slo, "slos"))
    assert [rule.record for rule in repairs] == gaps
    rules += repairs
    read = {
        str(node.name)
        for rule in rules
        for node in walk(promql_parser.parse(rule.expr))
        if isinstance(node, promql_parser.VectorSelector)
    }
    assert read
    assert [name for name in read if name.startswith("slo:")] == []


def test_labels_are_those_of_the_live_series() -> None:
    """Every rule has the SLO's labels; rollups have the calendar unit of the evaluated time."""
    spec, slo = slo_of(f"window: calendar month\n{SLO}")
    rules = list(backfill.rollup_rules(spec, slo, "slos"))
    assert [rule.record for rule in rules] == ["slo:total:rollup5m", "slo:errors:rollup5m"]
    for rule in rules:
        assert dict(rule.labels) == {
            names.SERVICE: "checkout",
            names.SLO: "availability",
            names.SCOPE: "slos",
            names.PROFILE: slo.profile.name,
        }
        assert 'count_values("cycle", month())' in rule.expr


@pytest.mark.parametrize(
    "live_since, start, end, expected",
    [
        (None, None, None, Span(start_s=NOW - 30 * DAY // SECOND, end_s=NOW - HEAD_MS // SECOND)),
        (NOW - 9 * 3600, None, None, Span(start_s=NOW - 30 * DAY // SECOND, end_s=NOW - 9 * 3600 - ROLLUP_S)),
        (NOW - 3600, None, None, Span(start_s=NOW - 30 * DAY // SECOND, end_s=NOW - HEAD_MS // SECOND)),
        (NOW - 9 * 3600, NOW - 86_400, NOW, Span(start_s=NOW - 86_400, end_s=NOW - 9 * 3600 - ROLLUP_S)),
        (None, NOW - 86_400, NOW - 60, Span(start_s=NOW - 86_400, end_s=NOW - 60)),
        (NOW - 31 * DAY // SECOND, None, None, None),
    ],
)
def test_span(live_since: int | None, start: int | None, end: int | None, expected: Span | None) -> None:
    """The span ends before the live rollups and before Prometheus' memory; None if everything is recorded."""
    _, slo = slo_of(SLO)
    assert backfill.span_of(slo, now_s=NOW, live_since_s=live_since, start_s=start, end_s=end) == expected


@pytest.mark.parametrize("interval_ms", [SECOND, 15 * SECOND, MINUTE, 5 * MINUTE])
@pytest.mark.parametrize("span_ms", [HOUR, 27 * HOUR, 30 * DAY, 92 * DAY])
def test_blocks_fit_into_one_answer(interval_ms: int, span_ms: int) -> None:
    """Prometheus gives 11,000 points of a series at most; blocks are as long as that allows."""
    block = backfill.block_ms(span_ms, interval_ms, BLOCKS_MS[-2])
    assert block in BLOCKS_MS[:-1]
    assert min(block, span_ms) // interval_ms <= 11_000


def test_equal_spans_go_together() -> None:
    """One run of promtool for all rollups of a span, and one for the base series of its last day."""
    body = (
        f"slos:\n  one: {{objective: 99.5, {SLO}}}\n  two: {{objective: 99, {SLO}}}\n  off: {{objective: 99, {SLO}}}\n"
    )
    output_set = specs.loaded(body).output_set
    span = Span(start_s=NOW - 30 * DAY // SECOND, end_s=NOW)
    parts = backfill.plan(output_set, {("checkout", "one"): span, ("checkout", "two"): span}, BLOCKS_MS[-2])
    assert [(part.name, part.rules, part.end_s - part.start_s) for part in parts] == [
        ("backfill-rollups-1", 4, 30 * DAY // SECOND),
        ("backfill-gaps-1", 4, 30 * DAY // SECOND),
        ("backfill-base-1", 4, BASE_SPAN_MS // SECOND),
    ]
