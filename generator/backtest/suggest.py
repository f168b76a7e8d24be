"""Objectives and thresholds that the past suggests, and the spec with these values in the places of the old ones.

An objective is the strictest one whose budget would never have fallen below a share. A threshold lies a quarter beyond
the normal range: the 99th percentile of the most extreme hour of the day, on nine days in ten.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator.backtest.fetch import Fetch
from generator.backtest.grid import Grid, Labels, intervals
from generator.backtest.past import alert_grid, pasts
from generator.backtest.slos import Measured, SloPast, least_events, measure, ratio_over
from generator.conditions.base import THRESHOLDS, Threshold
from generator.conditions.increase_of import IncreaseOf
from generator.conditions.quantile_of import QuantileOf
from generator.conditions.ratio import Ratio
from generator.conditions.when import When
from generator.model.spec import PlainAlert, Slo, Spec

CANDIDATES = tuple(map(Decimal, ("99.99", "99.95", "99.9", "99.8", "99.5", "99", "98", "97", "95", "90", "80")))
KEPT = Decimal("0.2")
"""The share of the budget that must never have been missing."""

SPARE = 1.25
MEASURED_MIN = 100
"""Fewer values than these tell nothing about a normal range."""

_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(.*)")


class Cost(Struct, frozen=True, kw_only=True):
    """What one objective would have cost: the least budget left, and how often people would have been paged."""

    objective: Decimal
    lowest: float
    pages: int


class ObjectiveOf(Struct, frozen=True, kw_only=True):
    """One SLO: the objective as written, what was reached, what is suggested, and the cost of each candidate."""

    slo: str
    written: Decimal
    reached: Decimal
    suggested: Decimal
    costs: tuple[Cost, ...]
    position: Position


class Hour(Struct, frozen=True, kw_only=True):
    """The normal range at one hour of the day, in UTC."""

    hour: int
    median: float
    p95: float
    p99: float
    p01: float


class ThresholdOf(Struct, frozen=True, kw_only=True):
    """One plain alert: its threshold as written, the normal range by the hour, and what is suggested.

    The suggestion replaces `old` by `new` at `position`: the threshold, or the whole query of `when`.
    """

    alert: str
    key: str
    written: str
    suggested: str
    hours: tuple[Hour, ...]
    position: Position
    old: str
    new: str


class Suggestions(Struct, frozen=True, kw_only=True):
    """Everything that the past suggests. `notes` tell what could not be judged."""

    objectives: tuple[ObjectiveOf, ...]
    thresholds: tuple[ThresholdOf, ...]
    notes: tuple[str, ...]


def suggest(spec: Spec, start: int, end: int, fetch: Fetch, step_s: int | None = None) -> Suggestions:
    """Ask for the past, and suggest. Raises what `fetch` raises."""
    known = pasts(spec, start, end, fetch, step_s)
    found = [_objective(slo, [past for past in known if past.slo.name == slo.name]) for slo in spec.slos]
    alerts = [(alert, alert_grid(alert, start, end, step_s)) for alert in spec.alerts]
    asked = [(value, grid) for alert, grid in alerts if (value := _value(alert)) is not None]
    answers = iter(fetch.every(asked))
    thresholds = [
        _threshold(alert, grid, next(answers) if _value(alert) is not None else None) for alert, grid in alerts
    ]
    notes = [f"{slo.name}: no events in this time" for slo, one in zip(spec.slos, found, strict=True) if one is None]
    notes += [_unjudged(alert) for (alert, _), one in zip(alerts, thresholds, strict=True) if one is None]
    return Suggestions(
        objectives=tuple(one for one in found if one is not None),
        thresholds=tuple(one for one in thresholds if one is not None),
        notes=tuple(notes),
    )


def _objective(slo: Slo, past: Sequence[SloPast]) -> ObjectiveOf | None:
    """The strictest candidate that every group of the SLO would have kept; the least one if none would."""
    reached = [ratio for one in past if (ratio := ratio_over(one)) is not None]
    if not reached:
        return None
    measured = [(one, measure(one)) for one in past]
    candidates = sorted({*CANDIDATES, slo.objective}, reverse=True)
    costs = tuple(_cost(slo, measured, candidate) for candidate in candidates)
    kept = [one.objective for one in costs if one.objective in CANDIDATES and one.lowest >= float(KEPT)]
    return ObjectiveOf(
        slo=slo.name,
        written=slo.objective,
        reached=min(reached) * 100,
        suggested=kept[0] if kept else min(CANDIDATES),
        costs=costs,
        position=slo.at("objective"),
    )


def _cost(slo: Slo, past: Sequence[tuple[SloPast, Measured]], objective: Decimal) -> Cost:
    budget_ratio = float(1 - objective / 100)
    left = [
        kept
        for one, measured in past
        for kept in measured.remaining(budget_ratio)[one.grid.index(one.grid.first) :]
        if not math.isnan(kept)
    ]
    pages = sum(
        1
        for one, measured in past
        for tier, true in measured.burning(budget_ratio, least_events(slo))
        if tier.pages
        for _ in intervals(one.grid, true)
    )
    return Cost(objective=objective, lowest=min(left, default=math.nan), pages=pages)


def _limit(alert: PlainAlert) -> Threshold | None:
    """The constant with which a value is compared; None where the condition has none."""
    condition = alert.condition
    return condition.threshold if isinstance(condition, Ratio | QuantileOf | IncreaseOf | When) else None


def _value(alert: PlainAlert) -> str | None:
    """The query whose value is compared with a constant; None where the condition has none."""
    return alert.condition.measured if _limit(alert) is not None else None


def _unjudged(alert: PlainAlert) -> str:
    """Why an alert gets no suggestion, and what to do about that."""
    if _limit(alert) is not None:
        return f"{alert.name}: too little was measured to tell a normal range; look back further with --days"
    if isinstance(alert.condition, When):
        hint = "write `QUERY > NUMBER`, with the number on the right side of the outermost comparison"
        return f"{alert.name}: `when` compares with no constant, so no normal range can be told; {hint}"
    return f"{alert.name}: `{alert.condition.KIND}` has no threshold that a normal range could suggest"


def _threshold(alert: PlainAlert, grid: Grid, found: Mapping[Labels, Sequence[float]] | None) -> ThresholdOf | None:
    condition, limit = alert.condition, _limit(alert)
    if found is None or limit is None:
        return None
    hours = tuple(_hours(grid, found))
    match = _NUMBER.fullmatch(limit.written.strip())
    if not hours or match is None:
        return None
    rises = limit.op in {">", ">="}
    extreme = max(one.p99 for one in hours) * SPARE if rises else min(one.p01 for one in hours) / SPARE
    written, unit = Decimal(match[1]), match[2]
    scale = limit.value / written if written else Decimal(1)
    suggested = f"{_rounded(Decimal(extreme) / scale, up=rises)}{unit}"
    key = "when" if isinstance(condition, When) else next(key for key, op in THRESHOLDS.items() if op == limit.op)
    return ThresholdOf(
        alert=alert.name,
        key=key,
        written=limit.written,
        suggested=suggested,
        hours=hours,
        position=alert.at(key),
        old=condition.query if isinstance(condition, When) else "",
        new=condition.with_threshold(suggested) if isinstance(condition, When) else suggested,
    )


def _hours(grid: Grid, found: Mapping[Labels, Sequence[float]]) -> Iterator[Hour]:
    """The normal range of each hour of the day; none if too little was measured.

    Each quantile is that of nine days in ten, so that an incident of one day does not count as normal.
    """
    by_hour: dict[int, dict[int, list[float]]] = {}
    for values in found.values():
        for index in range(grid.index(grid.first), grid.count):
            if math.isfinite(values[index]):
                day, second = divmod(grid.at(index), 86400)
                by_hour.setdefault(second // 3600, {}).setdefault(day, []).append(values[index])
    if sum(len(known) for days in by_hour.values() for known in days.values()) < MEASURED_MIN:
        return
    for hour, days in sorted(by_hour.items()):
        known = [sorted(one) for one in days.values()]
        yield Hour(
            hour=hour,
            median=_over_days(known, 0.5, 0.5),
            p95=_over_days(known, 0.95, 0.9),
            p99=_over_days(known, 0.99, 0.9),
            p01=_over_days(known, 0.01, 0.1),
        )


def _over_days(days: Sequence[Sequence[float]], share: float, of_days: float) -> float:
    """A quantile of the days' quantiles, on the side of the median."""
    each = sorted(known[min(len(known) - 1, int(share * len(known)))] for known in days)
    place = of_days * (len(each) - 1)
    return each[math.floor(place) if of_days > 0.5 else math.ceil(place)]


def _rounded(value: Decimal, *, up: bool) -> str:
    """Two significant digits, on the safe side, without an exponent."""
    if value == 0:
        return "0"
    digits = Decimal(1).scaleb(value.adjusted() - 1)
    rounded = (value / digits).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * digits
    return format(rounded.normalize(), "f")


def changed(text: str, found: Suggestions) -> str:
    """The spec's text with every suggestion that differs from what is written."""
    edits = [(one.position, "", str(one.suggested)) for one in found.objectives if one.suggested != one.written]
    edits += [(one.position, one.old, one.new) for one in found.thresholds if one.suggested != one.written]
    lines = text.splitlines(keepends=True)
    for position, old, new in sorted(edits, key=lambda edit: edit[0], reverse=True):
        line, column = lines[position.line - 1], position.column - 1
        lines[position.line - 1] = line[:column] + _replaced(line[column:], old, new)
    return "".join(lines)


def _replaced(rest: str, old: str, new: str) -> str:
    """The rest of a line with the value at its beginning replaced: `old`, in quotes or not, or else one word."""
    if old:
        quote = rest[:1] if rest[:1] in ("'", '"') else ""
        written = f"{quote}{old}{quote}"
        return f"{quote}{new}{quote}{rest[len(written) :]}" if rest.startswith(written) else rest
    found = re.match(r"""'[^']*'|"[^"]*"|[^\s,}\]#]+""", rest)
    return new + rest[found.end() :] if found is not None else rest


def difference(name: str, text: str, found: Suggestions) -> str:
    """The suggestions as a diff of the spec, which `patch` takes; empty where nothing differs."""
    new = changed(text, found)
    return "".join(difflib.unified_diff(text.splitlines(keepends=True), new.splitlines(keepends=True), name, name))
