"""Thirty days of one service whose truth is known, and what happens to the service next, for any engine.

Traffic is steady. The error ratio is a step function of time, so every count and every recorded series of the past is a
difference of integrals.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field

from benchmarks.history import Series, TimeMachine
from generator import names, pipeline
from generator.model.spec import OutputSet
from generator.render.rules.rule_file import RuleFile
from tests.waiting import DeadlinePassedError

HOUR, DAY = 3600, 86_400
HALF_HOUR_S = 1800
SCRAPE_S = 5
INTERVAL_S = 15
LONG_AGO_SCRAPE_S = 60
ROLLUP_S = 300
SLOW_S = 150
LATE_S = 15  # how long ago rollups end
LENGTH = 31 * DAY
PODS = 3
PER_SECOND = 30.0
JOB = "gateway"
METRIC = "http_requests_total"
SCOPE = "engines"
PROFILE = "30d-15s"
BUDGET = 0.005
LONG_AGO = 0.0023666  # with what comes after: 49.8 % of the budget is spent
LATELY = 0.0785  # the fast tier pages above 7.2 %
LATELY_S = 70 * 60
CALM_S = 330  # before the end of the past: a ruler's first rollup overlaps the last of the past, or leaves a gap
OF_SLO = {names.SERVICE: JOB, names.SLO: "failures", names.SCOPE: SCOPE, names.PROFILE: PROFILE}
WINDOWS = {"5m": 300, "30m": 1800, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY, "3d": 3 * DAY, "budget": 30 * DAY}
T = TypeVar("T")


def spec_text() -> bytes:
    """The spec that all engines evaluate: an SLO, an alert that waits, and one that counts breaches."""
    bad, total = f'{METRIC}{{job="{JOB}",code=~"5.."}}', f'{METRIC}{{job="{JOB}"}}'
    ratio = {"bad": bad, "total": total}
    alert = {"ratio": ratio, "over": "1m", "above": "10%", "severity": "critical"}
    spec = {
        "apiVersion": "freezeline/v1",
        "service": JOB,
        "owner": {"team": "gateway"},
        "defaults": {
            "window": "30d",
            "interval": f"{INTERVAL_S}s",
            "scrape": f"{SCRAPE_S}s",
            "runbook": "https://runbooks.example.org/{service}/{alert}",
            "grafana": "https://grafana.example.org",
        },
        "slos": {"failures": {"objective": 99.5, "sli": ratio}},
        "alerts": {"FailureRateHigh": {**alert, "for": "15s"}, "Counts": {**alert, "consecutive": 2}},
    }
    return json.dumps(spec).encode()


def output_set() -> OutputSet:
    """The loaded spec."""
    loaded = pipeline.load_set([("gateway.yaml", spec_text())], SCOPE)
    assert loaded.problems.errors == []
    return loaded.output_set


def rule_files(target: str) -> list[RuleFile]:
    """The rules of the spec for an engine; not those about Freezeline itself, whose receiver does not run here."""
    return [file for file in pipeline.rule_files(output_set(), target) if "freezeline" not in file.path]


def write_rules(target: str, directory: Path) -> Path:
    """The rules as files in a folder of their own."""
    folder = directory / "rules"
    folder.mkdir(parents=True)
    for file in rule_files(target):
        (folder / Path(file.path).name).write_bytes(file.content()[0])
    return folder


class World(Struct):
    """The past up to `end`, and the steps (time, error ratio) since."""

    end: float
    steps: list[tuple[float, float]] = field(default_factory=list)
    pushed: float = 0.0
    shift_s: float = 0.0  # scrapes come so much later than those of other servers

    def __post_init__(self) -> None:
        calm = self.end - CALM_S
        self.steps += [(self.end - LENGTH, LONG_AGO), (calm - LATELY_S, LATELY), (calm, LONG_AGO)]
        self.pushed = self.end

    @property
    def begin(self) -> float:
        """When the counters began to count."""
        return self.steps[0][0]

    def total(self, at: float) -> float:
        """All requests up to a time."""
        return max(0.0, at - self.begin) * PER_SECOND

    def errors(self, at: float) -> float:
        """Bad requests up to a time."""
        ends = [start for start, _ in self.steps[1:]] + [float("inf")]
        spans = (
            (min(at, end) - start, ratio) for (start, ratio), end in zip(self.steps, ends, strict=True) if start < at
        )
        return sum(seconds * ratio for seconds, ratio in spans) * PER_SECOND

    def ratio(self, at: float, window_s: float) -> float:
        """The true error ratio of a window."""
        return (self.errors(at) - self.errors(at - window_s)) / (window_s * PER_SECOND)

    # -- what a Prometheus would hold

    def raw(self, times: Sequence[float]) -> list[Series]:
        """The counters of all pods at some times."""
        found = []
        for pod in range(PODS):
            labels = {"instance": f"pod-{pod}", "job": JOB}
            bad = [(at, self.errors(at) / PODS) for at in times]
            good = [(at, (self.total(at) - self.errors(at)) / PODS) for at in times]
            found += [
                Series(labels={"__name__": METRIC, "code": "500", **labels}, samples=bad),
                Series(labels={"__name__": METRIC, "code": "200", **labels}, samples=good),
                Series(labels={"__name__": "up", **labels}, samples=[(at, 1.0) for at in times]),
            ]
        return found

    def past(self) -> list[Series]:
        """Counters of five days, scraped less often at first, and what the rules recorded in 30 days."""
        recently = self.end - 2 * HOUR
        times = _times(self.end - 5 * DAY, recently - SCRAPE_S, LONG_AGO_SCRAPE_S) + _times(
            recently, self.end, SCRAPE_S
        )
        return [*self.raw(times), *self._recorded()]

    def recorded_between(self, start: float, end: float) -> Iterable[Series]:
        """What rules record at each interval, from short windows: averages over an hour miss what is not there."""
        times = _times(start, end, INTERVAL_S)
        for kind, count in self._counts().items():
            rates = [(at, (count(at) - count(at - ROLLUP_S)) / ROLLUP_S) for at in times]
            events = [(at, count(at) - count(at - HALF_HOUR_S)) for at in times]
            yield Series(labels={"__name__": names.base(kind, ROLLUP_S * 1000), **OF_SLO}, samples=rates)
            yield Series(labels={"__name__": names.window_events(kind, HALF_HOUR_S * 1000), **OF_SLO}, samples=events)

    def _counts(self) -> dict[str, Callable[[float], float]]:
        return {"total": self.total, "errors": self.errors}

    def _recorded(self) -> Iterable[Series]:
        # The next sum comes within the 15 min that rules look back for later rollups, whatever the engine's phase.
        summed_at = self.end - 1
        counted_until = self.end - ROLLUP_S - LATE_S
        yield from self.recorded_between(self.end - 7 * HOUR, self.end - INTERVAL_S)
        for kind, count in self._counts().items():
            yield Series(
                labels={"__name__": names.rollup(kind, ROLLUP_S * 1000), **OF_SLO},
                samples=[
                    (at, (count(at - LATE_S) - count(at - LATE_S - ROLLUP_S)) / ROLLUP_S)
                    for at in (self.end - back for back in range(30 * DAY + 2 * HOUR, 0, -ROLLUP_S))
                ],
            )
            for window in ("3d", "budget"):
                events = count(counted_until) - count(counted_until - WINDOWS[window])
                named = {"__name__": names.summed(kind), names.WINDOW: window, **OF_SLO}
                yield Series(labels=named, samples=[(summed_at, events)])
        of_set = {names.SCOPE: SCOPE, names.PROFILE: PROFILE}
        yield Series(labels={"__name__": names.SUMMED_AT, **of_set}, samples=[(summed_at, summed_at)])
        yield from self._facts()

    def _facts(self) -> Iterable[Series]:
        for rule in (rule for file in rule_files(names.PROMETHEUS) for group in file.groups for rule in group.rules):
            if rule.record in {names.ERROR_BUDGET, names.INFO}:
                value = float(rule.expr.removeprefix("vector(").removesuffix(")"))
                samples = [(at, value) for at in _times(self.end - 300, self.end, 150)]
                yield Series(labels={"__name__": rule.record, **rule.labels}, samples=samples)

    # -- the present

    def push(self, machines: Iterable[TimeMachine], now: float) -> None:
        """Hand over every scrape up to now."""
        times = _times(self.pushed + SCRAPE_S, now - self.shift_s, SCRAPE_S)
        if times:
            series = self.raw([at + self.shift_s for at in times])
            for machine in machines:
                machine.remote_write(series)
            self.pushed = times[-1]

    @contextlib.contextmanager
    def scraping(self, machines: Sequence[TimeMachine]) -> Iterator[None]:
        """Hand over scrapes in the background: rulers that start meanwhile find them."""
        done = threading.Event()

        def scrape() -> None:
            while not done.wait(SCRAPE_S / 10):
                self.push(machines, time.time())

        with ThreadPoolExecutor(max_workers=1) as pool:
            running = pool.submit(scrape)
            try:
                yield
            finally:
                done.set()
                running.result()

    def live_until(
        self, cond: Callable[[], T | None], machines: Sequence[TimeMachine], deadline_s: float, what: str
    ) -> T:
        """Scrape in real time until the condition is true. Raises DeadlinePassedError."""
        limit = time.monotonic() + deadline_s
        while True:
            self.push(machines, time.time())
            value = cond()
            if value:
                return value
            if time.monotonic() > limit:
                raise DeadlinePassedError(f"{what} did not happen within {deadline_s} s")
            time.sleep(0.1)


def _times(start: float, end: float, step: float) -> list[float]:
    first = -(-start // step) * step
    return [first + index * step for index in range(int((end - first) / step) + 1)] if first <= end else []
