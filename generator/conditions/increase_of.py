"""`increase_of`: how much a counter grows over a range. `changes_of`: how often a value changes."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.conditions import value_text
from generator.conditions.base import Threshold, aggregate, read_threshold
from generator.conditions.ratio import read_selector
from generator.conditions.said import Said, limit, measured, with_unit
from generator.promql.text import Selector
from generator.reading.reader import Reader
from generator.units import duration_text, duration_words


class IncreaseOf(Struct, frozen=True, kw_only=True):
    """`sum(increase(counter))`: events over the range, of all series together or by label."""

    KIND: ClassVar[str] = "increase_of"

    counter: Selector
    over_ms: int
    by: tuple[str, ...]
    threshold: Threshold

    @property
    def measured(self) -> str:
        """The increase as PromQL."""
        return aggregate("sum", self.by, f"increase({self.counter.text}[{duration_text(self.over_ms)}])")

    def breaches(self) -> str:
        """The increases beyond the threshold."""
        return f"{self.measured}\n{self.threshold.filtered}"

    def breach(self) -> str:
        """1 or 0."""
        return f"{self.measured} {self.threshold.boolean}"

    def describe(self) -> str:
        """The comparison for people."""
        return f"increase of {self.counter.text} over {duration_words(self.over_ms)} {self.threshold.words}"

    @property
    def said(self) -> Said:
        """`DLQ entries grew by 7 over 10 min`."""
        return Said(
            before=f"{measured(self.counter)} grew by ",
            after=f" over {duration_words(self.over_ms)}",
            limit=limit(self.threshold.op, with_unit(self.threshold.written, self.counter.metric)),
        )

    @property
    def shown(self) -> str:
        """Whole events, although Prometheus extrapolates; or the unit that the counter counts."""
        return value_text.by_name(self.counter.metric) or value_text.COUNT


class ChangesOf(Struct, frozen=True, kw_only=True):
    """`max(changes(series))`: the number of changes over the range, of the series with the most changes."""

    KIND: ClassVar[str] = "changes_of"

    series: Selector
    over_ms: int
    by: tuple[str, ...]
    threshold: Threshold

    @property
    def measured(self) -> str:
        """The number of changes as PromQL."""
        return aggregate("max", self.by, f"changes({self.series.text}[{duration_text(self.over_ms)}])")

    def breaches(self) -> str:
        """The counts of changes beyond the threshold."""
        return f"{self.measured}\n{self.threshold.filtered}"

    def breach(self) -> str:
        """1 or 0."""
        return f"{self.measured} {self.threshold.boolean}"

    def describe(self) -> str:
        """The comparison for people."""
        return f"changes of {self.series.text} over {duration_words(self.over_ms)} {self.threshold.words}"

    @property
    def said(self) -> Said:
        """`ready changed 4 times over 2 min`."""
        return Said(
            before=f"{measured(self.series)} changed ",
            after=f" times over {duration_words(self.over_ms)}",
            limit=limit(self.threshold.op, self.threshold.written),
        )

    @property
    def shown(self) -> str:
        """How many changes."""
        return value_text.COUNT


def parse_increase(reader: Reader) -> IncreaseOf:
    """Read `increase_of: COUNTER` with `over`, a threshold and `by`."""
    counter = read_selector(reader, "increase_of")
    over_ms, by = reader.duration_ms("over"), reader.labels("by")
    return IncreaseOf(counter=counter, over_ms=over_ms, by=by, threshold=read_threshold(reader))


def parse_changes(reader: Reader) -> ChangesOf:
    """Read `changes_of: SERIES` with `over`, a threshold and `by`."""
    series = read_selector(reader, "changes_of")
    over_ms, by = reader.duration_ms("over"), reader.labels("by")
    return ChangesOf(series=series, over_ms=over_ms, by=by, threshold=read_threshold(reader))
