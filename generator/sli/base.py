"""The interface of every SLI type: events and bad events per second, as PromQL."""

from __future__ import annotations

from typing import ClassVar, Protocol

from msgspec import Struct

from generator.promql.text import Selector, enclosed, indented
from generator.units import duration_text


class BaseContext(Struct, frozen=True, kw_only=True):
    """What the base rules need: the labels to keep, the base window, and the recorded total that zeros come from."""

    group_by: tuple[str, ...]
    base_ms: int
    total_series: str  # the recorded `slo:total:…` of this SLO, as a selector
    total_increase_series: str  # the recorded increase over the gap span, as a selector
    scrape_ms: int
    gap_span_ms: int
    flight_ms: int  # until an event is in all base series and rollups that count it
    aligned: bool  # a build for tests, in which scrapes and evaluations fall on the same instants

    @property
    def gap_span(self) -> str:
        """The span over which gap repair compares raw counters with rollups, as PromQL."""
        return duration_text(self.gap_span_ms)

    @property
    def gap_range(self) -> str:
        """The gap span as a range in PromQL. The range ends where present rollups have counted every event."""
        return f"[{self.gap_span}]" + (f" offset {duration_text(self.flight_ms)}" if self.flight_ms else "")

    @property
    def window(self) -> str:
        """The base window as PromQL."""
        return duration_text(self.base_ms)

    @property
    def range(self) -> str:
        """The range, as PromQL, over which a rate spans the base window: one scrape more.

        N + 1 samples span N scrape intervals. Each increase then lies in exactly base window / interval evaluations,
        and the rates add up to the events themselves. A range of only the base window counts one event 10 % too much
        and the next one 10 % too little. Sparse traffic does not average the errors out.

        If scrapes and evaluations fall together, Prometheus 2 would find one more sample at the range's edge. Half a
        scrape is right for Prometheus 2 and 3.
        """
        return duration_text(self.base_ms + (self.scrape_ms // 2 if self.aligned else self.scrape_ms))

    def aggregate(self, function: str, expression: str, *extra: str) -> str:
        """`function by (labels) (expression)` with the labels of the SLO's groups."""
        labels = (*self.group_by, *extra)
        by = f" by ({', '.join(labels)}) " if labels else ""
        return function + by + (enclosed(expression) if "\n" in expression else f"({expression})")

    def zero(self, series: str) -> str:
        """Zero if there are events at all: the errors while no error series exists."""
        return f"0 * {self.aggregate('sum', series)}"


class BaseQueries(Struct, frozen=True, kw_only=True):
    """All and bad events per second. The increases count events over the gap span; None without raw counters."""

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


# When the rules look for an earlier sample of a series that appears. Each look is four times as far back as the one
# before. A series is found if its absence was shorter than a third of its life before.
_LOOKED_BACK = ("20m", "1h20m", "5h20m", "21h20m", "3d13h20m")


def events_of(part: Selector, whole: Selector, context: BaseContext) -> str:
    """Events per second that `part` counted in the base window, by the SLO's groups. `whole` is the total of `part`.

    A series with samples at both ends of the window counts by their difference. Nothing is extrapolated, therefore rare
    events and shifted scrapes neither lose nor invent events. For a counter that was reset, ended or began in between,
    a rate replaces the difference.

    Clients show a labelled counter from its first event on. A new series of a target that was scraped before therefore
    counts from zero. Two kinds of new series do not count. A series that returns had at most its present value before.
    After a change of labels, the series that left the target had reached the value of the new series.
    """
    series, then = part.text, f"{part.text} offset {context.window}"
    older = "\n  or ".join(f"{series} offset {ago}" for ago in _LOOKED_BACK)
    known = indented(enclosed(older)) + f" <= {series}"
    scraped = f"count by (job, instance) ({whole.text} offset {context.window})"
    born = enclosed(f"{series}\nunless {then}\nunless {known}\nand on (job, instance) {scraped}")
    seconds = seconds_text(context.base_ms)
    net = context.aggregate("sum", f"{born}\nor 0 - ({then} unless {series})", "job", "instance")
    counted = "\n".join(
        (
            "# there at both ends of the window",
            f"{series} - {then} >= 0",
            "# reset, ended or begun in between",
            f"or 0 * {born}",
            f"or {seconds} * rate({series}[{context.range}])",
            "# newborn on a target that was scraped before, less what left it",
            f"or {enclosed(net, 'clamp_min(', '0')}",
        )
    )
    return f"{context.aggregate('sum', counted)} / {seconds}"
