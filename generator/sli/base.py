"""The interface of every SLI type: events and bad events per second, as PromQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from msgspec import Struct

from generator.promql.text import enclosed
from generator.units import MINUTE, duration_text

LOOKBACK_MS = 5 * MINUTE
"""How far back Prometheus looks for the last sample of a series, which has a value for so long after its end."""


class GapSpan(Struct, frozen=True, kw_only=True):
    """A span over which gap repair compares raw counters with rollups."""

    span_ms: int
    step_ms: int  # between the samples that are read; 0 reads all
    late_ms: int  # the span ends as long ago as the last rollup, on average
    total_series: str  # the recorded increase of the total, as a selector

    @property
    def window(self) -> str:
        """The span as PromQL."""
        return duration_text(self.span_ms)

    @property
    def range(self) -> str:
        """The span as a range in PromQL."""
        step = f":{duration_text(self.step_ms)}" if self.step_ms else ""
        return f"[{self.window}{step}]" + (f" offset {duration_text(self.late_ms)}" if self.late_ms else "")


class BaseContext(Struct, frozen=True, kw_only=True):
    """What the base rules need: the labels to keep, the base window, and the recorded total that zeros come from."""

    group_by: tuple[str, ...]
    own: str  # the matchers of all series that the SLO records
    key: str  # names the SLO on recorded series that keep the labels of raw series
    base_ms: int
    rollup_ms: int
    total_series: str  # the recorded `slo:total:…` of this SLO, as a selector
    total_rollup_series: str  # the recorded rollup without repairs, as a selector
    gaps: tuple[GapSpan, ...]
    scrape_ms: int
    aligned: bool  # a build for tests, in which scrapes and evaluations fall on the same instants
    recorded: bool = True  # whether a rule may read what another rule records

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
        return self.reach(self.base_ms)

    @property
    def late_ms(self) -> int:
        """How long ago rollups end. After a change of labels, old series stay visible for two scrapes and a tenth."""
        return late_ms(self.scrape_ms, self.rollup_ms)

    def reach(self, window_ms: int) -> str:
        """The range, as PromQL, over which a rate spans a window."""
        return duration_text(window_ms + (self.scrape_ms // 2 if self.aligned else self.scrape_ms))

    def aggregate(self, function: str, expression: str, *extra: str) -> str:
        """`function by (labels) (expression)` with the labels of the SLO's groups."""
        labels = dict.fromkeys((*self.group_by, *extra))
        by = f" by ({', '.join(labels)}) " if labels else ""
        return function + by + (enclosed(expression) if "\n" in expression else f"({expression})")

    def zero(self, series: str) -> str:
        """Zero if there are events at all: the errors while no error series exists."""
        return f"0 * {self.aggregate('sum', series)}"


class Helper(Struct, frozen=True, kw_only=True):
    """A rule whose result the other rules read. `labels` replace those of the SLO, for series that keep raw labels."""

    record: str
    expr: str
    labels: Mapping[str, str] | None = None


class BaseQueries(Struct, frozen=True, kw_only=True):
    """All and bad events per second, over the base window and since the last rollup.

    Without raw counters, rollups add up the base series. `increases` are the events (total, errors) over each span of
    gap repair that the SLI can tell.
    """

    total: str
    errors: str
    helpers: tuple[Helper, ...] = ()  # in order, before the rollups
    total_rollup: str | None = None
    errors_rollup: str | None = None
    increases: tuple[tuple[str, str], ...] = ()


class Sli(Protocol):
    """One SLI as written in a spec."""

    KIND: ClassVar[str]

    def base(self, context: BaseContext) -> BaseQueries:
        """The base pair of this SLI."""

    def describe(self) -> str:
        """One line for people: which events count, and which of them are bad."""


def late_ms(scrape_ms: int, rollup_ms: int) -> int:
    """How long ago rollups of raw counters end."""
    return min(3 * scrape_ms, rollup_ms // 2)


def seconds_text(duration_ms: int) -> str:
    """A duration in seconds as PromQL: 300000 → `300`, 1500 → `1.5`."""
    whole, rest = divmod(duration_ms, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)
