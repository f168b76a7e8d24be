"""What the alerts of an SLO would have done: burn rates, the error budget and its shares, computed from base rates.

Windows are sums of adjacent base windows, as the recorded rules add them up. Gap repair is not computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from msgspec import Struct

from generator import names
from generator.backtest.grid import Grid, Interval, Labels, intervals
from generator.model.burn import Tier, consumed_label, consumed_severity
from generator.model.spec import Slo, Spec
from generator.units import SECOND


class SloPast(Struct, frozen=True, kw_only=True):
    """The base rates of an SLO, or of one group of an SLO."""

    slo: Slo
    labels: Labels
    grid: Grid
    total: Sequence[float]
    errors: Sequence[float]


class Firing(Struct, frozen=True, kw_only=True):
    """An alert with its labels, and when it would have fired. `spent`: share of the budget that each firing spent."""

    labels: dict[str, str]
    intervals: tuple[Interval, ...]
    spent: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """For people: the alert's name with what tells it apart."""
        parts = [self.labels.get(label, "") for label in (names.SLO, names.TIER, names.BUDGET_CONSUMED_LABEL)]
        known = {"alertname", names.SEVERITY, names.SERVICE, names.TEAM, names.SLO, names.TIER}
        others = [f"{k}={v}" for k, v in self.labels.items() if k not in known | {names.BUDGET_CONSUMED_LABEL}]
        return " ".join([self.labels["alertname"], *filter(None, parts), *others])


class Budget(Struct, frozen=True, kw_only=True):
    """The remaining error budget of an SLO over time, as a ratio; NaN without events."""

    slo: str
    labels: Labels
    remaining: Sequence[float]


class Counts(Struct, frozen=True):
    """Events and bad events since the beginning, up to each instant, for windows of whole base windows.

    `sums[i]` adds the base rates at i, one base window before, and so on: the difference of two is a window's events.
    """

    grid: Grid
    base_s: int
    sums: Sequence[float]
    seen: Sequence[int]

    def events(self, index: int, window_s: int) -> float:
        """Events in the window that ends at an instant; NaN where nothing was measured in the window."""
        stride = self.base_s // self.grid.step
        back = index - max(1, window_s // self.base_s) * stride
        before, known = (self.sums[back], self.seen[back]) if back >= 0 else (0.0, 0)
        return (self.sums[index] - before) * self.base_s if self.seen[index] > known else math.nan


def counts(grid: Grid, rates: Sequence[float], base_s: int) -> Counts:
    """Sums of base rates, one for each phase of the base window."""
    stride = base_s // grid.step
    sums, seen = [0.0] * grid.count, [0] * grid.count
    for index, rate in enumerate(rates):
        known = not math.isnan(rate)
        before = index - stride
        sums[index] = (sums[before] if before >= 0 else 0.0) + (rate if known else 0.0)
        seen[index] = (seen[before] if before >= 0 else 0) + known
    return Counts(grid, base_s, sums, seen)


Both = tuple[Counts, Counts]


class Judged(Struct, frozen=True, kw_only=True):
    """One series of an SLO: its alerts and its budget."""

    firings: tuple[Firing, ...]
    budget: Budget


class Measured(Struct, frozen=True, kw_only=True):
    """What the alerts of one series compare, whatever the objective is.

    `spent` is the error ratio of the SLO's window. Each tier has the error ratios of its long and its short window, and
    the bad events of the long one. `bad` are the bad events of the SLO's window.
    """

    spent: Sequence[float]
    bad: Sequence[float]
    tiers: Sequence[tuple[Tier, Sequence[float], Sequence[float], Sequence[float]]]

    def remaining(self, budget_ratio: float) -> list[float]:
        """What is left of a budget at each instant; NaN without events."""
        return [1 - ratio / budget_ratio for ratio in self.spent]

    def burning(self, budget_ratio: float, least: float) -> Iterator[tuple[Tier, list[bool]]]:
        """Each tier, and whether it fires at each instant with such a budget."""
        for tier, long, short, events in self.tiers:
            limit = float(tier.factor) * budget_ratio
            yield (
                tier,
                [
                    over > limit and now > limit and bad > least
                    for over, now, bad in zip(long, short, events, strict=True)
                ],
            )


def measure(past: SloPast) -> Measured:
    """Add up the windows of one SLO, or of one group of an SLO."""
    slo, grid = past.slo, past.grid
    both = _both(past)
    window = [_window(slo, both, index) for index in range(grid.count)]
    tiers = []
    for tier in slo.profile.tiers:
        long_s, short_s = tier.long_ms // SECOND, tier.short_ms // SECOND
        long, short = ([_ratio(both, index, span_s) for index in range(grid.count)] for span_s in (long_s, short_s))
        tiers.append((tier, long, short, [both[1].events(index, long_s) for index in range(grid.count)]))
    return Measured(
        spent=[bad / total if total > 0 else math.nan for total, bad in window],
        bad=[bad for _, bad in window],
        tiers=tiers,
    )


def _both(past: SloPast) -> Both:
    base_s = past.slo.profile.base_ms // SECOND
    return counts(past.grid, past.total, base_s), counts(past.grid, _known(past.errors, past.total), base_s)


def judge(spec: Spec, past: SloPast) -> Judged:
    """Judge one SLO, or one group of an SLO, by its base rates."""
    slo, grid, labels, both = past.slo, past.grid, past.labels, _both(past)
    measured = measure(past)
    remaining = measured.remaining(float(slo.budget_ratio))
    common = {names.SERVICE: spec.service, names.TEAM: spec.owner.team, names.SLO: slo.name, **dict(labels)}
    firings = []
    for fixed, true in _conditions(slo, measured, remaining):
        found = tuple(intervals(grid, true))
        spent = tuple(_spent(slo, grid, both, one) for one in found)
        firings.append(Firing(labels={**fixed, **common}, intervals=found, spent=spent))
    return Judged(firings=tuple(firings), budget=Budget(slo=slo.name, labels=labels, remaining=remaining))


def least_events(slo: Slo) -> float:
    """How many bad events must have been exceeded before an alert means something."""
    return slo.profile.min_events - 0.5 if slo.profile.min_events else -1.0


def _known(errors: Sequence[float], total: Sequence[float]) -> list[float]:
    """Bad events; 0 where events were measured and no bad one was."""
    return [0.0 if math.isnan(bad) and not math.isnan(all_) else bad for bad, all_ in zip(errors, total, strict=True)]


def _conditions(
    slo: Slo, measured: Measured, remaining: Sequence[float]
) -> Iterator[tuple[dict[str, str], list[bool]]]:
    """Each alert of the SLO with its own labels, and whether its expression is true at each instant."""
    least = least_events(slo)
    for tier, true in measured.burning(float(slo.budget_ratio), least):
        yield {"alertname": names.BUDGET_BURN, names.SEVERITY: tier.severity, names.TIER: tier.name}, true
    for share in slo.profile.consumed:
        left = float(1 - share)
        true = [kept <= left and bad > least for kept, bad in zip(remaining, measured.bad, strict=True)]
        labels = {
            "alertname": names.BUDGET_CONSUMED,
            names.SEVERITY: consumed_severity(share),
            names.BUDGET_CONSUMED_LABEL: consumed_label(share),
        }
        yield labels, true


def _ratio(both: Both, index: int, window_s: int) -> float:
    total = both[0].events(index, window_s)
    return both[1].events(index, window_s) / total if total > 0 else math.nan


def _window(slo: Slo, both: Both, index: int) -> tuple[float, float]:
    """Events and bad events in the SLO's own window, which ends at an instant."""
    window_s = _window_s(slo, both[0].grid.at(index))
    return both[0].events(index, window_s), both[1].events(index, window_s)


def _window_s(slo: Slo, at: int) -> int:
    """The length of the SLO's window at a time; a calendar's window began with its unit."""
    window = slo.profile.window
    if not window.calendar:
        return window.length_ms // SECOND
    now = datetime.fromtimestamp(at, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if window.calendar == "week":
        return at - int(midnight.timestamp()) + midnight.weekday() * 86400
    month = (now.month - 1) // 3 * 3 + 1 if window.calendar == "quarter" else now.month
    return at - int(midnight.replace(month=month, day=1).timestamp())


def _spent(slo: Slo, grid: Grid, both: Both, one: Interval) -> float:
    """The share of the budget that was spent while an alert fired, of the events of the window at its end."""
    index = grid.index(one.end)
    total = _window(slo, both, min(index, grid.count - 1))[0]
    errors = both[1].events(min(index, grid.count - 1), max(one.seconds, both[1].base_s))
    return errors / (total * float(slo.budget_ratio)) if total > 0 and not math.isnan(errors) else 0.0


def ratio_over(past: SloPast) -> Decimal | None:
    """The share of good events over the whole backtest; None without events."""
    base_s, last = past.slo.profile.base_ms // SECOND, past.grid.count - 1
    span_s = past.grid.end - past.grid.first
    events = counts(past.grid, past.total, base_s).events(last, span_s)
    if not events > 0:
        return None
    bad = counts(past.grid, _known(past.errors, past.total), base_s).events(last, span_s)
    return 1 - Decimal(bad) / Decimal(events)
