"""Rules that rebuild the past of the recorded series from raw counters, for `promtool tsdb create-blocks-from rules`.

promtool evaluates each rule alone against what Prometheus holds, so no rule may read what another rule records. Rollups
are written as a subquery over the base query itself, and the recorded total inside that subquery as its own query. The
result equals the live rollups up to where in a minute the live rules happened to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from generator import names
from generator.model.burn import ROLLUP_MS
from generator.model.spec import OutputSet, Slo, Spec
from generator.promql.text import matchers_text
from generator.render.rules.gaps import in_cycle
from generator.render.rules.rule_file import Group, Rule, RuleFile
from generator.render.rules.rules import identity
from generator.sli.base import BaseContext, BaseQueries, seconds_text
from generator.units import DAY, HOUR, SECOND, duration_text

HEADER = "Rebuilds the past from raw counters: for `freezeline backfill`, not for Prometheus' own rule_files."
# The windows below a day, gap repair's look at the day before, and a margin.
BASE_SPAN_MS = DAY + 3 * HOUR
HEAD_MS = 3 * HOUR  # what Prometheus still holds in memory: blocks may not reach into it
# The block lengths that promtool knows: two hours times powers of three.
BLOCKS_MS: tuple[int, ...] = tuple(2 * HOUR * count for count in (1, 3, 9, 27, 81, 243))
POINTS_MAX = 10_000  # of 11,000 that one answer of Prometheus may hold for a series


class Part(Struct, frozen=True, kw_only=True):
    """One run of promtool: rules of one interval over one span. Times are seconds since the epoch."""

    name: str
    start_s: int
    end_s: int
    block_ms: int
    file: RuleFile

    @property
    def rules(self) -> int:
        """How many rules it evaluates."""
        return sum(len(group.rules) for group in self.file.groups)


class Span(Struct, frozen=True, kw_only=True):
    """From when to when the past of an SLO is to be rebuilt; seconds since the epoch."""

    start_s: int
    end_s: int


def base_queries(spec: Spec, slo: Slo) -> BaseQueries:
    """The base pair with the totals written out where the live rules read their recorded selves."""
    found = slo.sli.base(_context(spec, slo, "total", "total"))
    return slo.sli.base(_context(spec, slo, f"({found.total})", f"({found.total_increase})"))


def _context(spec: Spec, slo: Slo, total: str, total_increase: str) -> BaseContext:
    return BaseContext(
        group_by=slo.group_by,
        base_ms=slo.profile.base_ms,
        total_series=total,
        total_increase_series=total_increase,
        scrape_ms=spec.defaults.scrape_ms,
        gap_span_ms=slo.profile.cadence.gap_span_ms,
        aligned=False,
    )


def _kinds(queries: BaseQueries) -> tuple[tuple[str, str], ...]:
    return (("total", queries.total), ("errors", queries.errors))


def rollup_rules(spec: Spec, slo: Slo, scope: str) -> Iterator[Rule]:
    """The rollups of one SLO."""
    profile, pace = slo.profile, slo.profile.cadence
    for kind, query in _kinds(base_queries(spec, slo)):
        yield Rule(
            record=names.rollup(kind, pace.rollup_ms),
            expr=in_cycle(_rollup(query, slo), profile),
            labels=identity(spec, slo, scope),
            origin=slo.position,
        )


def _rollup(query: str, slo: Slo) -> str:
    """A millisecond less than the rollup holds the same number of points on Prometheus 2 and 3."""
    pace = slo.profile.cadence
    span = f"{duration_text(pace.rollup_ms - 1)}:{duration_text(pace.fast_ms)}"
    return f"sum_over_time(({query})[{span}]) / {pace.rollup_ms // pace.fast_ms}"


def gap_rules(spec: Spec, slo: Slo, scope: str) -> Iterator[Rule]:
    """What the rollups of a day lack against the counters, once a day; as live gap repair does each hour.

    Live, each repair is seen by the next one. Here none is, so the spans must not overlap: a gap over the edge of two
    of them is lost.
    """
    queries, profile = base_queries(spec, slo), slo.profile
    if not profile.repaired or queries.total_increase is None or queries.errors_increase is None:
        return
    pace = profile.cadence
    missing = {
        "total": _missing(queries.total, queries.total_increase, slo),
        "errors": _missing(queries.errors, queries.errors_increase, slo),
    }
    every = f"{duration_text(pace.gap_span_ms - 1)}:{duration_text(pace.fast_ms)}"
    # As live: more than five minutes of samples, or half a percent of all events.
    wanted = (pace.gap_span_ms - ROLLUP_MS) // pace.fast_ms
    for kind in names.KINDS:
        expr = (
            f"clamp_min({missing[kind]}, 0) / {seconds_text(pace.rollup_ms)}\n"
            f"and (\n"
            f"  count_over_time(({queries.total})[{every}]) < {wanted}\n"
            f"  or {missing['total']} > 0.005 * ({queries.total_increase})\n"
            f")"
        )
        yield Rule(
            record=names.rollup(kind, pace.rollup_ms),
            expr=in_cycle(expr, profile),
            labels={**identity(spec, slo, scope), names.REPAIR: names.GAP},
            origin=slo.position,
        )


def _missing(query: str, increase: str, slo: Slo) -> str:
    """Events of the day that its rollups lack; the pace of now, less that of a day ago, stands for the last of them."""
    pace = slo.profile.cadence
    rollup_s = seconds_text(pace.rollup_ms)
    span = f"{duration_text(pace.gap_span_ms - 1)}:{duration_text(pace.rollup_ms)}"
    counted = f"{rollup_s} * sum_over_time(({_rollup(query, slo)})[{span}])"
    since_rollup = f"(time() % {rollup_s} + {seconds_text(pace.rollup_ms // 2)})"
    recent = f"{duration_text(pace.rollup_ms)}:{duration_text(pace.fast_ms)}"
    yesterday = f"last_over_time(({query})[{recent}] offset {duration_text(pace.gap_span_ms)})"
    return f"(({increase}) - {counted} - {since_rollup} * (({query}) - {yesterday}))"


def base_rules(spec: Spec, slo: Slo, scope: str) -> Iterator[Rule]:
    """The base pair of one SLO."""
    for kind, query in _kinds(base_queries(spec, slo)):
        record = names.base(kind, slo.profile.base_ms)
        yield Rule(record=record, expr=query, labels=identity(spec, slo, scope), origin=slo.position)


def live_since_query(slo: Slo, scope: str) -> str:
    """When the live rollups of each SLO of a profile begin, else its base rates; seconds since 1970."""
    profile = slo.profile
    selector = {names.SCOPE: scope, names.PROFILE: profile.name, names.REPAIR: ""}
    rollup, base = names.rollup("total", profile.cadence.rollup_ms), names.base("total", profile.base_ms)
    rollups = (rollup if profile.rolled_up else base) + matchers_text(selector)
    span = f"{duration_text(profile.window.range_ms)}:{duration_text(profile.cadence.rollup_ms)}"
    return f"min by ({names.SERVICE}, {names.SLO}) (min_over_time(timestamp({rollups})[{span}]))"


def span_of(slo: Slo, *, now_s: int, live_since_s: int | None, start_s: int | None, end_s: int | None) -> Span | None:
    """What of an SLO's past is to be rebuilt; None where nothing is left between start and end.

    It ends where the live rollups begin, so that nothing counts twice, and before what Prometheus has in memory. An
    `end_s` that is given is taken as it is, except that it never reaches past the live rollups.
    """
    rollup_s = slo.profile.cadence.rollup_ms // SECOND
    end = end_s if end_s is not None else now_s - HEAD_MS // SECOND
    if live_since_s is not None:
        end = min(end, live_since_s - rollup_s)
    start = start_s if start_s is not None else now_s - slo.profile.window.range_ms // SECOND
    return Span(start_s=start, end_s=end) if start < end else None


def block_ms(span_ms: int, interval_ms: int, at_most_ms: int) -> int:
    """The longest block that one answer of Prometheus can fill."""
    fitting = [block for block in BLOCKS_MS if block <= at_most_ms and min(block, span_ms) // interval_ms <= POINTS_MAX]
    return fitting[-1] if fitting else BLOCKS_MS[0]


def plan(output_set: OutputSet, spans: Mapping[tuple[str, str], Span], at_most_ms: int) -> tuple[Part, ...]:
    """The runs of promtool for the SLOs that have a span: by (service, slo). Equal spans go together."""
    rollups: dict[tuple[Span, int], list[Rule]] = {}
    gaps: dict[tuple[Span, int], list[Rule]] = {}
    base: dict[tuple[Span, int], list[Rule]] = {}
    for spec in output_set.specs:
        for slo in spec.slos:
            span = spans.get((spec.service, slo.name))
            if span is None:
                continue
            pace = slo.profile.cadence
            if slo.profile.rolled_up:
                rollups.setdefault((span, pace.rollup_ms), []).extend(rollup_rules(spec, slo, output_set.scope))
                gaps.setdefault((span, pace.gap_span_ms), []).extend(gap_rules(spec, slo, output_set.scope))
            late = Span(start_s=max(span.start_s, span.end_s - BASE_SPAN_MS // SECOND), end_s=span.end_s)
            base.setdefault((late, pace.fast_ms), []).extend(base_rules(spec, slo, output_set.scope))
    named = (("rollups", rollups), ("gaps", gaps), ("base", base))
    return tuple(part for name, grouped in named for part in _parts(name, grouped, at_most_ms) if part.rules)


def _parts(name: str, grouped: Mapping[tuple[Span, int], Iterable[Rule]], at_most_ms: int) -> Iterator[Part]:
    for number, ((span, interval_ms), rules) in enumerate(grouped.items(), start=1):
        title = f"backfill-{name}-{number}"
        group = Group(name=title, interval_ms=interval_ms, rules=tuple(rules))
        yield Part(
            name=title,
            start_s=span.start_s,
            end_s=span.end_s,
            block_ms=block_ms((span.end_s - span.start_s) * SECOND, interval_ms, at_most_ms),
            file=RuleFile(path=f"{title}.rules.yml", header=HEADER, groups=(group,)),
        )
