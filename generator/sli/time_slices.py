"""`good_when`, and `value` with `max` or `min`: each slice of time is good or bad, whatever the traffic."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.reading.reader import Reader
from generator.sli.base import BaseContext, BaseQueries, seconds_text
from generator.units import MINUTE, SECOND, decimal_text, duration_text


class TimeSlices(Struct, frozen=True, kw_only=True):
    """A slice is bad if `good` (0 or 1 at each scrape) was 0 at any time in it, for any series of the group."""

    KIND: ClassVar[str] = "time slices"

    good: str  # a query that is 1 for good and 0 for bad
    slice_ms: int
    written: str

    def base(self, context: BaseContext) -> BaseQueries:
        """One event for each slice, in the base window in which the slice ends. A slice without a sample is no event.

        The steps of a subquery are whole multiples of its step since the epoch, so slices begin and end with the clock.
        """
        worst = context.aggregate("min", self.good)
        step_ms = min(context.scrape_ms, self.slice_ms)
        # Half a step less if steps and slices fall together. Prometheus 2 would also count the instant at which a slice
        # begins, and this instant belongs to the slice before.
        reach_ms = self.slice_ms if self.slice_ms % step_ms else self.slice_ms - step_ms // 2
        good = f"min_over_time(({worst})[{duration_text(reach_ms)}:{duration_text(step_ms)}])"
        span_ms = max(context.base_ms, self.slice_ms)
        # In a build for tests, evaluations also fall on the ends of slices.
        span = duration_text(span_ms - SECOND if context.aligned else span_ms)
        reach, seconds = f"{span}:{duration_text(self.slice_ms)}", seconds_text(span_ms)
        return BaseQueries(
            total=f"count_over_time({good}[{reach}]) / {seconds}",
            errors=f"sum_over_time((1 - {good})[{reach}]) / {seconds}",
        )

    def describe(self) -> str:
        """One line for people."""
        return f"slices of {duration_text(self.slice_ms)} are good when {self.written}"


def parse_good_when(reader: Reader) -> TimeSlices:
    """Read `{good_when: 'probe_success == 1', slice: 1m}`."""
    text = reader.promql("good_when", Want.VECTOR)
    slice_ms = reader.duration_ms("slice", MINUTE)
    good = text
    if text and not faults(text, Want.VECTOR):
        made = promql.as_bool(text)
        if made is None:
            hint = "write a comparison, such as `good_when: probe_success == 1`"
            reader.fail("spec/good-when", f"{reader.what}.good_when must be a comparison", hint, key="good_when")
        good = made or text
    return TimeSlices(good=good, slice_ms=slice_ms, written=text)


def parse_value(reader: Reader) -> TimeSlices:
    """Read `{value: QUERY, max: 15m}` or `{value: QUERY, min: 3}`, with `slice`."""
    text = reader.promql("value", Want.VECTOR)
    slice_ms = reader.duration_ms("slice", MINUTE)
    limits: list[tuple[str, str, Decimal, str]] = []
    for key, op in (("max", "<="), ("min", ">=")):
        if reader.has(key):
            bound, written = reader.bound(key)
            limits.append((key, op, bound, written))
    if len(limits) != 1:
        reader.fail(
            "spec/sli-type",
            f"{reader.what} needs exactly one of `max` and `min`",
            "write either `max: 15m` or `min: 3`",
        )
        return TimeSlices(good=text, slice_ms=slice_ms, written=text)
    _, op, bound, written = limits[0]
    good = f"({text}) {op} bool {decimal_text(bound)}"
    return TimeSlices(good=good, slice_ms=slice_ms, written=f"{text} {op} {written}")
