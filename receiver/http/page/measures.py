"""What Prometheus says about services, for people: asked in the background, so that no page waits for Prometheus.

Nobody looks, nobody asks: the questions begin with the first look at a page, and end a while after the last one. The
page shows the last answer, and says since when there has been no newer one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import replace

from receiver.plaintext import plain
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus, Sample, Series

log = logging.getLogger(__name__)

EVERY_S = 15.0
"""The time between two rounds of questions, while somebody looks."""

WANTED_S = 90.0
"""How long after a look the questions go on. A page without scripts looks every 15 s."""

SERVICES_MAX = 20
"""The most services whose graphs are asked for at a time: those that were looked at last."""

QUERIES_MAX = 100
"""The most conditions to unfreeze whose values are asked for at a time."""

SPANS_KEPT = 500
SLI_S = 6 * 3600.0
POINTS = 240


class Budget(Struct, frozen=True, kw_only=True):
    """One SLO now. Ratios from 0 to 1; None where Prometheus has no number. `burn` is 1 at the sustainable rate."""

    slo: str
    left: float | None
    ratio: float | None
    allowed: float | None
    window_s: float | None
    objective: str = ""
    description: str = ""
    runbook: str = ""
    dashboard: str = ""
    team: str = ""

    @property
    def burn(self) -> float | None:
        """How fast the budget goes: 1 spends all of it in its window."""
        return self.ratio / self.allowed if self.ratio is not None and self.allowed else None

    @property
    def empty_in_s(self) -> float | None:
        """When the budget runs out at the present pace; None if it lasts longer than its window, or is spent."""
        if self.left is None or self.left <= 0 or not self.burn or self.window_s is None or self.burn <= 1:
            return None
        return self.left * self.window_s / self.burn


class Firing(Struct, frozen=True, kw_only=True):
    """One alert that fires now, with its sentence and the present value."""

    alert: str
    severity: str
    slo: str
    sentence: str


class Line(Struct, frozen=True, kw_only=True):
    """The course of one SLO: pairs of Unix seconds and value, which may be NaN."""

    slo: str
    points: tuple[tuple[float, Decimal], ...]


class Course(Struct, frozen=True, kw_only=True):
    """The courses of one service: error ratios over six hours, and budgets over their window."""

    at: datetime
    start_s: float
    end_s: float
    budget_start_s: float
    ratios: tuple[Line, ...]
    budgets: tuple[Line, ...]


class Measured(Struct, frozen=True, kw_only=True):
    """The last answers. `at` is None before the first; `unknown_since` and `why` while there is no newer answer."""

    asked: bool
    at: datetime | None = None
    unknown_since: datetime | None = None
    why: str = ""
    budgets: Mapping[str, tuple[Budget, ...]] = field(default_factory=dict)
    firing: Mapping[str, tuple[Firing, ...]] = field(default_factory=dict)


class Measures:
    """Belongs to one event loop. `source` is None where the settings name no Prometheus."""

    def __init__(self, source: Prometheus | None, clock: Callable[[], datetime], *, every_s: float = EVERY_S) -> None:
        self._source = source
        self._clock = clock
        self._every_s = every_s
        self._now = Measured(asked=source is not None)
        self._courses: dict[str, Course] = {}
        self._services: dict[str, datetime] = {}
        self._queries: dict[str, datetime] = {}
        self._values: dict[str, tuple[Decimal, ...]] = {}
        self._spans: dict[tuple[str, datetime, datetime], float | None] = {}
        self._spans_wanted: dict[tuple[str, datetime, datetime], None] = {}
        self._looked_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None
        self._soon = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self.version = 0

    @property
    def asking(self) -> bool:
        """Whether questions go on."""
        return self._task is not None and not self._task.done()

    # looking: never waits

    def look(self) -> Measured:
        """The last answers; asks for newer ones."""
        self._looked_at = self._clock()
        if self._source is not None and not self.asking:
            self._task = asyncio.create_task(self._ask_while_wanted(self._source), name="measures")
        return self._now

    def course(self, service: str) -> Course | None:
        """The courses of a service; None until Prometheus has answered for the first time."""
        if service not in self._services:
            self._soon.set()
        self._services[service] = self._clock()
        while len(self._services) > SERVICES_MAX:
            oldest = min(self._services, key=lambda name: self._services[name])
            del self._services[oldest]
            self._courses.pop(oldest, None)
        return self._courses.get(service)

    def values(self, query: str) -> tuple[Decimal, ...] | None:
        """The present values of a query, which may be NaN; None until Prometheus has answered for the first time."""
        if query not in self._queries:
            self._soon.set()
        self._queries[query] = self._clock()
        while len(self._queries) > QUERIES_MAX:
            oldest = min(self._queries, key=lambda one: self._queries[one])
            del self._queries[oldest]
            self._values.pop(oldest, None)
        return self._values.get(query)

    def spent(self, service: str, start: datetime, end: datetime) -> float | None:
        """The greatest share of a budget that a service spent in a time; None while unknown."""
        key = (service, start, end)
        if key not in self._spans and key not in self._spans_wanted and len(self._spans_wanted) < SPANS_KEPT:
            self._spans_wanted[key] = None
            self._soon.set()
        return self._spans.get(key)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call a listener after each new answer."""
        self._listeners.append(listener)

    def off_change(self, listener: Callable[[], None]) -> None:
        """Undo `on_change`."""
        self._listeners.remove(listener)

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    # asking

    async def _ask_while_wanted(self, source: Prometheus) -> None:
        while self._looked_at is not None and self._clock() - self._looked_at < timedelta(seconds=WANTED_S):
            self._soon.clear()
            await self._round(source)
            try:
                async with asyncio.timeout(self._every_s):
                    await self._soon.wait()
            except TimeoutError:
                continue

    async def _round(self, source: Prometheus) -> None:
        """One round of questions. The first that fails ends the round."""
        try:
            self._now = await fleet(source, self._clock)
            for service, seen_at in list(self._services.items()):
                if self._clock() - seen_at > timedelta(seconds=WANTED_S):
                    self._services.pop(service, None)
                    self._courses.pop(service, None)
                elif self._is_old(service):
                    budgets = self._now.budgets.get(service, ())
                    self._courses[service] = await course(source, service, budgets, self._clock())
            await self._ask_queries(source)
            for key in list(self._spans_wanted):
                self._remember(key, await spent(source, *key))
        except SourceError as error:
            since = self._now.unknown_since or self._clock()
            self._now = replace(self._now, unknown_since=since, why=plain(str(error), 200))
        self.version += 1
        for listener in self._listeners:
            listener()

    async def _ask_queries(self, source: Prometheus) -> None:
        """Ask for the values that somebody looks at. A query that Prometheus refuses has no value."""
        for query, seen_at in list(self._queries.items()):
            self._values.pop(query, None)
            if self._clock() - seen_at > timedelta(seconds=WANTED_S):
                del self._queries[query]
                continue
            with contextlib.suppress(SourceError):
                self._values[query] = tuple(one.value for one in await source.samples(query))

    def _is_old(self, service: str) -> bool:
        known = self._courses.get(service)
        return known is None or self._clock() - known.at > timedelta(seconds=2 * self._every_s)

    def _remember(self, key: tuple[str, datetime, datetime], share: float | None) -> None:
        self._spans_wanted.pop(key, None)
        self._spans[key] = share
        while len(self._spans) > SPANS_KEPT:
            del self._spans[next(iter(self._spans))]


async def fleet(source: Prometheus, clock: Callable[[], datetime]) -> Measured:
    """Budgets, pace and firing alerts of all services: five questions, however many services there are."""
    left = await source.samples("min by (service, slo) (slo:error_budget_remaining)")
    ratio = await source.samples('max by (service, slo) (slo:error_ratio{window="1h"})')
    allowed = await source.samples("max by (service, slo) (slo:error_budget)")
    info = await source.samples("slo:info")
    alerts = await source.firing_alerts()
    lefts, ratios, allows = _by_slo(left), _by_slo(ratio), _by_slo(allowed)
    about = {_slo_of(one): one.labels for one in info}
    budgets: dict[str, list[Budget]] = {}
    for key in sorted({*lefts, *about}):
        labels = about.get(key, {})
        budgets.setdefault(key[0], []).append(
            Budget(
                slo=key[1],
                left=lefts.get(key),
                ratio=ratios.get(key),
                allowed=allows.get(key),
                window_s=_window_s(labels.get("window", "")),
                **{name: labels.get(name, "") for name in ("objective", "description", "runbook", "dashboard", "team")},
            )
        )
    firing: dict[str, list[Firing]] = {}
    for one in alerts:
        firing.setdefault(one.labels.get("service", ""), []).append(
            Firing(
                alert=one.labels.get("alertname", ""),
                severity=one.labels.get("severity", ""),
                slo=one.labels.get("slo", ""),
                sentence=plain(one.summary, 200),
            )
        )
    return Measured(
        asked=True,
        at=clock(),
        budgets={service: tuple(found) for service, found in budgets.items()},
        firing={service: tuple(found) for service, found in firing.items()},
    )


async def course(source: Prometheus, service: str, budgets: tuple[Budget, ...], now: datetime) -> Course:
    """The courses of one service up to now. Raises SourceError."""
    end_s = now.timestamp()
    span_s = max((one.window_s or 0.0 for one in budgets), default=0.0) or 30 * 86400.0
    of = f"{{service={_quoted(service)}"
    ratios = await source.over(
        f'max by (slo) (slo:error_ratio{of},window="5m"}})', start_s=end_s - SLI_S, end_s=end_s, step_s=SLI_S / POINTS
    )
    left = await source.over(
        f"min by (slo) (slo:error_budget_remaining{of}}})",
        start_s=end_s - span_s,
        end_s=end_s,
        step_s=max(span_s / POINTS, 15.0),
    )
    return Course(
        at=now,
        start_s=end_s - SLI_S,
        end_s=end_s,
        budget_start_s=end_s - span_s,
        ratios=_lines(ratios),
        budgets=_lines(left),
    )


async def spent(source: Prometheus, service: str, start: datetime, end: datetime) -> float | None:
    """The greatest share of an SLO's budget that went between two times. Raises SourceError."""
    query = f"min by (slo) (slo:error_budget_remaining{{service={_quoted(service)}}})"
    before = {
        one.labels.get("slo", ""): number(one.value) for one in await source.samples(query, at_s=start.timestamp())
    }
    after = {one.labels.get("slo", ""): number(one.value) for one in await source.samples(query, at_s=end.timestamp())}
    shares = [was - value for slo, value in after.items() if value is not None and (was := before.get(slo)) is not None]
    return max(0.0, *shares) if shares else None


def number(value: Decimal) -> float | None:
    """A finite number; None for NaN and infinity."""
    return float(value) if value.is_finite() else None


def _lines(found: tuple[Series, ...]) -> tuple[Line, ...]:
    lines = [Line(slo=one.labels.get("slo", ""), points=one.samples) for one in found]
    return tuple(sorted(lines, key=lambda line: line.slo))


def _by_slo(samples: tuple[Sample, ...]) -> dict[tuple[str, str], float | None]:
    return {_slo_of(one): number(one.value) for one in samples}


def _slo_of(sample: Sample) -> tuple[str, str]:
    return sample.labels.get("service", ""), sample.labels.get("slo", "")


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}


def _window_s(text: str) -> float | None:
    """Seconds of a window such as `30d`; None for a calendar's unit."""
    unit = _UNITS.get(text[-1:])
    return float(text[:-1]) * unit if unit and text[:-1].isdigit() else None


def _quoted(text: str) -> str:
    """A text as a string of PromQL, which knows JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
