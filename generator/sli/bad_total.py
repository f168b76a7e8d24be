"""`bad` and `total`: counters of bad events and of all events, or queries of their rates with `$window`."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from generator.promql import counted
from generator.promql import text as promql
from generator.promql.buckets import in_every_spelling
from generator.promql.check import Want, faults
from generator.promql.text import WINDOW, Selector
from generator.reading.reader import Reader
from generator.sli.base import BaseContext, BaseQueries, GapSpan, seconds_text
from generator.sli.counting import Counter, Counters


class BadTotal(Struct, frozen=True, kw_only=True):
    """Bad events among all events. A selector names counters; a query with `$window` gives events per second."""

    KIND: ClassVar[str] = "bad/total"

    bad: Selector | str
    total: Selector | str

    def base(self, context: BaseContext) -> BaseQueries:
        """Both counted; no error series means no errors, as long as there are events."""
        counters = counters_of("errors", self.bad, self.total)
        if counters is not None:
            return counters.queries(context)
        return BaseQueries(
            total=rate_of(self.total, context),
            errors=part_rate(self.bad, context),
            increases=tuple(
                (increase_of(self.total, gap, context), part_increase(self.bad, gap, context)) for gap in told(context)
            ),
        )

    def describe(self) -> str:
        """One line for people."""
        return f"bad: {source_text(self.bad)} of total: {source_text(self.total)}"


def counters_of(kind: str, part: Selector | str, total: Selector | str) -> Counters | None:
    """Both counters, if selectors name them."""
    if not isinstance(part, Selector) or not isinstance(total, Selector):
        return None
    return Counters(
        total=Counter(kind="total", selector=_spelled(total)), part=Counter(kind=kind, selector=_spelled(part))
    )


def told(context: BaseContext) -> tuple[GapSpan, ...]:
    """The spans of gap repair that a query can tell. A query reads all samples of its window."""
    return tuple(gap for gap in context.gaps if not gap.step_ms)


def rate_of(source: Selector | str, context: BaseContext) -> str:
    """Events per second over the base window, by the SLO's groups."""
    if isinstance(source, Selector):
        return context.aggregate("sum", f"rate({_spelled(source).text}[{context.range}])")
    return context.aggregate("sum", over(source, context.range))


def increase_of(source: Selector | str, gap: GapSpan, context: BaseContext) -> str:
    """Events over the gap span, by the SLO's groups. A query gives events per second, and is multiplied by the span."""
    if isinstance(source, Selector):
        return context.aggregate("sum", f"increase({_spelled(source).text}{gap.range})")
    return f"{seconds_text(gap.span_ms)} * {context.aggregate('sum', over(source, gap.window))}"


def part_rate(source: Selector | str, context: BaseContext) -> str:
    """Events per second of a part of all events: zero without any series, as long as there are events at all."""
    zero = context.zero(context.total_series)
    if isinstance(source, Selector):
        return f"{rate_of(source, context)}\nor {zero}"
    return summed(over(source, context.range), context, zero)


def part_increase(source: Selector | str, gap: GapSpan, context: BaseContext) -> str:
    """Events of a part over the gap span: zero without any series, as long as there are events at all."""
    zero = context.zero(gap.total_series)
    if isinstance(source, Selector):
        return f"{increase_of(source, gap, context)}\nor {zero}"
    events = summed(over(source, gap.window), context, zero)
    return f"{seconds_text(gap.span_ms)} * {promql.enclosed(events)}"


def summed(query: str, context: BaseContext, zero: str) -> str:
    """The sum of a query's series by the SLO's groups, in which each addend without series counts as `zero`."""
    return counted.summed(query, lambda addend: context.aggregate("sum", addend), zero)


def over(query: str, window: str) -> str:
    """The query over a window, with every spelling of the buckets that the query names."""
    return in_every_spelling(promql.over(query, window))


def _spelled(source: Selector) -> Selector:
    return replace(source, text=in_every_spelling(source.text))


def source_text(source: Selector | str) -> str:
    """The source as the spec writes it."""
    return source.text if isinstance(source, Selector) else source


def read_source(reader: Reader, key: str) -> Selector | str:
    """A counter's selector, or a query with `$window`."""
    if WINDOW in reader.text(key):
        return read_query(reader, key)
    text = reader.promql(key, Want.SELECTOR)
    if not text or faults(text, Want.SELECTOR):
        return ""
    return promql.selector(text)


def read_query(reader: Reader, key: str) -> str:
    """A query, cut back to what the query counts. A guard that is cut off is reported."""
    text = reader.promql(key, Want.VECTOR)
    if not text or faults(text, Want.VECTOR):
        return text
    cut = counted.unguarded(text)
    for guard in cut.guards:
        message = f"{reader.path(key)}: `{guard}` hides idle time, or invents events, so the rules leave the guard out"
        hint = f"write `{' '.join(cut.text.split())}`: idle time has no events, and is not missing"
        reader.problems.add("sli/guard", reader.at(key), message, hint, warning=True)
    return cut.text


def parse(reader: Reader) -> BadTotal:
    """Read `{bad: …, total: …}`."""
    return BadTotal(bad=read_source(reader, "bad"), total=read_source(reader, "total"))
