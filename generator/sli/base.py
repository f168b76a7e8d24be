"""What every SLI type offers: events and bad events per second, as PromQL."""

from __future__ import annotations

from typing import ClassVar, Protocol

from msgspec import Struct

from generator.promql.text import Selector, enclosed
from generator.units import duration_text


class BaseContext(Struct, frozen=True, kw_only=True):
    """Where base rules are written: the labels to keep, the base window, and the recorded total to fall back on."""

    group_by: tuple[str, ...]
    base_ms: int
    total_series: str  # the recorded `slo:total:…` of this SLO, as a selector
    total_increase_series: str  # the recorded increase over the gap span, as a selector
    scrape_ms: int
    gap_span_ms: int
    aligned: bool  # a build for tests, in which scrapes and evaluations fall on the same instants

    @property
    def gap_span(self) -> str:
        """The span over which raw counters are held against the rollups, as PromQL."""
        return duration_text(self.gap_span_ms)

    @property
    def window(self) -> str:
        """The base window as PromQL."""
        return duration_text(self.base_ms)

    @property
    def range(self) -> str:
        """What a rate must reach over, as PromQL, to span the base window: one scrape more.

        N + 1 samples span N scrape intervals. So each increase lies in exactly base window / interval evaluations, and
        the rates add up to the events themselves; a range of the base window alone counts one event 10 % too much and
        the next one 10 % too little, which sparse traffic does not average out. Where scrapes and evaluations fall
        together, Prometheus 2 would find one sample more at the range's very edge; half a scrape does for both.
        """
        return duration_text(self.base_ms + (self.scrape_ms // 2 if self.aligned else self.scrape_ms))

    def aggregate(self, function: str, expression: str, *extra: str) -> str:
        """`function by (labels) (expression)`, the labels being those of the SLO's groups."""
        labels = (*self.group_by, *extra)
        by = f" by ({', '.join(labels)}) " if labels else ""
        return function + by + (enclosed(expression) if "\n" in expression else f"({expression})")

    def zero(self, series: str) -> str:
        """Zero wherever there are events at all: what errors are when no error series exists."""
        return f"0 * {self.aggregate('sum', series)}"


class BaseQueries(Struct, frozen=True, kw_only=True):
    """Per second: all events and bad ones. The increases count events over a day; None where no raw counter exists."""

    total: str
    errors: str
    total_increase: str | None = None
    errors_increase: str | None = None


class Sli(Protocol):
    """One SLI as written in a spec."""

    KIND: ClassVar[str]

    def base(self, context: BaseContext) -> BaseQueries:
        """The base pair of this SLI."""

    def describe(self) -> str:
        """One line for people: which events count, and which of them are bad."""


def seconds_text(duration_ms: int) -> str:
    """A duration in seconds as PromQL: 300000 → `300`, 1500 → `1.5`."""
    whole, rest = divmod(duration_ms, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


def rate_with_newborns(part: Selector, whole: Selector, context: BaseContext) -> str:
    """The rate of `part`, counting from zero a series that appeared on a target that was already being scraped.

    `rate` loses a new series' first value: with errors that are born with their first event, all of a short
    incident. The guard on job and instance keeps a restarted or newly found target from counting its whole past
    (rules: newborn series).
    """
    window = context.window
    born = f"({part.text} unless {part.text} offset {window})"
    scraped = f"count by (job, instance) ({whole.text} and {whole.text} offset {window})"
    seconds = seconds_text(context.base_ms)
    newborns = enclosed(f"{born}\nand on (job, instance) {scraped}")
    return f"{newborns} / {seconds}\nor rate({part.text}[{context.range}])"
