"""`good` and `total`: counters of good events and of all events, or queries of their rates with `$window`."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.promql.text import Selector
from generator.reading.reader import Reader
from generator.sli.bad_total import (
    counters_of,
    increase_of,
    part_increase,
    part_rate,
    rate_of,
    read_source,
    source_text,
    told,
)
from generator.sli.base import BaseContext, BaseQueries
from generator.sli.counting import rest


class GoodTotal(Struct, frozen=True, kw_only=True):
    """Good events among all events; every other event is bad."""

    KIND: ClassVar[str] = "good/total"

    good: Selector | str
    total: Selector | str

    def base(self, context: BaseContext) -> BaseQueries:
        """Bad = total − good, never below zero."""
        counters = counters_of("good", self.good, self.total)
        if counters is not None:
            return counters.queries(context)
        return BaseQueries(
            total=rate_of(self.total, context),
            errors=rest(context, context.total_series, part_rate(self.good, context)),
            increases=tuple(
                (
                    increase_of(self.total, gap, context),
                    rest(context, gap.total_series, part_increase(self.good, gap, context)),
                )
                for gap in told(context)
            ),
        )

    def describe(self) -> str:
        """One line for people."""
        return f"good: {source_text(self.good)} of total: {source_text(self.total)}"


def parse(reader: Reader) -> GoodTotal:
    """Read `{good: …, total: …}`."""
    return GoodTotal(good=read_source(reader, "good"), total=read_source(reader, "total"))
