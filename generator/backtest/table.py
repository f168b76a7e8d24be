"""The outcome of a backtest as lines for people and as values for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from generator.backtest.grid import Grid, Interval
from generator.backtest.past import Backtest
from generator.backtest.slos import Budget, Firing

SHOWN = 5
"""So many firings of an alert are listed; all of them are counted."""


def stamp(at: int) -> str:
    """A time for people and programs."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} d"


def lowest(grid: Grid, budget: Budget) -> float:
    """The least budget that was left; NaN without events."""
    known = [one for one in budget.remaining[grid.index(grid.first) :] if not math.isnan(one)]
    return min(known, default=math.nan)


def last(budget: Budget) -> float:
    """What is left at the end; NaN without events."""
    return next((one for one in reversed(budget.remaining) if not math.isnan(one)), math.nan)


def lines(found: Backtest) -> list[str]:
    """For people at a terminal."""
    shown = [f"{found.spec.service}: {stamp(found.start)} to {stamp(found.end)}", ""]
    for firing in found.firings:
        total = sum(one.seconds for one in firing.intervals)
        count = len(firing.intervals)
        times = "never" if count == 0 else f"{count} {'time' if count == 1 else 'times'}, {span(total)} in all"
        shown.append(f"{firing.name}: {times}")
        shown += [_firing(firing, number) for number in range(min(count, SHOWN))]
        shown += [f"  and {count - SHOWN} more"] if count > SHOWN else []
    shown += ["", *(_budget(grid, budget) for grid, budget in found.budgets)]
    frozen = sum(one.seconds for one in found.frozen)
    share = frozen / max(1, found.end - found.start)
    shown += ["", f"frozen: {len(found.frozen)} times, {span(frozen)} in all, {share:.1%} of the time"]
    for one in found.freezes[:SHOWN]:
        shown.append(f"  {_interval(one.interval)}  rule {one.rule}, {one.alert}")
    more = len(found.freezes) - SHOWN
    return [*shown, *([f"  and {more} more"] if more > 0 else []), *(f"note: {note}" for note in found.notes)]


def _interval(one: Interval) -> str:
    return f"{stamp(one.start)} {'still at the end' if one.open else f'for {span(one.seconds)}'}"


def _firing(firing: Firing, number: int) -> str:
    spent = f", {firing.spent[number]:.1%} of the budget" if firing.spent else ""
    return f"  {_interval(firing.intervals[number])}{spent}"


def _budget(grid: Grid, budget: Budget) -> str:
    what = " ".join([budget.slo, *(f"{name}={value}" for name, value in budget.labels)])
    least, end = lowest(grid, budget), last(budget)
    if math.isnan(end):
        return f"budget of {what}: no events"
    return f"budget of {what}: {end:.1%} left at the end, at least {least:.1%}"


def values(found: Backtest) -> dict[str, Any]:
    """For programs."""
    return {
        "service": found.spec.service,
        "spec": found.spec.reference,
        "start": stamp(found.start),
        "end": stamp(found.end),
        "alerts": [
            {
                "labels": firing.labels,
                "firings": [
                    _times(one) | ({"budget_spent": firing.spent[number]} if firing.spent else {})
                    for number, one in enumerate(firing.intervals)
                ],
            }
            for firing in found.firings
        ],
        "budgets": [
            {
                "slo": budget.slo,
                "labels": dict(budget.labels),
                "remaining": _number(last(budget)),
                "lowest": _number(lowest(grid, budget)),
            }
            for grid, budget in found.budgets
        ],
        "freezes": [{"rule": one.rule, "alert": one.alert, **_times(one.interval)} for one in found.freezes],
        "frozen": _all(found.frozen),
        "notes": list(found.notes),
    }


def _times(one: Interval) -> dict[str, Any]:
    return {"start": stamp(one.start), "end": None if one.open else stamp(one.end), "seconds": one.seconds}


def _all(found: Sequence[Interval]) -> list[dict[str, Any]]:
    return [_times(one) for one in found]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
