"""`ratio`: bad events over all events, over a range, against a threshold."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from generator.conditions import value_text
from generator.conditions.base import Threshold, aggregate, read_threshold
from generator.conditions.said import Said, limit, words
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.text import Selector
from generator.reading.reader import Reader
from generator.units import duration_text, duration_words


class Ratio(Struct, frozen=True, kw_only=True):
    """`sum(rate(bad)) / sum(rate(total))`. Without events the ratio is 0/0 and does not breach."""

    KIND: ClassVar[str] = "ratio"

    bad: Selector
    total: Selector
    over_ms: int
    by: tuple[str, ...]
    threshold: Threshold

    @property
    def measured(self) -> str:
        """The ratio as PromQL."""
        window = duration_text(self.over_ms)
        bad = aggregate("sum", self.by, f"rate({self.bad.text}[{window}])")
        total = aggregate("sum", self.by, f"rate({self.total.text}[{window}])")
        return f"{bad}\n/ {total}"

    def breaches(self) -> str:
        """The ratios beyond the threshold."""
        return f"{self.measured}\n{self.threshold.filtered}"

    def breach(self) -> str:
        """1 or 0. Without any bad series, 0 as long as there are events."""
        window = duration_text(self.over_ms)
        total = aggregate("sum", self.by, f"rate({self.total.text}[{window}])")
        either = f"{self.measured}\nor 0 * {total}"
        return f"{promql.enclosed(either)} {self.threshold.boolean}"

    def describe(self) -> str:
        """The comparison for people."""
        return f"{self.bad.text} / {self.total.text} over {duration_words(self.over_ms)} {self.threshold.words}"

    @property
    def said(self) -> Said:
        """`5.6 % of HTTP requests failed over 5 min`, or `DLQ drops were 5.6 % of DLQ entries over 5 min`."""
        same = self.bad.metric == self.total.metric
        return Said(
            before="" if same else f"{words(self.bad.metric)} were ",
            after=f" of {words(self.total.metric)} {'failed ' if same else ''}over {duration_words(self.over_ms)}",
            limit=limit(self.threshold.op, self.threshold.written),
        )

    @property
    def shown(self) -> str:
        """As a percentage."""
        return value_text.PERCENT


def parse(reader: Reader) -> Ratio:
    """Read `ratio: {bad: …, total: …}` with `over`, a threshold and `by`."""
    inner = reader.mapping("ratio", required=True)
    bad, total = _EMPTY, _EMPTY
    if inner is not None:
        bad, total = read_selector(inner, "bad"), read_selector(inner, "total")
        inner.finish()
    return Ratio(
        bad=bad,
        total=total,
        over_ms=reader.duration_ms("over"),
        by=reader.labels("by"),
        threshold=read_threshold(reader),
    )


_EMPTY = Selector(text="", metric="", matchers=())


def read_selector(reader: Reader, key: str) -> Selector:
    """A series selector; an empty one if the key is missing or wrong (reported)."""
    text = reader.promql(key, Want.SELECTOR)
    return promql.selector(text) if text and not faults(text, Want.SELECTOR) else _EMPTY
