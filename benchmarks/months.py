"""Months whose truth is known: events made one by one, and the counters that a Prometheus would scrape of them.

A `Case` is one kind of month, made of knobs: traffic, resets, births and deaths of series, relabelling, jitter, scrape
interval, outages. Random numbers come from the case's name and a seed, so that a month can be made again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct, field

from benchmarks.history import STALE_NAN, Series

HOUR = 3600.0
DAY = 24 * HOUR
LENGTH = 31 * DAY
SCRAPE = 30.0
QUIET = 15 * 60.0  # no event comes so near to either end of the window: what is in flight is no error of a form
METRIC = "bench_requests_total"
GOOD, BAD = "200", "500"

Rate = Callable[[float], tuple[float, float]]  # seconds since the start → (requests per second, error ratio)
Spans = tuple[tuple[float, float], ...]  # (begin, end) in seconds since the start


class Case(Struct, frozen=True, kw_only=True):
    """One kind of month. `allowed` is the error that ours may have, as a ratio; `world` names its outages.

    `as_raw`: information is lost, and ours may be as far from the truth as the raw counters are.
    """

    name: str
    rate: Rate
    allowed: float = 0.001
    as_raw: bool = False
    world: str = "quiet"
    pods: int = 3
    poisson: bool = False  # single random events instead of a steady flow
    restart_s: float = 0.0  # pods restart (counters to zero) this often
    restarts: tuple[float, ...] = ()  # or at these times, the first pod alone
    restart_takes_s: float = 0.0  # the target is down for so long
    churn: bool = False  # a restarted pod has a new name, so that all of its series are new
    starts_at_zero: bool = False  # error series are there before their first error
    scrape_s: float = SCRAPE  # as it really is
    jitter_s: float = 0.0  # scrapes come so much later at most
    new_user_ratio: float = 0.0  # so many requests come from a user, a label, that no pod has seen before
    vanishes: Spans = ()  # error series are not exposed then, and come back with their old count
    relabelled: str = ""  # "errors" or "all": these series carry one more label from the middle of the month on
    flaps_s: tuple[float, float] = (0.0, 0.0)  # every so often, scrapes fail for so long
    born_at: float = 0.0  # nothing is exposed before
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
        requests, ratio = self.case.rate(at)
        for code, per_second in ((GOOD, requests * (1 - ratio)), (BAD, requests * ratio)):
            mean = per_second / self.case.pods * span_s
            # Rounded at random: a strict rhythm could stay in step with scrapes and evaluations for hours.
            count = _poisson(mean, self.random) if self.case.poisson else int(mean + self.random.random())
            if not count:
                continue
            for key, part in self._by_user(code, count):
                self.counters[key] = self.counters.get(key, 0) + part
            if at > LENGTH - 30 * DAY:
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
        if not failed and at >= case.born_at:
            for (code, user), count in self.counters.items():
                if code == BAD and any(begin <= at < end for begin, end in case.vanishes):
                    continue
                labels = self._labels(code, user, at)
                found.add(labels)
                self.samples.setdefault(labels, []).append((self.start + at, float(count)))
        for labels in self.shown - found:
            self.stale.setdefault(labels, []).append((self.start + at, STALE_NAN))
        self.shown = found

    def _labels(self, code: str, user: str, at: float) -> Labels:
        labels = [("code", code), ("instance", self.name), ("job", self.case.name)]
        if user:
            labels.append(("user", user))
        renamed = self.case.relabelled == "all" or (self.case.relabelled == "errors" and code == BAD)
        if renamed and at >= self.case.relabelled_at:
            labels.append(("version", "2"))
        return tuple(labels)


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
        for index in range(int((LENGTH - offset) / case.scrape_s)):
            at = offset + index * case.scrape_s + pod.random.random() * case.jitter_s
            while restarts and at >= restarts[0]:
                pod.restart(restarts.pop(0))
            pod.happen(at, at - before, month)
            before = at
            pod.scrape(at)
        month.series += [Series(labels=dict(labels), samples=found) for labels, found in pod.samples.items()]
        for name, found in pod.up.items():
            labels = {"__name__": "up", "instance": name, "job": case.name}
            month.up.append(Series(labels=labels, samples=found))
        named = {"__name__": METRIC}
        month.stale += [Series(labels=named | dict(labels), samples=found) for labels, found in pod.stale.items()]
    return month


def _poisson(mean: float, random_events: random.Random) -> int:
    limit, product, count = math.exp(-mean), random_events.random(), 0
    while product > limit:
        product *= random_events.random()
        count += 1
    return count


# -- traffic


def daily(at: float) -> float:
    """Requests per second over a day: 1 at night, 19 at noon."""
    return 10 - 9 * math.cos(2 * math.pi * at / DAY)


def steady(at: float) -> tuple[float, float]:
    """An even trickle of errors."""
    return daily(at), 0.003


def incident(begin: float, length: float, ratio: float) -> Rate:
    """Steady, and one incident."""

    def rate(at: float) -> tuple[float, float]:
        return daily(at), ratio if begin <= at < begin + length else 0.002

    return rate


def even(per_hour: float, ratio: float) -> Rate:
    """So many requests an hour, all month."""
    return lambda _at: (per_hour / HOUR, ratio)


def idle(at: float) -> tuple[float, float]:
    """Traffic in office hours only."""
    return (5.0 if 8 <= at % DAY / HOUR < 17 else 0.0), 0.004


def growing(at: float) -> tuple[float, float]:
    """Ten times the traffic at the end of what there was at the beginning."""
    return daily(at) * (1 + 9 * at / LENGTH) / 5, 0.002 + 0.004 * at / LENGTH


PEAK = 20 * DAY + 12 * HOUR
_BEFORE, _LENGTH = HOUR, 4 * HOUR
_IN_OUTAGE = incident(PEAK - _BEFORE, _LENGTH, 0.06)
LOOK_EVERY = 2 * HOUR  # the raw counters are looked at
# When they are, after each even hour: the last rollup is four and a half minutes old then, the worst.
LOOK_AFTER = 1201.0
_UNTIL_LOOK = incident(PEAK - _BEFORE, _BEFORE + HOUR + LOOK_AFTER - 330, 0.06)
_DAY_BEFORE_END = LENGTH - DAY

WORLDS: dict[str, Spans] = {
    "quiet": (),
    "outage-3m": ((PEAK, PEAK + 180),),
    "outage-10m": ((PEAK, PEAK + 600),),
    "outage-70m": ((PEAK, PEAK + 4200),),
    "outage-before-look": ((PEAK, PEAK + HOUR + LOOK_AFTER - 100),),
    "outage-4h": ((PEAK - 0.5 * HOUR, PEAK + 3.5 * HOUR),),
    "outage-20h": ((PEAK - 2 * HOUR, PEAK + 18 * HOUR),),
    "outage-26h": ((PEAK - 2 * HOUR, PEAK + 24 * HOUR),),
    "day-after-26h": ((_DAY_BEFORE_END - 26 * HOUR, _DAY_BEFORE_END),),
    "outages": tuple((day * DAY + 5 * HOUR, day * DAY + 5 * HOUR + 4200) for day in range(3, 31, 3)),
    "daily-40m": tuple((day * DAY + 5 * HOUR, day * DAY + 5 * HOUR + 2400) for day in range(1, 31)),
}

# Processes end twice a day, and with them the series of their users.
_USERS: dict[str, Any] = {"poisson": True, "restart_s": 12 * HOUR, "scrape_s": 60.0}

CASES = (
    Case(name="steady", rate=steady),
    Case(name="night-incident", rate=incident(20 * DAY, HOUR, 0.3)),
    Case(name="peak-incident", rate=incident(PEAK, HOUR, 0.06)),
    Case(name="growing", rate=growing),
    Case(name="idle-hours", rate=idle),
    Case(name="sparse", rate=even(20, 0.02), poisson=True),
    Case(name="one-an-hour", rate=even(1, 0.1), poisson=True),
    Case(name="hundred-a-day", rate=even(100 / 24, 0.05), poisson=True),
    Case(name="two-hundred-a-day", rate=even(200 / 24, 0.05), poisson=True),
    Case(name="sparse-jitter", rate=even(20, 0.05), poisson=True, jitter_s=12),
    Case(name="sparse-slow-scrape", rate=even(20, 0.05), poisson=True, scrape_s=60),
    Case(name="slow-scrape", rate=steady, scrape_s=60),
    Case(name="resets", rate=steady, restart_s=DAY),
    Case(name="reset-storm", rate=steady, restart_s=0.2 * HOUR, as_raw=True),
    Case(name="newborn-churn", rate=steady, restart_s=DAY, churn=True, as_raw=True),
    Case(name="churn-hourly", rate=incident(PEAK, 6 * HOUR, 0.05), restart_s=HOUR, churn=True, as_raw=True),
    Case(name="vanishes", rate=steady, vanishes=tuple((d * DAY, d * DAY + 1800.0 * d) for d in range(2, 30, 3))),
    Case(name="errors-relabelled", rate=steady, relabelled="errors", allowed=0.01),
    Case(name="all-relabelled", rate=steady, relabelled="all", allowed=0.01),
    Case(name="users", rate=even(15, 0.1), new_user_ratio=0.5, allowed=0.01, **_USERS),
    Case(name="users-20-pods", rate=even(10, 0.1), new_user_ratio=0.9, pods=20, allowed=0.01, **_USERS),
    Case(name="good-users", rate=even(15, 0.1), new_user_ratio=0.5, sli="good", allowed=0.01, **_USERS),
    Case(name="good-born", rate=even(60, 0.3), poisson=True, restart_s=DAY, sli="good", allowed=0.01),
    Case(name="born-mid-month", rate=even(20, 0.05), poisson=True, born_at=15 * DAY),
    Case(name="flaps", rate=steady, flaps_s=(1800.0, 100.0)),
    Case(name="outage-3m", rate=_IN_OUTAGE, world="outage-3m"),
    Case(name="outage-10m", rate=_IN_OUTAGE, world="outage-10m"),
    Case(name="outage-70m", rate=_IN_OUTAGE, world="outage-70m"),
    Case(name="outage-4h", rate=_IN_OUTAGE, world="outage-4h"),
    Case(name="outage-20h", rate=_IN_OUTAGE, world="outage-20h"),
    Case(name="outage-26h", rate=_IN_OUTAGE, world="outage-26h"),
    Case(name="day-after-26h", rate=incident(_DAY_BEFORE_END - 27 * HOUR, 4 * HOUR, 0.06), world="day-after-26h"),
    Case(name="ends-before-look", rate=_UNTIL_LOOK, world="outage-70m"),
    Case(name="outage-before-look", rate=_IN_OUTAGE, world="outage-before-look"),
    Case(name="restart-in-outage", rate=_IN_OUTAGE, world="outage-70m", restarts=(PEAK + 2000,), as_raw=True),
    Case(name="churn-in-outage", rate=_IN_OUTAGE, world="outage-70m", restart_s=DAY, churn=True, as_raw=True),
    Case(name="sparse-outages", rate=even(20, 0.05), poisson=True, world="outages"),
    Case(name="restarts-and-outages", rate=steady, world="daily-40m", restart_s=DAY),
)


def months(cases: Sequence[Case], start: float, seed: int = 0) -> dict[str, Month]:
    """The month of each case."""
    return {case.name: make_month(case, start, WORLDS[case.world], seed) for case in cases}
