"""Rules that rebuild the past of the recorded series from raw counters, for `promtool tsdb create-blocks-from rules`.

promtool evaluates each rule against Prometheus' stored data, therefore no rule may read the result of another rule. A
rollup is a subquery over the base query itself, with the recorded total written out as its own query. The result equals
the live rollups, except for the second of the minute at which the live rules ran.
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
from generator.sli.base import BaseContext, BaseQueries, GapSpan, late_ms, seconds_text
from generator.units import DAY, HOUR, SECOND, duration_text

HEADER = "Rebuilds the past from raw counters: for `freezeline backfill`, not for Prometheus' own rule_files."
# The windows below a day, the day before for gap repair, and a margin.
BASE_SPAN_MS = DAY + 3 * HOUR
HEAD_MS = 3 * HOUR  # the span that Prometheus still holds in memory: blocks must not reach into it
# The block lengths that promtool knows: two hours times powers of three.
BLOCKS_MS: tuple[int, ...] = tuple(2 * HOUR * count for count in (1, 3, 9, 27, 81, 243))
POINTS_MAX = 10_000  # of the 11,000 samples of a series that one answer of Prometheus may hold


class Part(Struct, frozen=True, kw_only=True):
    """One run of promtool: rules of one interval over one span. Times are in seconds since the epoch."""

    name: str
    start_s: int
    end_s: int
    block_ms: int
    file: RuleFile

    @property
    def rules(self) -> int:
        """How many rules promtool evaluates in this run."""
        return sum(len(group.rules) for group in self.file.groups)


class Span(Struct, frozen=True, kw_only=True):
    """The span to rebuild for an SLO; seconds since the epoch."""

    start_s: int
    end_s: int


def base_queries(spec: Spec, slo: Slo) -> BaseQueries:
    """The base queries, with the totals written out where the live rules read recorded totals."""
    found = slo.sli.base(_context(spec, slo, BaseQueries(total="total", errors="")))
    return slo.sli.base(_context(spec, slo, found))


def _context(spec: Spec, slo: Slo, totals: BaseQueries) -> BaseContext:
    pace = slo.profile.cadence
    late = late_ms(spec.defaults.scrape_ms, pace.rollup_ms)
    increase = f"({totals.increases[0][0]})" if totals.increases else "total"
    return BaseContext(
        group_by=slo.group_by,
        own="",
        key="",
        base_ms=slo.profile.base_ms,
        rollup_ms=pace.rollup_ms,
        total_series=f"({totals.total})",
        total_rollup_series=f"({totals.total_rollup})",
        gaps=(GapSpan(span_ms=pace.gap_span_ms, step_ms=0, late_ms=late, total_series=increase),),
        scrape_ms=spec.defaults.scrape_ms,
        aligned=False,
        recorded=False,
    )


def _kinds(queries: BaseQueries) -> tuple[tuple[str, str], ...]:
    return (("total", queries.total), ("errors", queries.errors))


def rollup_rules(spec: Spec, slo: Slo, scope: str) -> Iterator[Rule]:
    """The rollups of one SLO."""
    profile, pace = slo.profile, slo.profile.cadence
    for kind, query in _rollups(base_queries(spec, slo), slo):
        yield Rule(
            record=names.rollup(kind, pace.rollup_ms),
            expr=in_cycle(query, profile),
            labels=identity(spec, slo, scope),
            origin=slo.position,
        )


def _rollups(queries: BaseQueries, slo: Slo) -> tuple[tuple[str, str], ...]:
    """The rollups as the SLI counts them, or the sums of its base queries."""
    if queries.total_rollup is None or queries.errors_rollup is None:
        return tuple((kind, _summed(query, slo)) for kind, query in _kinds(queries))
    return (("total", queries.total_rollup), ("errors", queries.errors_rollup))


def _summed(query: str, slo: Slo) -> str:
    """The sum of base queries. With a millisecond less, the range holds as many points on Prometheus 2 as on 3."""
    pace = slo.profile.cadence
    span = f"{duration_text(pace.rollup_ms - 1)}:{duration_text(pace.fast_ms)}"
    return f"sum_over_time(({query})[{span}]) / {pace.rollup_ms // pace.fast_ms}"


def gap_rules(spec: Spec, slo: Slo, scope: str) -> Iterator[Rule]:
    """The events that a day's rollups miss against the counters, once a day; live gap repair runs every two hours.

    Live, each repair sees the one before. Here no repair sees another, therefore the spans must not overlap.
    """
    queries, profile = base_queries(spec, slo), slo.profile
    if not profile.repaired or not queries.increases:
        return
    pace = profile.cadence
    increases = dict(zip(names.KINDS, queries.increases[0], strict=True))
    base = dict(_kinds(queries))
    missing = {kind: _missing(base[kind], rollup, increases[kind], slo) for kind, rollup in _rollups(queries, slo)}
    every = f"{duration_text(pace.gap_span_ms - 1)}:{duration_text(pace.fast_ms)}"
    # As in live rules: more than five minutes of samples, or half a percent of all events; and more than noise.
    wanted = (pace.gap_span_ms - ROLLUP_MS) // pace.fast_ms
    share = f"{seconds_text(pace.rollup_ms)} / {seconds_text(pace.gap_span_ms)}"
    for kind in names.KINDS:
        expr = (
            f"({missing[kind]} > 0.5 + 2 * sqrt({share} * ({increases[kind]}))) / {seconds_text(pace.rollup_ms)}\n"
            f"and (\n"
            f"  count_over_time(({queries.total})[{every}]) < {wanted}\n"
            f"  or {missing['total']} > 0.005 * ({increases['total']})\n"
            f")"
        )
        yield Rule(
            record=names.rollup(kind, pace.rollup_ms),
            expr=in_cycle(expr, profile),
            labels={**identity(spec, slo, scope), names.REPAIR: names.GAP},
            origin=slo.position,
        )


def _missing(base: str, rollup: str, increase: str, slo: Slo) -> str:
    """Events of the day that its rollups miss. The rates now and a day ago tell the events since the last rollup.

    If Prometheus scraped nothing a day ago, the rollups miss no event of then. A day of an outage has neither rollups
    nor rates.
    """
    pace = slo.profile.cadence
    rollup_s = seconds_text(pace.rollup_ms)
    span = f"{duration_text(pace.gap_span_ms - 1)}:{duration_text(pace.rollup_ms)}"
    counted = f"{rollup_s} * sum_over_time(({rollup})[{span}])"
    recent = f"{duration_text(pace.rollup_ms)}:{duration_text(pace.fast_ms)}"
    yesterday = f"last_over_time(({base})[{recent}] offset {duration_text(pace.gap_span_ms)})"
    ahead = f"(time() % {rollup_s}) * (({base}) - ({yesterday} or 0 * ({base})))"
    return f"(({increase}) - ({counted} or 0 * ({increase})) - ({ahead} or 0 * ({increase})))"


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
    """The span to rebuild for an SLO; None if nothing is left between start and end.

    The span ends before the live rollups begin, because nothing may count twice, and before the data in Prometheus'
    memory. A given `end_s` is used unchanged, unless the live rollups begin earlier.
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
    """The runs of promtool for all SLOs with a span, by (service, slo). SLOs with equal spans share a run."""
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
