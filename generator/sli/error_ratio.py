"""`error_ratio`: an existing error ratio, weighted by the number of events if `weight` gives one."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
from generator.promql.check import Want
from generator.reading.reader import Reader
from generator.sli.base import BaseContext, BaseQueries


class ErrorRatio(Struct, frozen=True, kw_only=True):
    """A query for the error ratio over `$window`. Without a weight, each instant counts the same, busy or idle."""

    KIND: ClassVar[str] = "error_ratio"

    error_ratio: str
    weight: str | None

    def base(self, context: BaseContext) -> BaseQueries:
        """Events are the weight, and bad events are ratio × weight. `>= 0` leaves out the 0/0 of an idle instant."""
        ratio = context.aggregate("avg", promql.over(self.error_ratio, context.range))
        if self.weight is None:
            return BaseQueries(total=f"0 * ({ratio} >= 0) + 1", errors=f"{ratio} >= 0")
        return BaseQueries(
            total=context.aggregate("sum", promql.over(self.weight, context.range)),
            errors=(
                f"({ratio} >= 0) * {context.aggregate('sum', context.total_series)}\n"
                f"or {context.zero(context.total_series)}"
            ),
        )

    def describe(self) -> str:
        """One line for people."""
        weight = f", weighted by {self.weight}" if self.weight else ", each instant with the same weight"
        return f"error ratio {self.error_ratio}{weight}"


def parse(reader: Reader) -> ErrorRatio:
    """Read `{error_ratio: …, weight: …}`."""
    ratio = reader.promql("error_ratio", Want.VECTOR)
    weight = reader.promql("weight", Want.VECTOR) if reader.has("weight") else None
    return ErrorRatio(error_ratio=ratio, weight=weight)
