"""A backtest on series that are made up: windows, firings, freezes, and the questions that are asked."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from generator.backtest.fetch import POINTS_PER_QUERY, Fetch, RangeQuery, chunks
from generator.backtest.grid import Grid, Interval, intervals, step_of
from generator.backtest.page import render
from generator.backtest.past import backtest, slo_grid
from generator.backtest.slos import counts
from generator.backtest.table import lines, values
from tests.unit.generator.spec.loading import good

MINUTE, HOUR, DAY = 60, 3600, 86400
END = 1_790_000_000 // DAY * DAY
SPEC = """
apiVersion: freezeline/v1
service: shop
owner: {team: web}
defaults: {window: 7d, interval: 30s, scrape: 15s, runbook: "https://runbooks.example.org/{service}/{alert}"}
slos:
  requests: {objective: 99.9, sli: {bad: 'errors_total', total: 'requests_total'}}
alerts:
  TooManyErrors: {ratio: {bad: errors_total, total: requests_total}, over: 5m, above: 2%, for: 2m, severity: critical}
policy:
  - {on: {alert: TooManyErrors}, do: [freeze], until: {resolved_for: 10m}}
  - {on: {budget_consumed: 100%}, do: [freeze], until: {resolved_for: 0s, budget_remaining: 50%}}
actions:
  freeze: {flag: /var/lib/freezeline-flags/shop/FREEZE.FLAG}
"""


def grid(count: int, step: int = MINUTE, first: int = 0) -> Grid:
    """Instants from 0 on."""
    return Grid(start=0, step=step, count=count, first=first * step)


def test_intervals_hold_before_they_fire() -> None:
    """`for` delays the beginning; a shorter truth fires never; what is true at the end is open."""
    true = [False, True, True, True, False, True, False, True, True]
    found = list(intervals(grid(9), true, hold_s=60))
    assert found == [Interval(start=120, end=240), Interval(start=480, end=480, open=True)]
    assert list(intervals(grid(9, first=3), true)) == [
        Interval(start=180, end=240),
        Interval(start=300, end=360),
        Interval(start=420, end=480, open=True),
    ]


def test_windows_are_exact_sums_of_base_windows() -> None:
    """Of one event a second in an hour, and twice as many in the next: each window counts its own."""
    rates = [1.0] * 60 + [2.0] * 60
    found = counts(grid(120), rates, 300)
    assert found.events(59, HOUR) == 3600
    assert found.events(119, HOUR) == 7200
    assert found.events(119, 2 * HOUR) == 10800
    assert math.isnan(counts(grid(10), [math.nan] * 10, 300).events(9, 300))


@pytest.mark.parametrize(
    "seconds,every_s,base_s,step", [(DAY, 15, 300, 15), (37 * DAY, 15, 300, 60), (60 * DAY, 30, 300, 60), (9, 1, 5, 1)]
)
def test_the_step_stays_gentle(seconds: int, every_s: int, base_s: int, step: int) -> None:
    """Whole evaluations that divide the base window, and at most 100,000 instants."""
    assert step_of(seconds, every_s, base_s) == step


def history(bad_per_s: Callable[[int], float]) -> RangeQuery:
    """Answers of a Prometheus: ten events a second, so many of them bad; the plain alert above two percent."""

    def answer(query: str, start: int, end: int, step: int) -> list[Any]:
        times = range(start, end + 1, step)
        if "> 0.02" in query:
            found = [(at, 1.0) for at in times if bad_per_s(at) > 0.2]
        elif "errors_total" in query:
            found = [(at, bad_per_s(at)) for at in times]
        else:
            found = [(at, 10.0) for at in times]
        return [{"metric": {}, "values": [[at, str(value)] for at, value in found]}] if found else []

    return answer


def fetching(ask: RangeQuery, kept: Path | None = None) -> Fetch:
    """A fetch that does not wait."""
    return Fetch(ask=ask, told=lambda _done, _total: None, kept=kept, sleep=lambda _s: None)


def incident(at: int) -> float:
    """Five percent of all requests fail for two hours, three days before the end."""
    return 0.5 if END - 3 * DAY <= at < END - 3 * DAY + 2 * HOUR else 0.001


def test_an_incident() -> None:
    """Its alerts in order, the budget that it spent, and the freezes of both rules."""
    spec = good(SPEC, base="")
    found = backtest(spec, END - 7 * DAY, END, fetching(history(incident)))
    fired = {one.name: one.intervals for one in found.firings if one.intervals}
    begun = END - 3 * DAY
    assert fired["TooManyErrors"] == (Interval(start=begun + 120, end=begun + 2 * HOUR),)
    (fast,) = fired["SLOBudgetBurn requests fast"]
    assert begun < fast.start < begun + 25 * MINUTE
    assert begun + 2 * HOUR <= fast.end <= begun + 2 * HOUR + 10 * MINUTE
    ((_, budget),) = found.budgets
    # 3,600 of 6,048 bad events that a week of ten events a second allows, and a tenth of a percent as usual.
    assert budget.remaining[-1] == pytest.approx(1 - 3600 / 6048 - 0.1, abs=0.005)
    assert fired["SLOBudgetConsumed requests 50"]
    assert "SLOBudgetConsumed requests 100" not in fired
    assert [(one.rule, one.interval) for one in found.freezes] == [
        (spec.policy[0].id, Interval(start=begun + 120, end=begun + 2 * HOUR + 10 * MINUTE))
    ]
    assert sum(one.seconds for one in found.frozen) == 2 * HOUR + 8 * MINUTE


def test_a_spent_budget_freezes_until_enough_is_left() -> None:
    """The alert ends with the incident's events in the window; the freeze ends once half the budget is back."""

    def worse(at: int) -> float:
        return 2.0 if END - 9 * DAY <= at < END - 9 * DAY + 2 * HOUR else 0.0

    spec = good(SPEC, base="")
    found = backtest(spec, END - 10 * DAY, END, fetching(history(worse)))
    freezes = [one for one in found.freezes if "SLOBudgetConsumed" in one.alert]
    (freeze,) = freezes
    assert END - 9 * DAY < freeze.interval.start < END - 9 * DAY + 2 * HOUR
    assert END - 2 * DAY < freeze.interval.end <= END - 2 * DAY + 2 * HOUR + 10 * MINUTE


def test_no_events() -> None:
    """Nothing fires, nothing freezes, and the outcome says why."""
    found = backtest(good(SPEC, base=""), END - DAY, END, fetching(lambda *_: []))
    assert (found.budgets, found.freezes) == ((), ())
    assert found.notes == ("requests: Prometheus has no events in this time",)
    assert "note: requests: Prometheus has no events in this time" in lines(found)


def test_text_values_and_page_tell_the_same() -> None:
    """Every firing alert, and a page without a word of the network."""
    found = backtest(good(SPEC, base=""), END - 7 * DAY, END, fetching(history(incident)))
    text, page, data = "\n".join(lines(found)), render(found), values(found)
    assert "TooManyErrors: 1 time, 118 min in all" in text
    assert "frozen: 1 times, 2.1 h in all, 1.3% of the time" in text
    assert page.count("<svg") == 2
    assert "http" not in page.replace("https://", "")
    (burnt,) = [one for one in data["alerts"] if one["labels"].get("tier") == "fast"]
    assert 0.3 < burnt["firings"][0]["budget_spent"] < 0.6


def test_questions_are_bounded_and_cover_everything_once() -> None:
    """No answer may hold more than 5,000 instants; edges do not depend on the beginning."""
    for start in (0, 17 * MINUTE, 5 * DAY + MINUTE):
        found = Grid(start=start, step=MINUTE, count=20_011, first=start)
        pieces = list(chunks(found))
        covered = [index for first, last in pieces for index in range(first, last + 1)]
        assert covered == list(range(found.count))
        assert max(last - first + 1 for first, last in pieces) <= POINTS_PER_QUERY
        assert {found.at(first) % (POINTS_PER_QUERY * MINUTE) for first, _ in pieces[1:]} == {0}


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    """An answer on disk is not asked for again; a run that fails keeps those it has."""
    asked: list[tuple[str, int, int, int]] = []
    answer = history(incident)

    def fragile(query: str, start: int, end: int, step: int) -> Sequence[Any]:
        if len(asked) == 3:
            raise OSError("Prometheus is away")
        asked.append((query, start, end, step))
        return answer(query, start, end, step)

    spec = good(SPEC, base="")
    with pytest.raises(OSError, match="away"):
        backtest(spec, END - 7 * DAY, END, fetching(fragile, tmp_path))
    again: list[int] = []

    def counted(query: str, start: int, end: int, step: int) -> Sequence[Any]:
        again.append(start)
        assert (query, start, end, step) not in asked
        return answer(query, start, end, step)

    whole = backtest(spec, END - 7 * DAY, END, fetching(counted, tmp_path))
    assert again
    assert whole.firings == backtest(spec, END - 7 * DAY, END, fetching(answer)).firings


def test_the_window_before_the_beginning_is_read() -> None:
    """The first budget of the backtest is that of a whole window."""
    found = slo_grid(good(SPEC, base="").slos[0], END - DAY, END, None)
    assert (found.first, found.start) == (END - DAY, END - 8 * DAY)
