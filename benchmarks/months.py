"""Months whose truth is known: events made one by one, and the counters that a Prometheus would scrape of them.

A `Case` is one kind of month, made of knobs: traffic, resets, births and deaths of series, relabelling, jitter, scrape
interval, outages. Random numbers come from the case's name and a seed, so that a month can be made again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from benchmarks.history import STALE_NAN, Series, encoded_histograms

HOUR = 3600.0
DAY = 24 * HOUR
LENGTH = 31 * DAY
SCRAPE = 30.0
# No event comes so near to either end of the window. What is in flight, or in a sum of 15 min ago, is no form's error.
QUIET = 25 * 60.0
METRIC = "bench_requests_total"
NATIVE_METRIC = "bench_request_seconds"
GOOD, BAD = "200", "500"

Rate = Callable[[float], tuple[float, float]]  # seconds since the start → (requests per second, error ratio)
Spans = tuple[tuple[float, float], ...]  # (begin, end) in seconds since the start


class Case(Struct, frozen=True, kw_only=True):
    """One kind of month. `allowed` is the error that ours may have, as a ratio; `world` names its outages.

    `lost` says which information the counters lack. Ours may be as far from the truth as the raw counters then.
    """

    name: str
    title: str  # in the documentation
    rate: Rate
    allowed: float = 0.001
    lost: str = ""
    world: str = "quiet"
    pods: int = 3
    poisson: bool = False  # single random events instead of a steady flow
    restart_s: float = 0.0  # pods restart (counters to zero) this often
    restarts: tuple[float, ...] = ()  # or at these times, the first pod alone
    restart_takes_s: float = 0.0  # the target is down for so long
    churn: bool = False  # a restarted pod has a new name, so that all of its series are new
    starts_at_zero: bool = False  # error series are there before their first error
    scrape_s: float = SCRAPE  # as it really is
    scrape_then_s: float = 0.0  # from the middle of the month on
    jitter_s: float = 0.0  # scrapes come so much later at most
    new_user_ratio: float = 0.0  # so many requests come from a user, a label, that no pod has seen before
    vanishes: Spans = ()  # error series are not exposed then, and come back with their old count
    relabelled: str = ""  # "errors" or "all": these series carry one more label from the middle of the month on
    flaps_s: tuple[float, float] = (0.0, 0.0)  # every so often, scrapes fail for so long
    born_at: float = 0.0  # nothing happens before, and nothing is exposed
    grouped: bool = False  # by region: the last pod is a region of its own, born then, and the only one that counts
    native: bool = False  # a native histogram: bad requests take longer than the bound
    scraped: bool = False  # scrapes go on in the outages of `world`, and only evaluations are missed
    sli: str = "bad"  # which spec is written: "bad" or "good" of total
    objective: str = "99.5"

    @property
    def relabelled_at(self) -> float:
        """When the label is added."""
        return LENGTH / 2 + 1234.0


class Month(Struct):
    """What a case's counters show, and what really happened in the last 30 days."""

    series: list[Series] = field(default_factory=list)
    stale: list[Series] = field(default_factory=list)  # markers where a series ended
    native: list[Series] = field(default_factory=list)
    up: list[Series] = field(default_factory=list)  # of targets with so few events that births matter
    errors: int = 0
    total: int = 0

    @property
    def truth(self) -> float:
        """The error ratio of the last 30 days."""
        return self.errors / self.total


Labels = tuple[tuple[str, str], ...]


class _Pod:
    """One target: events happen, scrapes expose what is there."""

    def __init__(self, case: Case, start: float, pod: int, outages: Spans, seed: int) -> None:
        self.case, self.start, self.pod = case, start, pod
        self.outages = outages
        self.random = random.Random(f"{case.name}/{pod}/{seed}")  # noqa: S311 - a repeatable past, not a secret
        self.name = f"pod-{pod}"
        self.life = 0
        self.counters: dict[tuple[str, str], int] = {}
        self.samples: dict[Labels, list[tuple[float, float]]] = {}
        self.stale: dict[Labels, list[tuple[float, float]]] = {}
        self.shown: set[Labels] = set()
        self.up: dict[str, list[tuple[float, float]]] = {}  # by instance
        self.users = 0
        self.down_until = -1.0
        self.begin()

    def begin(self) -> None:
        """Counters of a process that starts."""
        self.counters = {} if self.case.new_user_ratio else {(GOOD, ""): 0}
        if self.case.starts_at_zero:
            self.counters[BAD, ""] = 0

    def restart(self, at: float) -> None:
        """The process ends; another begins."""
        self.life += 1
        if self.case.churn:
            self.name = f"pod-{self.pod}-{self.life}"
        self.down_until = at + self.case.restart_takes_s
        self.begin()

    def happen(self, at: float, span_s: float, month: Month) -> None:
        """The events of the span that ends at `at`."""
        if self.case.poisson and (LENGTH - at < QUIET or abs(LENGTH - 30 * DAY - at) < QUIET):
            return
        if at < self.case.born_at and (self.alone or not self.case.grouped):
            return
        requests, ratio = self.case.rate(at)
        for code, per_second in ((GOOD, requests * (1 - ratio)), (BAD, requests * ratio)):
            mean = per_second / self.case.pods * span_s
            # Rounded at random: a strict rhythm could stay in step with scrapes and evaluations for hours.
            count = _poisson(mean, self.random) if self.case.poisson else int(mean + self.random.random())
            if not count:
                continue
            for key, part in self._by_user(code, count):
                self.counters[key] = self.counters.get(key, 0) + part
            if at > LENGTH - 30 * DAY and (self.alone or not self.case.grouped):
                month.total += count
                month.errors += count if code == BAD else 0

    def _by_user(self, code: str, count: int) -> Iterator[tuple[tuple[str, str], int]]:
        if not self.case.new_user_ratio:
            yield (code, ""), count
            return
        for _ in range(count):
            if self.users == 0 or self.random.random() < self.case.new_user_ratio:
                self.users += 1
                yield (code, f"{self.pod}-{self.users}"), 1
            else:
                yield (code, f"{self.pod}-{self.random.randint(max(1, self.users - 20), self.users)}"), 1

    def scrape(self, at: float) -> None:
        """What a scrape at this time finds, and markers for what it no longer finds."""
        case = self.case
        if any(begin <= at < end for begin, end in self.outages):
            return  # Prometheus is down: it writes nothing at all
        every, down = case.flaps_s
        failed = at < self.down_until or (every and (at + self.pod * 100) % every < down)
        if case.poisson:
            self.up.setdefault(self.name, []).append((self.start + at, 0.0 if failed else 1.0))
        found: set[Labels] = set()
        if not failed and (at >= case.born_at or (case.grouped and not self.alone)):
            for (code, user), count in self.counters.items():
                if code == BAD and any(begin <= at < end for begin, end in case.vanishes):
                    continue
                labels = self._labels(code, user, at)
                found.add(labels)
                self.samples.setdefault(labels, []).append((self.start + at, float(count)))
        for labels in self.shown - found:
            self.stale.setdefault(labels, []).append((self.start + at, STALE_NAN))
        self.shown = found

    def histogram(self) -> Series:
        """All that was scraped, as one native histogram."""
        counts: dict[float, dict[str, int]] = {}
        for labels, samples in self.samples.items():
            for at, value in samples:
                counts.setdefault(at, {})[dict(labels)["code"]] = int(value)
        merged = [(at, by_code.get(GOOD, 0), by_code.get(BAD, 0)) for at, by_code in sorted(counts.items())]
        named = {"__name__": NATIVE_METRIC, "instance": self.name, "job": self.case.name}
        return Series(labels=named, samples=encoded_histograms(merged))

    def _labels(self, code: str, user: str, at: float) -> Labels:
        labels = [("code", code), ("instance", self.name), ("job", self.case.name)]
        if self.case.grouped:
            labels.append(("region", "new" if self.alone else "old"))
        if user:
            labels.append(("user", user))
        renamed = self.case.relabelled == "all" or (self.case.relabelled == "errors" and code == BAD)
        if renamed and at >= self.case.relabelled_at:
            labels.append(("version", "2"))
        return tuple(labels)

    @property
    def alone(self) -> bool:
        """Whether the pod is the region that counts."""
        return self.case.grouped and self.pod == self.case.pods - 1


def make_month(case: Case, start: float, outages: Spans, seed: int = 0) -> Month:
    """Count the events of each pod and expose them at each scrape that Prometheus makes."""
    month = Month()
    for number in range(case.pods):
        pod = _Pod(case, start, number, outages, seed)
        restarts = list(case.restarts if number == 0 else ())
        if case.restart_s:
            restarts += [number * HOUR + step * case.restart_s for step in range(1, int(LENGTH / case.restart_s))]
        restarts.sort()
        before, offset = 0.0, number * 7.0
        for due in _scrapes(case, offset):
            at = due + pod.random.random() * case.jitter_s
            while restarts and at >= restarts[0]:
                pod.restart(restarts.pop(0))
            pod.happen(at, at - before, month)
            before = at
            pod.scrape(at)
        month.series += [Series(labels=dict(labels), samples=found) for labels, found in pod.samples.items()]
        if case.native:
            month.native.append(pod.histogram())
            continue
        for name, found in pod.up.items():
            labels = {"__name__": "up", "instance": name, "job": case.name}
            month.up.append(Series(labels=labels, samples=found))
        named = {"__name__": METRIC}
        month.stale += [Series(labels=named | dict(labels), samples=found) for labels, found in pod.stale.items()]
    return month


def _scrapes(case: Case, offset: float) -> Iterator[float]:
    """When the scrapes of a pod are due."""
    half = LENGTH / 2 if case.scrape_then_s else LENGTH
    yield from (offset + index * case.scrape_s for index in range(int((half - offset) / case.scrape_s)))
    if case.scrape_then_s:
        later = half + offset
        yield from (later + index * case.scrape_then_s for index in range(int((LENGTH - later) / case.scrape_then_s)))


def _poisson(mean: float, random_events: random.Random) -> int:
    limit, product, count = math.exp(-mean), random_events.random(), 0
    while product > limit:
        product *= random_events.random()
        count += 1
    return count


def months(cases: Sequence[Case], start: float, worlds: Mapping[str, Spans], seed: int = 0) -> dict[str, Month]:
    """The month of each case. `worlds` are the outages by name."""
    return {case.name: make_month(case, start, () if case.scraped else worlds[case.world], seed) for case in cases}
