"""`p50_of`, `p90_of`, `p95_of`, `p99_of`: a quantile of a histogram over a range, against a threshold."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from generator.conditions import value_text
from generator.conditions.base import Threshold, aggregate, read_threshold
from generator.conditions.ratio import read_selector
from generator.conditions.said import Said, limit, measured, with_unit
from generator.promql import text as promql
from generator.promql.text import Selector
from generator.reading.reader import Reader
from generator.sli.histogram import check_histogram_name, in_metric_unit
from generator.units import decimal_text, duration_text, duration_words

QUANTILES = {
    "p50_of": Decimal("0.5"),
    "p90_of": Decimal("0.9"),
    "p95_of": Decimal("0.95"),
    "p99_of": Decimal("0.99"),
}


class QuantileOf(Struct, frozen=True, kw_only=True):
    """`histogram_quantile(q, sum by (le) (rate(…)))`, for alerts and panels. An objective counts events instead."""

    KIND: ClassVar[str] = "quantile_of"

    histogram: Selector
    quantile: Decimal
    native: bool
    over_ms: int
    by: tuple[str, ...]
    threshold: Threshold

    @property
    def measured(self) -> str:
        """The quantile as PromQL."""
        window = duration_text(self.over_ms)
        return quantile_query(self.histogram, self.quantile, window, self.by, native=self.native)

    def breaches(self) -> str:
        """The quantiles beyond the threshold."""
        return f"{self.measured}\n{self.threshold.filtered}"

    def breach(self) -> str:
        """1 or 0. A quantile of no observations is NaN and does not breach."""
        return f"{self.measured} {self.threshold.boolean}"

    def describe(self) -> str:
        """The comparison for people."""
        name = f"p{decimal_text(self.quantile * 100)}"
        return f"{name} of {self.histogram.text} over {duration_words(self.over_ms)} {self.threshold.words}"

    @property
    def said(self) -> Said:
        """`p95 of request duration was 910 ms over 2 min`."""
        return Said(
            before=f"p{decimal_text(self.quantile * 100)} of {measured(self.histogram)} was ",
            after=f" over {duration_words(self.over_ms)}",
            limit=limit(self.threshold.op, with_unit(self.threshold.written, self.histogram.metric)),
        )

    @property
    def shown(self) -> str:
        """In the histogram's unit; seconds where the threshold is written as a duration and the name says nothing."""
        named = value_text.by_name(self.histogram.metric)
        if not named and self.threshold.written[-1:].isalpha():
            return value_text.SECONDS
        return named or value_text.NUMBER


def quantile_query(histogram: Selector, quantile: Decimal, window: str, by: tuple[str, ...], *, native: bool) -> str:
    """The quantile as PromQL, for alerts and for panels of a dashboard."""
    if native:
        rates = aggregate("sum", by, f"rate({histogram.text}[{window}])")
    else:
        buckets = promql.with_metric(histogram, f"{histogram.metric}_bucket")
        rates = aggregate("sum", ("le", *by), f"rate({buckets}[{window}])")
    return f"histogram_quantile({decimal_text(quantile)}, {rates})"


def parser(key: str) -> Callable[[Reader], QuantileOf]:
    """The reader for one of the keys in `QUANTILES`."""

    def parse(reader: Reader) -> QuantileOf:
        histogram = read_selector(reader, key)
        check_histogram_name(reader, key, histogram)
        over_ms, by = reader.duration_ms("over"), reader.labels("by")
        threshold = read_threshold(reader)
        value = in_metric_unit(threshold.value, threshold.written, histogram.metric)
        return QuantileOf(
            histogram=histogram,
            quantile=QUANTILES[key],
            native=reader.boolean("native", False),
            over_ms=over_ms,
            by=by,
            threshold=replace(threshold, value=value),
        )

    return parse
