"""Counts the events of both releases since a stage began, from the raw samples of their counters.

`increase` of PromQL extrapolates to the ends of its window, so its sums over a long stage are no counts. Here each
sample of a series adds its difference from the sample before. A lower value means that the process began again at 0.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import replace

from receiver.sources.prometheus import Prometheus, Series
from release.ab.findings import Arm
from release.policy.canary import AbMetric, AbTest

BEFORE_S = 3600.0
"""How long before the stage a series may have had its last sample, and still be an old series."""

OVERLAP_S = 120.0
"""How far each question reaches back: samples may arrive late, and a window's left end may be left out."""

STEP_S = 3600.0
"""The longest time that one question covers, so that a long absence of the engine asks for no huge answer."""

ROLES = ("bad", "good", "total")
Fill = Callable[[str], str]
"""Puts the release's label value into a selector."""


class Seen(Struct, frozen=True, kw_only=True):
    """The newest sample of a series that is already counted."""

    value: Decimal
    at_s: float


class Counter(Struct, frozen=True, kw_only=True):
    """What one selector has counted. `series` has an entry for every series ever seen, also for a vanished one."""

    events: Decimal = Decimal(0)
    series: Mapping[str, Seen] = field(default_factory=dict)


class Counts(Struct, frozen=True, kw_only=True):
    """All counters of a stage's test, counted from `since_s` until `until_s`. The engine stores this value."""

    since_s: float
    until_s: float
    counters: Mapping[str, Counter] = field(default_factory=dict)


def begin(at_s: float) -> Counts:
    """Nothing is counted yet. At `at_s`, every target has been scraped since the stage's weight was set."""
    return Counts(since_s=at_s, until_s=at_s)


def counted_until(since_s: float, now_s: float, scrape_s: float) -> float:
    """The last moment until which every target was scraped equally often since `since_s`, whenever its scrapes come.

    Without whole intervals, one release would have the events of one scrape more than the other. The newest interval is
    left out, because its scrapes may not be stored yet.
    """
    return since_s + max(0, math.floor((now_s - since_s) / scrape_s) - 1) * scrape_s


def selectors(test: AbTest, canary: Fill, stable: Fill) -> dict[str, str]:
    """Every selector of a test by its key, `metric/release/role`."""
    return {
        f"{metric.id}/{arm}/{role}": fill(selector)
        for metric in test.metrics
        for arm, fill in (("canary", canary), ("stable", stable))
        for role in ROLES
        if (selector := getattr(metric, role))
    }


async def count(counts: Counts, asked: Mapping[str, str], prometheus: Prometheus, at_s: float) -> Counts:
    """Count on until `at_s`. Raises SourceError: the caller keeps the old value and counts the same time again."""
    while counts.until_s < at_s:
        end_s = min(at_s, counts.until_s + STEP_S)
        first = not counts.counters
        begin_s = counts.since_s - BEFORE_S if first else counts.until_s - OVERLAP_S
        window_s = int(end_s - begin_s) + 1
        answers = await asyncio.gather(
            *(prometheus.raw(f"{selector}[{window_s}s]", at_s=end_s) for selector in asked.values())
        )
        counters = {
            key: added(counts.counters.get(key, Counter()), found, counts.since_s)
            for key, found in zip(asked, answers, strict=True)
        }
        counts = replace(counts, until_s=end_s, counters={**counts.counters, **counters})
    return counts


def added(counter: Counter, found: Sequence[Series], since_s: float) -> Counter:
    """The counter after these samples. Samples that were counted before change nothing.

    A series without a sample at or before `since_s` was born during the stage: its first value counts in full.
    """
    events, series = counter.events, dict(counter.series)
    for one in found:
        key = _key(one.labels)
        seen = series.get(key)
        for at_s, value in one.samples:
            if not value.is_finite() or (seen is not None and at_s <= seen.at_s):
                continue
            if at_s > since_s:
                before = seen.value if seen is not None else Decimal(0)
                events += value - before if value >= before else value
            seen = Seen(value=value, at_s=at_s)
        if seen is not None:
            series[key] = seen
    return Counter(events=events, series=series)


def _key(labels: Mapping[str, str]) -> str:
    return "\x00".join(f"{name}\x01{value}" for name, value in sorted(labels.items()))


def arms(test: AbTest, counts: Counts) -> dict[str, tuple[Arm, Arm]]:
    """Bad events and all events of canary and stable by metric. More bad events than events count as all bad."""
    return {metric.id: (_arm(metric, "canary", counts), _arm(metric, "stable", counts)) for metric in test.metrics}


def _arm(metric: AbMetric, release: str, counts: Counts) -> Arm:
    def events(role: str) -> int:
        return round(counts.counters.get(f"{metric.id}/{release}/{role}", Counter()).events)

    total = events("total")
    bad = total - events("good") if metric.good else events("bad")
    return Arm(bad=min(max(bad, 0), total), total=total)
