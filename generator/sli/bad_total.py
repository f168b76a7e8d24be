"""`bad` and `total`: counters of bad events and of all events, or queries of their rates with `$window`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
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
        if isinstance(self.bad, Selector) and isinstance(self.total, Selector):
            total, bad = Counter(kind="total", selector=self.total), Counter(kind="errors", selector=self.bad)
            return Counters(total=total, part=bad).queries(context)
        errors = rate_of(self.bad, context)
        return BaseQueries(
            total=rate_of(self.total, context),
            errors=f"{errors}\nor {context.zero(context.total_series)}",
            increases=tuple(
                (increase_of(self.total, gap, context), f"{increase_of(self.bad, gap, context)}\nor {zero}")
                for gap, zero in told(context)
            ),
        )

    def describe(self) -> str:
        """One line for people."""
        return f"bad: {source_text(self.bad)} of total: {source_text(self.total)}"


def rate_of(source: Selector | str, context: BaseContext) -> str:
    """Events per second over the base window, by the SLO's groups."""
    if isinstance(source, Selector):
        return context.aggregate("sum", f"rate({source.text}[{context.range}])")
    return context.aggregate("sum", promql.over(source, context.range))


def told(context: BaseContext) -> Iterator[tuple[GapSpan, str]]:
    """The spans of gap repair that a query can tell, with a zero for each. A query reads all samples of its window."""
    for gap in context.gaps:
        if not gap.step_ms:
            yield gap, context.zero(gap.total_series)


def increase_of(source: Selector | str, gap: GapSpan, context: BaseContext) -> str:
    """Events over the gap span, by the SLO's groups. A query gives events per second, and is multiplied by the span."""
    if isinstance(source, Selector):
        return context.aggregate("sum", f"increase({source.text}{gap.range})")
    return f"{seconds_text(gap.span_ms)} * {context.aggregate('sum', promql.over(source, gap.window))}"


def source_text(source: Selector | str) -> str:
    """The source as the spec writes it."""
    return source.text if isinstance(source, Selector) else source


def read_source(reader: Reader, key: str) -> Selector | str:
    """A counter's selector, or a query with `$window`."""
    if WINDOW in reader.text(key):
        return reader.promql(key, Want.VECTOR)
    text = reader.promql(key, Want.SELECTOR)
    if not text or faults(text, Want.SELECTOR):
        return ""
    return promql.selector(text)


def parse(reader: Reader) -> BadTotal:
    """Read `{bad: …, total: …}`."""
    return BadTotal(bad=read_source(reader, "bad"), total=read_source(reader, "total"))
