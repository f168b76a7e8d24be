"""One spec against its past: which questions to ask, and what the answers mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from generator import names
from generator.backtest import freezes
from generator.backtest.fetch import Fetch
from generator.backtest.freezes import FreezeOf
from generator.backtest.grid import Grid, Interval, Labels, intervals, step_of
from generator.backtest.slos import Budget, Firing, SloPast, judge
from generator.model.policy import BudgetRemaining, QueryHolds
from generator.model.spec import PlainAlert, Slo, Spec
from generator.prometheus.backfill import base_queries
from generator.units import SECOND

CONDITIONS_EVERY_S = 60


class Backtest(Struct, frozen=True, kw_only=True):
    """What would have happened from `start` to `end`. `notes` tell what the backtest could not compute."""

    spec: Spec
    start: int
    end: int
    grid: Grid
    firings: tuple[Firing, ...]
    budgets: tuple[tuple[Grid, Budget], ...]
    freezes: tuple[FreezeOf, ...]
    frozen: tuple[Interval, ...]
    notes: tuple[str, ...]


def slo_grid(slo: Slo, start: int, end: int, step_s: int | None) -> Grid:
    """The instants for an SLO: those of the backtest, and before them those that its longest window reads."""
    base_s, every_s = slo.profile.base_ms // SECOND, max(1, slo.profile.cadence.fast_ms // SECOND)
    reach_s = max(slo.profile.spans_ms) // SECOND
    step = step_s or step_of(end - start + reach_s, every_s, base_s)
    return _grid(start, end, step, reach_s)


def alert_grid(alert: PlainAlert, start: int, end: int, step_s: int | None) -> Grid:
    """The instants for a plain alert, with its `for` before the first."""
    every_s = max(1, alert.interval_ms // SECOND)
    reach_s = alert.for_ms // SECOND + alert.consecutive * every_s
    step = step_s or every_s * max(1, math.ceil((end - start + reach_s) / every_s / 100_000))
    return _grid(start, end, step, reach_s)


def _grid(start: int, end: int, step: int, reach_s: int) -> Grid:
    first = (start - reach_s) // step * step
    count = (end - first) // step + 1
    return Grid(start=first, step=step, count=count, first=start)


def pasts(spec: Spec, start: int, end: int, fetch: Fetch, step_s: int | None = None) -> tuple[SloPast, ...]:
    """The base rates of every SLO, as Prometheus can still compute them."""
    wanted = [(slo, slo_grid(slo, start, end, step_s), base_queries(spec, slo)) for slo in spec.slos]
    asked = [(query, grid) for _, grid, base in wanted for query in (base.total, base.errors)]
    found = fetch.every(asked)
    return tuple(_pasts(wanted, found))


def _pasts(
    wanted: Sequence[tuple[Slo, Grid, object]], found: Sequence[Mapping[Labels, Sequence[float]]]
) -> Iterator[SloPast]:
    for number, (slo, grid, _) in enumerate(wanted):
        totals, errors = found[2 * number], found[2 * number + 1]
        nothing = [math.nan] * grid.count
        for labels, total in totals.items():
            yield SloPast(slo=slo, labels=labels, grid=grid, total=total, errors=errors.get(labels, nothing))


def backtest(spec: Spec, start: int, end: int, fetch: Fetch, step_s: int | None = None) -> Backtest:
    """Ask for the past and judge it. Raises what `fetch` raises."""
    known = pasts(spec, start, end, fetch, step_s)
    judged = [(past.grid, judge(spec, past)) for past in known]
    grids = [alert_grid(alert, start, end, step_s) for alert in spec.alerts]
    queries = [(alert.condition.breaches(), grid) for alert, grid in zip(spec.alerts, grids, strict=True)]
    plain = [
        firing
        for alert, grid, found in zip(spec.alerts, grids, fetch.every(queries), strict=True)
        for firing in _plain(spec, alert, grid, found)
    ]
    firings = (*plain, *(firing for _, one in judged for firing in one.firings))
    budgets = tuple((grid, one.budget) for grid, one in judged)
    grid = _grid(start, end, step_s or _freeze_step(grids, known), 0)
    conditions = _conditions(spec, grid, budgets, fetch)
    found_freezes = freezes.of(spec, grid, firings, lambda rule: conditions[rule.id])
    measured = {past.slo.name for past in known}
    notes = [f"{slo.name}: Prometheus has no events in this time" for slo in spec.slos if slo.name not in measured]
    return Backtest(
        spec=spec,
        start=start,
        end=end,
        grid=grid,
        firings=firings,
        budgets=budgets,
        freezes=found_freezes,
        frozen=freezes.union(found_freezes),
        notes=tuple(notes),
    )


def _freeze_step(grids: Sequence[Grid], known: Sequence[SloPast]) -> int:
    return min((grid.step for grid in (*grids, *(past.grid for past in known))), default=CONDITIONS_EVERY_S)


def _plain(spec: Spec, alert: PlainAlert, grid: Grid, found: Mapping[Labels, Sequence[float]]) -> Iterator[Firing]:
    """A plain alert fires once its expression has been true for `for`, and for its breaches in a row."""
    hold_s = alert.for_ms // SECOND + (alert.consecutive - 1) * (alert.interval_ms // SECOND)
    fixed = {
        "alertname": alert.name,
        names.SEVERITY: alert.severity,
        names.SERVICE: spec.service,
        names.TEAM: alert.team or spec.owner.team,
    }
    for labels, values in found.items() or {(): [math.nan] * grid.count}.items():
        true = [not math.isnan(value) for value in values]
        yield Firing(labels={**dict(labels), **fixed}, intervals=tuple(intervals(grid, true, hold_s=hold_s)))


def _conditions(
    spec: Spec, grid: Grid, budgets: Sequence[tuple[Grid, Budget]], fetch: Fetch
) -> dict[str, list[list[bool]]]:
    """Whether each condition of each rule's unfreeze holds at each instant."""
    return {
        rule.id: [
            _budget_holds(condition, grid, budgets)
            if isinstance(condition, BudgetRemaining)
            else _query_holds(condition, grid, fetch)
            for condition in rule.unfreeze.all_of
        ]
        for rule in spec.policy
    }


def _budget_holds(condition: BudgetRemaining, grid: Grid, budgets: Sequence[tuple[Grid, Budget]]) -> list[bool]:
    """Whether every budget of the SLO, or of each SLO, is large enough; a budget without events is not."""
    chosen = [(own, budget) for own, budget in budgets if condition.slo in {"", budget.slo}]
    least = float(condition.at_least)
    return [
        bool(chosen) and all(budget.remaining[_same(own, grid.at(index))] >= least for own, budget in chosen)
        for index in range(grid.count)
    ]


def _same(grid: Grid, at: int) -> int:
    """The last instant of another grid that is not after a time."""
    return min(grid.count - 1, max(0, (at - grid.start) // grid.step))


def _query_holds(condition: QueryHolds, grid: Grid, fetch: Fetch) -> list[bool]:
    coarse = _grid(grid.start, grid.end, max(grid.step, CONDITIONS_EVERY_S), 0)
    (found,) = fetch.every([(condition.query, coarse)])
    limit = float(condition.value)
    series = list(found.values())

    def holds(index: int) -> bool:
        values = [one[index] for one in series if not math.isnan(one[index])]
        return bool(values) and all(value >= limit if condition.op == ">=" else value <= limit for value in values)

    known = [holds(index) for index in range(coarse.count)]
    return [known[_same(coarse, grid.at(index))] for index in range(grid.count)]
