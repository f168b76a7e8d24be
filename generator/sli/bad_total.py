"""`bad` and `total`: counters of bad events and of all events, or queries of their rates with `$window`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.text import WINDOW, Selector
from generator.reading.reader import Reader
from generator.sli.base import BaseContext, BaseQueries, Helper, seconds_text
from generator.sli.counting import born_of, events_of, helpers_of, plain


class BadTotal(Struct, frozen=True, kw_only=True):
    """Bad events among all events. A selector names counters; a query with `$window` gives events per second."""

    KIND: ClassVar[str] = "bad/total"

    bad: Selector | str
    total: Selector | str

    def base(self, context: BaseContext) -> BaseQueries:
        """Rates of both; no error series means no errors, as long as there are events."""
        total = rate_of("total", self.total, self.total, context)
        errors = rate_of("errors", self.bad, self.total, context)
        errors_increase = increase_of(self.bad, context)
        return BaseQueries(
            total=total,
            errors=f"{errors}\nor {context.zero(context.total_series)}",
            total_increase=increase_of(self.total, context),
            errors_increase=f"{errors_increase}\nor {context.zero(context.total_increase_series)}",
            helpers=births({"total": self.total, "errors": self.bad}, context),
        )

    def describe(self) -> str:
        """One line for people."""
        return f"bad: {source_text(self.bad)} of total: {source_text(self.total)}"


def rate_of(kind: str, source: Selector | str, total: Selector | str, context: BaseContext) -> str:
    """Events per second over the base window, by the SLO's groups."""
    if not isinstance(source, Selector):
        return context.aggregate("sum", promql.over(source, context.range))
    counter = plain(source)
    whole = plain(total) if isinstance(total, Selector) else counter
    return events_of(counter, context, born_of(kind, counter, whole, context))


def births(sources: Mapping[str, Selector | str], context: BaseContext) -> tuple[Helper, ...]:
    """The rules that record births of an SLI's counters, by kind, total first. Queries have no births."""
    found = {kind: each for kind, each in sources.items() if isinstance(each, Selector)}
    if not found:
        return ()
    counters = {kind: (plain(each), each.metric) for kind, each in found.items()}
    whole, _ = next(iter(counters.values()))
    return tuple(helpers_of(counters, whole, context))


def increase_of(source: Selector | str, context: BaseContext) -> str:
    """Events over the gap span, by the SLO's groups. A query gives events per second, and is multiplied by the span."""
    if isinstance(source, Selector):
        return context.aggregate("sum", f"increase({source.text}{context.gap_range})")
    return f"{seconds_text(context.gap_span_ms)} * {context.aggregate('sum', promql.over(source, context.gap_span))}"


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
