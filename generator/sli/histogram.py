"""`histogram` and `below`: observations above a bound are bad. A classic histogram needs a bucket at the bound."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
from generator.promql.buckets import le_matcher
from generator.promql.check import Want, faults
from generator.promql.text import Selector
from generator.reading.reader import Reader
from generator.sli.base import BaseContext, BaseQueries
from generator.sli.counting import Counter, Counters

_MILLISECOND_SUFFIXES = ("_ms", "_milliseconds", "_millis")
_CLASSIC_SUFFIXES = ("_bucket", "_count", "_sum")


class HistogramBelow(Struct, frozen=True, kw_only=True):
    """Observations of a histogram that exceed `bound` (in the metric's own unit) are bad."""

    KIND: ClassVar[str] = "histogram"

    histogram: Selector
    bound: Decimal
    bound_text: str  # the bound's text in the spec: `300ms`
    native: bool

    def base(self, context: BaseContext) -> BaseQueries:
        """Counts above the bound, and all counts.

        Only a bucket at the bound is read: interpolation between buckets would be wrong by half and more. Without this
        bucket, the rules record neither errors nor zeros, and the no-data alert fires.
        """
        if self.native:
            found = self.histogram
            total = Counter(kind="total", selector=found, native=True)
            above = Counter(kind="errors", selector=found, native=True, above=self.bound)
            return Counters(total=total, part=above).queries(context)
        name = self.histogram.metric
        count = promql.selector(promql.with_metric(self.histogram, f"{name}_count"))
        bucket = promql.selector(promql.with_metric(self.histogram, f"{name}_bucket", self.bucket_matcher))
        total, fast = Counter(kind="total", selector=count), Counter(kind="good", selector=bucket)
        return Counters(total=total, part=fast, must_exist=True).queries(context)

    @property
    def bucket_matcher(self) -> str:
        """The `le` matcher, in every spelling of the bound by clients, Prometheus 2 and Prometheus 3."""
        return le_matcher(self.bound)

    def describe(self) -> str:
        """One line for people."""
        kind = "native histogram" if self.native else "histogram"
        return f"{kind} {self.histogram.text}: bad above {self.bound_text}"


def parse(reader: Reader) -> HistogramBelow:
    """Read `{histogram: …, below: 300ms, native: false}`."""
    text = reader.promql("histogram", Want.SELECTOR)
    found = Selector(text=text, metric="", matchers=())
    if text and not faults(text, Want.SELECTOR):
        found = promql.selector(text)
        check_histogram_name(reader, "histogram", found)
    bound, written = bound_in_unit(reader, "below", found.metric)
    if bound <= 0 and not reader.failed:
        reader.fail(
            "spec/range", f"{reader.what}.below must be above 0", "write `below: 300ms` or `below: 0.3`", key="below"
        )
    return HistogramBelow(histogram=found, bound=bound, bound_text=written, native=reader.boolean("native", False))


def check_histogram_name(reader: Reader, key: str, found: Selector) -> None:
    """Report a name that belongs to one of a histogram's classic series."""
    for suffix in _CLASSIC_SUFFIXES:
        if found.metric.endswith(suffix):
            name = found.metric.removesuffix(suffix)
            reader.fail(
                "spec/histogram-name",
                f"{found.metric!r} is one series of a histogram, not the histogram's name",
                f"write `{name}`, without the suffix",
                key=key,
            )


def bound_in_unit(reader: Reader, key: str, metric: str) -> tuple[Decimal, str]:
    """A bound in the metric's own unit, and its text in the spec."""
    bound, written = reader.bound(key)
    return in_metric_unit(bound, written, metric), written


def unit_written(bound: str) -> str:
    """The unit of values that a bound limits, by the bound's text: "ratio", "seconds", or "" if unknown."""
    if bound.endswith("%"):
        return "ratio"
    return "seconds" if bound[-1:].isalpha() else ""


def unit_of(metric: str, written: str) -> str:
    """The unit of a metric's values, by its name or by a bound's text: "milliseconds", "seconds", or "" if unknown."""
    if metric.endswith(_MILLISECOND_SUFFIXES):
        return "milliseconds"
    return "seconds" if metric.endswith("_seconds") or written[-1:].isalpha() else ""


def in_metric_unit(bound: Decimal, written: str, metric: str) -> Decimal:
    """A duration as a bound counts seconds, or milliseconds if the metric's name says so."""
    if written[-1:].isalpha() and metric.endswith(_MILLISECOND_SUFFIXES):
        return bound * 1000
    return bound
