"""`error_ratio`: an existing error ratio, weighted by the number of events if `weight` gives one."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
from generator.promql.counted import Shares, shares
from generator.promql.labels import labels_of
from generator.promql.parts import bare
from generator.promql.tokens import same
from generator.reading.reader import Reader
from generator.sli.bad_total import over, read_query, summed
from generator.sli.base import BaseContext, BaseQueries
from generator.sli.counting import rest


class ErrorRatio(Struct, frozen=True, kw_only=True):
    """A query for the error ratio over `$window`. Without a weight, each instant counts the same, busy or idle.

    If the query is one count divided by another, the rules keep the counts apart. Several series are then added up
    instead of averaged, and a count without series is a zero.
    """

    KIND: ClassVar[str] = "error_ratio"

    error_ratio: str
    weight: str | None

    def base(self, context: BaseContext) -> BaseQueries:
        """Events are the weight, and bad events are ratio × weight."""
        sides = self._sides_of(context.group_by)
        if sides is not None and self.counts_apart:
            return self._of_counts(sides, context)
        ratio = self._ratio(sides, context)
        if self.weight is None:
            # `>= 0` leaves out the 0/0 of an idle instant
            return BaseQueries(total=f"0 * ({ratio} >= 0) + 1", errors=f"{ratio} >= 0")
        total = context.aggregate("sum", context.total_series)
        errors = (
            f"({ratio} >= 0) * {total}",
            "# no events: the ratio is 0/0, or the weight is zero",
            f"or 0 * ({total} and {ratio})",
            f"or 0 * ({total} == 0)",
        )
        return BaseQueries(
            total=context.aggregate("sum", over(self.weight, context.range)),
            errors="\n".join(errors),
        )

    @property
    def sides(self) -> Shares | None:
        """Numerator and denominator, if the query is one count divided by another."""
        return shares(self.error_ratio)

    def _sides_of(self, group_by: tuple[str, ...]) -> Shares | None:
        """Both sides, if each keeps the labels of the groups. `group_left` may give one side's labels to the result."""
        sides = self.sides
        for side in (sides.numerator, sides.denominator) if sides is not None else ():
            kept = labels_of(promql.parse(side))
            if not all(kept.may_have(label) for label in group_by):
                return None
        return sides

    @property
    def counts_apart(self) -> bool:
        """Whether the weight is the ratio's own denominator: the numerator is then the number of bad or good events."""
        sides = self.sides
        return sides is not None and self.weight is not None and same(sides.denominator, bare(self.weight))

    def _of_counts(self, sides: Shares, context: BaseContext) -> BaseQueries:
        part = summed(over(sides.numerator, context.range), context, context.zero(context.total_series))
        return BaseQueries(
            total=context.aggregate("sum", over(sides.denominator, context.range)),
            errors=rest(context, context.total_series, part) if sides.success else part,
        )

    def _ratio(self, sides: Shares | None, context: BaseContext) -> str:
        """The ratio of each group. Only a ratio whose counts are unknown is averaged over its series."""
        if sides is None:
            return context.aggregate("avg", over(self.error_ratio, context.range))
        whole = context.aggregate("sum", over(sides.denominator, context.range))
        part = promql.enclosed(summed(over(sides.numerator, context.range), context, f"0 * {whole}"))
        return promql.enclosed(f"1 - {part} / {whole}" if sides.success else f"{part} / {whole}")

    def describe(self) -> str:
        """One line for people."""
        weight = f", weighted by {self.weight}" if self.weight else ", each instant with the same weight"
        return f"error ratio {self.error_ratio}{weight}"


def parse(reader: Reader) -> ErrorRatio:
    """Read `{error_ratio: …, weight: …}`."""
    ratio = read_query(reader, "error_ratio")
    weight = read_query(reader, "weight") if reader.has("weight") else None
    return ErrorRatio(error_ratio=ratio, weight=weight)
