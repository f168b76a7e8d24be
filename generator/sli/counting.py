"""Exact counting of events: differences of two samples, and the first values of newborn series.

Clients show a labelled counter from its first event on, therefore a series of a known target counts from zero. Series
also appear for other reasons, and bring no events then: an exporter shows a series again that was idle, or a reload of
the configuration changes labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from generator import names
from generator.promql.text import Selector, enclosed, quote
from generator.sli.base import BaseContext, Helper, seconds_text
from generator.units import DAY, duration_text

# How long the rules know the count of a series that left its target.
_KNOWN_FOR_MS = 7 * DAY
# The births that count for a target without a series before. An exporter may hide all of its series while idle.
_FEW = 10
_TARGET = ("job", "instance")
_BY_TARGET = f"({', '.join(_TARGET)})"


def plain(selector: Selector) -> PlainCounter:
    """The counters of a selector, with the `up` of their targets if the selector tells the job or the instance."""
    told = [f"{name}{op}{quote(value)}" for name, op, value in selector.matchers if name in _TARGET]
    return PlainCounter(text=selector.text, scraped=f"up{{{','.join(told)}}}" if told else "")


class Counter(Protocol):
    """Counters as PromQL, one value per series."""

    def at(self, ago_ms: int = 0) -> str:
        """The counters, now or some time ago."""

    def rate(self, window: str) -> str:
        """Events per second."""


class PlainCounter(Struct, frozen=True, kw_only=True):
    """Counters that a selector finds."""

    text: str
    scraped: str = ""  # a selector of `up` for the targets; empty where the counters' selector names no job

    def at(self, ago_ms: int = 0) -> str:
        """The counters, now or some time ago."""
        return self.text + _offset(ago_ms)

    def rate(self, window: str) -> str:
        """Events per second."""
        return f"rate({self.text}[{window}])"

    def over(self, function: str, window: str, ago_ms: int) -> str:
        """A function over a window that ended some time ago."""
        return f"{function}({self.text}[{window}]{_offset(ago_ms)})"


def _offset(ago_ms: int) -> str:
    return f" offset {duration_text(ago_ms)}" if ago_ms else ""


def events_of(counter: Counter, context: BaseContext, born: str = "") -> str:
    """Events per second that the counters counted in the base window, by the SLO's groups.

    A series with samples at both ends of the window counts by their difference. Nothing is extrapolated, therefore rare
    events and shifted scrapes neither lose nor invent events. For a counter that was reset, ended or began in between,
    a rate replaces the difference. `born` are the first values of newborn series.
    """
    seconds = seconds_text(context.base_ms)
    lines = [
        "# there at both ends of the window",
        f"{counter.at()} - {counter.at(context.base_ms)} >= 0",
        "# reset, ended or begun in between",
        f"or {seconds} * {counter.rate(context.range)}",
    ]
    if born:
        lines += ["# first values of newborn series", f"or {born}"]
    counted = context.aggregate("sum", "\n".join(lines))
    return f"{counted} / {seconds}"


def born_of(kind: str, counter: PlainCounter, whole: PlainCounter, context: BaseContext) -> str:
    """First values of newborn series: recorded, or written out where no rule may read what another rule records."""
    if context.recorded:
        return context.born(kind)
    known = counter.over("last_over_time", duration_text(DAY), context.base_ms + context.late_ms)
    first = counter.over("min_over_time", context.window, context.late_ms)
    births = births_of(counter, whole, context, enclosed(f"{first} >= {known}"))
    # A label of its own: `or` would take births without labels for the count of a series without labels.
    return enclosed(births, "label_replace(", f'"{names.LEFT_SLO}", "born", "", ""')


def births_of(counter: PlainCounter, whole: PlainCounter, context: BaseContext, known: str) -> str:
    """Events in the first values of newborn series, by the SLO's groups. `whole` is the total of `counter`.

    A series is newborn if the window holds its first sample, unless it is `known`. A target's births count if its total
    grew by as much: after a change of labels, the series that left take the old count with them. A few births count for
    a target that was scraped before and showed no series at all.
    """
    ago_ms = context.base_ms + context.late_ms
    first = counter.over("min_over_time", context.window, context.late_ms)
    newborn = context.aggregate("sum", f"{first}\nunless {counter.at(ago_ms)}\nunless {known}", *_TARGET)
    grown = "\n- ".join(f"sum by {_BY_TARGET} ({whole.at(ago)})" for ago in (0, ago_ms))
    if whole.scraped:
        grown += f"\nor {_FEW} * sum by {_BY_TARGET} ({whole.scraped}{_offset(ago_ms)})"
    return context.aggregate("sum", f"{newborn}\n<= on {_BY_TARGET} group_left () {enclosed(grown)}")


def helpers_of(
    counters: Mapping[str, tuple[PlainCounter, str]], whole: PlainCounter, context: BaseContext
) -> Iterator[Helper]:
    """Rules that record births, by kind of counter. Each counter has the name of its metric.

    What left is recorded once per metric, and before the births: a series that returns is known by it.
    """
    recorded: dict[str, str] = {}
    for kind, (counter, metric) in counters.items():
        if metric not in recorded:
            recorded[metric] = kind
            labels = {names.LEFT_SLO: context.key}
            yield Helper(record=names.left(kind), expr=_left(counter, whole, context), labels=labels)
    for kind, (counter, metric) in counters.items():
        left = f"last_over_time({context.left(recorded[metric])}[{duration_text(_KNOWN_FOR_MS)}])"
        first = counter.over("min_over_time", context.window, context.late_ms)
        known = enclosed(f"{first}\n>= ignoring ({names.LEFT_SLO}) {left}")
        yield Helper(record=names.born(kind, context.base_ms), expr=births_of(counter, whole, context, known))


def _left(counter: PlainCounter, whole: PlainCounter, context: BaseContext) -> str:
    """Last values of series that left a target, while other series of the target went on: the process still runs."""
    then_ms = context.base_ms + context.late_ms
    before_ms = then_ms + context.base_ms
    return (
        f"{counter.over('last_over_time', context.window, then_ms)}\n"
        f"unless {counter.at(then_ms)}\n"
        f"and on {_BY_TARGET} ({whole.at(then_ms)} >= ({whole.at(before_ms)} > 0))"
    )
