"""`good` and `total`: counters of good events and of all events, or queries of their rates with `$window`."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
from generator.promql.text import Selector
from generator.reading.reader import Reader
from generator.sli.bad_total import births, increase_of, rate_of, read_source, source_text
from generator.sli.base import BaseContext, BaseQueries


class GoodTotal(Struct, frozen=True, kw_only=True):
    """Good events among all events; every other event is bad."""

    KIND: ClassVar[str] = "good/total"

    good: Selector | str
    total: Selector | str

    def base(self, context: BaseContext) -> BaseQueries:
        """Bad = total − good, never below zero."""
        good = rate_of("good", self.good, self.total, context)
        return BaseQueries(
            total=rate_of("total", self.total, self.total, context),
            errors=rest(context, context.total_series, good),
            total_increase=increase_of(self.total, context),
            errors_increase=rest(context, context.total_increase_series, increase_of(self.good, context)),
            helpers=births({"total": self.total, "good": self.good}, context),
        )

    def describe(self) -> str:
        """One line for people."""
        return f"good: {source_text(self.good)} of total: {source_text(self.total)}"


def rest(context: BaseContext, total_series: str, good: str) -> str:
    """The part of the recorded total that is not good; all of the total if no good series exists."""
    total = context.aggregate("sum", total_series)
    either = promql.enclosed(f"{good}\nor {context.zero(total_series)}")
    return promql.enclosed(f"{total}\n- {either}", "clamp_min(", "0")


def parse(reader: Reader) -> GoodTotal:
    """Read `{good: …, total: …}`."""
    return GoodTotal(good=read_source(reader, "good"), total=read_source(reader, "total"))
