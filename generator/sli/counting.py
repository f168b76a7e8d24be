"""Exact counting of counters: differences of two samples, and the first values of newborn series.

Clients show a labelled counter from its first event on, therefore a series of a known target counts from zero. Some
series appear without new events: an exporter shows an idle series again, or a reload changes labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from generator import names
from generator.promql.text import Selector, enclosed, matchers_text, quote
from generator.sli.base import LOOKBACK_MS, BaseContext, BaseQueries, GapSpan, Helper, seconds_text
from generator.units import DAY, decimal_text, duration_text

# How long the rules know the count of a series that left its target.
_KNOWN_FOR_MS = 7 * DAY
# The longest outage that a rebuilt past repairs.
_CROSSED_MS = 3 * DAY
# A count of events that is no harm if it was not new, and that a process which has just begun hardly reaches.
_FEW = 10
_TARGET = ("job", "instance")
_BY_TARGET = f"({', '.join(_TARGET)})"


class Counter(Struct, frozen=True, kw_only=True):
    """Counters that a selector finds. Of native histograms, the observations count, or those above a bound."""

    kind: str  # what they count: `total`, `errors` or `good`
    selector: Selector
    native: bool = False
    above: Decimal | None = None

    def at(self, ago_ms: int = 0) -> str:
        """The counters, now or some time ago."""
        return self._value(self.selector.text + _offset(ago_ms))

    def over(self, function: str, window_ms: int, ago_ms: int = 0) -> str:
        """A function over a window that ended some time ago."""
        return f"{function}({self.selector.text}[{duration_text(window_ms)}]{_offset(ago_ms)})"

    def grown(self, function: str, window: str) -> str:
        """What `rate` or `increase` gives over a range."""
        return self._value(f"{function}({self.selector.text}{window})")

    def _value(self, series: str) -> str:
        if not self.native:
            return series
        count = f"histogram_count({series})"
        if self.above is None:
            return count
        # 0 × an empty interval is 0 × NaN. `>= 0` leaves the NaN out.
        return f"{count} * ((1 - histogram_fraction(-Inf, {decimal_text(self.above)}, {series})) >= 0)"

    @property
    def scraped(self) -> str:
        """A selector of the targets' `up`; empty if the counters' selector names neither job nor instance."""
        told = [f"{name}{op}{quote(value)}" for name, op, value in self.selector.matchers if name in _TARGET]
        return f"up{{{','.join(told)}}}" if told else ""


def _offset(ago_ms: int) -> str:
    return f" offset {duration_text(ago_ms)}" if ago_ms else ""


class Counters(Struct, frozen=True, kw_only=True):
    """The two counters of an SLI: all events, and a part of them, which is either bad or good."""

    total: Counter
    part: Counter
    must_exist: bool = False  # without a series of the part, nothing is known

    def queries(self, context: BaseContext) -> BaseQueries:
        """All rules of the SLI."""
        born = _Births(self.total, self.part, context)
        both = (self.total, self.part)
        rates, rollups = ([build(each, context, born.of(each)) for each in both] for build in (_rate, _rollup))
        return BaseQueries(
            total=rates[0],
            errors=self._errors(rates[1], context.total_series, context),
            helpers=tuple(born.helpers()),
            total_rollup=rollups[0],
            errors_rollup=self._errors(rollups[1], context.total_rollup_series, context),
            increases=tuple(self._increases(gap, context) for gap in context.gaps),
        )

    def _increases(self, gap: GapSpan, context: BaseContext) -> tuple[str, str]:
        total, part = (_increase(each, gap, context) for each in (self.total, self.part))
        return total, self._errors(part, gap.total_series, context)

    def _errors(self, part: str, total_series: str, context: BaseContext) -> str:
        """The bad events. Without a series of the part, no events of the part happened."""
        known = part if self.must_exist else f"{part}\nor {context.zero(total_series)}"
        return known if self.part.kind != "good" else rest(context, total_series, known)


def rest(context: BaseContext, total_series: str, good: str) -> str:
    """The part of the recorded total that is not good, never below zero. `good` is zero without good series."""
    subtracted = enclosed(good) if "\n" in good else good
    return enclosed(f"{context.aggregate('sum', total_series)}\n- {subtracted}", "clamp_min(", "0")


def _rate(counter: Counter, context: BaseContext, born: str) -> str:
    """Events per second over the base window, within a few percent for rare events: short windows read no more."""
    rates = counter.grown("rate", f"[{context.range}]")
    return context.aggregate("sum", f"{rates} or {born}" if born else rates)


def _rollup(counter: Counter, context: BaseContext, born: str) -> str:
    """Events per second between two rollups, exactly.

    A series with samples at both ends counts by their difference. Nothing is extrapolated, therefore rare events and
    shifted scrapes neither lose nor invent events. For a counter that was reset, ended or began in between, a rate
    replaces the difference.
    """
    seconds, late_ms = seconds_text(context.rollup_ms), context.late_ms
    lines = [
        "# there at both ends",
        f"{counter.at(late_ms)} - {counter.at(late_ms + context.rollup_ms)} >= 0",
        "# reset, ended or begun in between",
        f"or {_fallback(counter, context)}",
    ]
    if born:
        lines += ["# first values of newborn series", f"or {seconds} * {born}"]
    counted = context.aggregate("sum", "\n".join(lines))
    return f"{counted} / {seconds}"


def _fallback(counter: Counter, context: BaseContext) -> str:
    """Events between two rollups, by the rate."""
    rates = counter.grown("rate", f"[{context.reach(context.rollup_ms)}]{_offset(context.late_ms)}")
    return f"{seconds_text(context.rollup_ms)} * {rates}"


def _increase(counter: Counter, gap: GapSpan, context: BaseContext) -> str:
    """Events over a span of gap repair, from the raw counters. These know no births, and repair adds less for them."""
    grown = counter.grown("increase", gap.range)
    if not counter.native and not context.recorded:
        # A span that ends with the first sample after an outage has no increase.
        grown = f"{grown}\nor {_besides(_crossed(counter, gap), 'crossed')}"
    return context.aggregate("sum", grown)


def _besides(counted: str, what: str) -> str:
    """Counts with a label of their own: `or` would take them for those of the same series that it has already."""
    return enclosed(counted, "label_replace(", f'"{names.RAW_OF}", "{what}", "", ""')


def _crossed(counter: Counter, gap: GapSpan) -> str:
    """Events of an outage across the beginning of the span: no increase inside one span shows them.

    Soon after an outage began, its series still seem to be there. A series therefore counts as crossed unless there are
    samples of it on both sides.
    """
    begin_ms = gap.span_ms + gap.late_ms
    first = counter.over("min_over_time", gap.span_ms, gap.late_ms)
    last = counter.over("last_over_time", _CROSSED_MS, begin_ms)
    return f"({first} - {last} >= 0)\nunless ({counter.at(begin_ms)} and {counter.at(begin_ms - LOOKBACK_MS)})"


class _Births:
    """The first values of newborn series, in events per second between two rollups."""

    def __init__(self, total: Counter, part: Counter, context: BaseContext) -> None:
        self.whole = total
        # A native histogram has no smallest value: only its growth counts.
        self.counters = () if total.native else (total, part)
        self.context = context
        self.window_ms = context.rollup_ms
        self.late_ms = context.late_ms
        self.ago_ms = context.rollup_ms + context.late_ms

    def of(self, counter: Counter) -> str:
        """The births as other rules read them: recorded, or written out where no rule may read what another records."""
        if counter not in self.counters:
            return ""
        if self.context.recorded:
            return names.born(counter.kind, self.window_ms) + self.context.own
        known = f"{counter.at(self.late_ms)} >= {counter.over('last_over_time', DAY, self.ago_ms)}"
        return _besides(self._births(counter, known), "born")

    def helpers(self) -> Iterator[Helper]:
        """The rules that record births.

        What left is recorded once per metric, and before the births: a series that returns is known by it.
        """
        recorded: dict[str, str] = {}
        labels = {names.RAW_OF: self.context.key}
        for counter in self.counters:
            metric = counter.selector.metric
            if metric not in recorded:
                recorded[metric] = names.left(counter.kind)
                yield Helper(record=names.left(counter.kind), expr=self._left(counter), labels=labels)
        for counter in self.counters:
            left = recorded[counter.selector.metric] + matchers_text(labels)
            last = f"last_over_time({left}[{duration_text(_KNOWN_FOR_MS)}])"
            known = f"{counter.at(self.late_ms)}\n>= ignoring ({names.RAW_OF}) {last}"
            yield Helper(record=names.born(counter.kind, self.window_ms), expr=self._births(counter, known))

    def _births(self, counter: Counter, known: str) -> str:
        """Events per second.

        A series is newborn if it was not there at the last rollup, unless it is `known`. What the rollup counts by the
        rate is no part of its first value. A target's births count if its total grew by as much. After a change of
        labels the total hardly grows, because the series that left take the old count with them. A few births count
        for a target that was scraped before and showed no series at all.
        """
        now = counter.at(self.late_ms)
        newborn = (
            f"({now} - {_fallback(counter, self.context)} or {now})\n"
            f"unless {counter.at(self.ago_ms)}\n"
            f"unless {enclosed(known)}"
        )
        grown = "\n- ".join(f"sum by {_BY_TARGET} ({self.whole.at(ago_ms)})" for ago_ms in (0, self.ago_ms))
        if self.whole.scraped:
            grown += f"\nor {_FEW} * sum by {_BY_TARGET} ({self.whole.scraped}{_offset(self.ago_ms)})"
        by_target = self.context.aggregate("sum", newborn, *_TARGET)
        counted = self.context.aggregate("sum", f"{by_target}\n<= on {_BY_TARGET} group_left () {enclosed(grown)}")
        return f"{counted} / {seconds_text(self.window_ms)}"

    def _left(self, counter: Counter) -> str:
        """Last values of series that left while others of their target went on: the process still runs.

        Small counts of others tell nothing. After a restart, a series may soon reach its old count again.
        """
        whole, before_ms = self.whole, self.ago_ms + self.window_ms
        return (
            f"{counter.over('last_over_time', self.window_ms, self.ago_ms)}\n"
            f"unless {counter.at(self.ago_ms)}\n"
            f"and on {_BY_TARGET} ({whole.at(self.ago_ms)} >= ({whole.at(before_ms)} > {_FEW}))"
        )
