"""Suggestions from a made-up past: objectives by their cost, thresholds by the normal range, and the diff."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from generator.backtest.fetch import Fetch, RangeQuery
from generator.backtest.suggest import Suggestions, changed, difference, suggest
from tests.unit.generator.spec.loading import good

HOUR, DAY = 3600, 86400
END = 1_790_000_000 // DAY * DAY
SPEC = """\
apiVersion: freezeline/v1
service: shop
owner: {team: web}
defaults: {window: 7d, interval: 30s, scrape: 15s, runbook: "https://runbooks.example.org/{service}/{alert}"}
slos:
  requests: {objective: 99.99, sli: {bad: 'errors_total', total: 'requests_total'}}   # as the team hopes
alerts:
  TooManyErrors: {ratio: {bad: errors_total, total: requests_total}, over: 5m, above: 50%, for: 2m, severity: critical}
  Slow:
    p95_of: latency_seconds
    over: 5m
    above: 100ms  # a guess
    for: 2m
    severity: warning
  Idle: {when: 'sum(rate(requests_total[5m])) < 1', severity: warning}
  Stalled: {when: 'sum(requests_total) > 0 and sum(workers) == 0', severity: warning}
  Restarts: {changes_of: up, over: 5m, at_least: 3, severity: warning}
"""


def busy(at: int) -> float:
    """Seconds that an answer takes: slower at noon."""
    return 0.4 if at % DAY // HOUR == 12 else 0.2


def answers(bad_share: Callable[[int], float]) -> RangeQuery:
    """A Prometheus with ten requests a second."""

    def answer(query: str, start: int, end: int, step: int) -> list[Any]:
        times = range(start, end + 1, step)
        if "latency_seconds" in query:
            found = [(at, busy(at)) for at in times]
        elif "/ sum(rate(requests_total" in query:
            found = [(at, bad_share(at)) for at in times]
        else:
            found = [(at, 10 * (bad_share(at) if "errors_total" in query else 1.0)) for at in times]
        return [{"metric": {}, "values": [[at, str(value)] for at, value in found]}]

    return answer


def suggested(ask: RangeQuery) -> Suggestions:
    """What a week suggests."""
    fetch = Fetch(ask=ask, told=lambda _done, _total: None, sleep=lambda _s: None)
    return suggest(good(SPEC, base=""), END - 7 * DAY, END, fetch)


@pytest.mark.parametrize(
    "share,objective", [(0.0000, "99.99"), (0.0003, "99.95"), (0.0007, "99.9"), (0.0035, "99.5"), (0.5, "80")]
)
def test_the_strictest_objective_that_leaves_a_fifth(share: float, objective: str) -> None:
    """At 0.07 % errors, 99.9 leaves 30 % of the budget, and 99.95 none; where nothing fits, the least."""
    (found,) = suggested(answers(lambda _at: share)).objectives
    assert found.suggested == Decimal(objective)
    assert float(found.reached) == pytest.approx(100 * (1 - share))


def test_the_cost_of_each_objective() -> None:
    """A stricter objective never leaves more of the budget, and never pages less."""
    (found,) = suggested(answers(lambda at: 0.05 if END - DAY <= at < END - DAY + HOUR else 0.0)).objectives
    assert [one.objective for one in found.costs] == sorted((one.objective for one in found.costs), reverse=True)
    assert [one.lowest for one in found.costs] == sorted(one.lowest for one in found.costs)
    assert [one.pages for one in found.costs] == sorted((one.pages for one in found.costs), reverse=True)
    assert found.costs[0].pages > 0


def test_thresholds_lie_beyond_the_normal_range() -> None:
    """A quarter above the busiest hour, in the unit of the spec, also in the query of `when`."""
    found = suggested(answers(lambda _at: 0.01))
    expected = {"TooManyErrors": "1.3%", "Slow": "500ms", "Idle": "8"}
    assert {one.alert: one.suggested for one in found.thresholds} == expected
    (slow,) = [one for one in found.thresholds if one.alert == "Slow"]
    assert [one.hour for one in slow.hours if one.p99 == 0.4] == [12]


def test_conditions_without_a_threshold_are_told_with_a_hint() -> None:
    """A comparison of two queries has no constant, and changes are counted."""
    found = suggested(answers(lambda _at: 0.01))
    why = "`when` compares with no constant, so no normal range can be told"
    hint = "write `QUERY > NUMBER`, with the number on the right side of the outermost comparison"
    assert found.notes == (
        f"Stalled: {why}; {hint}",
        "Restarts: `changes_of` has no threshold that a normal range could suggest",
    )


@pytest.mark.parametrize(
    "written,changed_to",
    [
        ("'max(queue) > 35'", "'max(queue) > 13'"),
        ('"max(queue)>35"', '"max(queue)>13"'),
        ("max(queue) > 35  # a guess", "max(queue) > 13  # a guess"),
        ('max(queue{n="35"}) > 35', 'max(queue{n="35"}) > 13'),
    ],
)
def test_the_constant_of_when_is_replaced_in_place(written: str, changed_to: str) -> None:
    """With and without quotes, and only the constant."""
    text = SPEC + f"  Queue:\n    when: {written}\n    severity: warning\n"
    fetch = Fetch(ask=answers(lambda _at: 1.0), told=lambda _done, _total: None, sleep=lambda _s: None)
    found = suggest(good(text, base=""), END - DAY // 4, END, fetch)
    assert f"    when: {changed_to}\n" in changed(text, found)


def test_an_incident_does_not_move_a_threshold() -> None:
    """A bad day in seven is not normal, not even where a whole hour was bad."""
    quiet = suggested(answers(lambda _at: 0.01)).thresholds[0]
    noisy = suggested(answers(lambda at: 0.9 if END - DAY <= at < END - DAY + 2 * HOUR else 0.01)).thresholds[0]
    assert (noisy.alert, noisy.suggested) == (quiet.alert, quiet.suggested)


def test_the_diff_changes_nothing_else() -> None:
    """Comments, quotes and order stay; the new spec is good, and suggests itself."""
    found = suggested(answers(lambda _at: 0.0035))
    new = changed(SPEC, found)
    assert new == (
        SPEC.replace("objective: 99.99", "objective: 99.5")
        .replace("above: 50%", "above: 0.44%")
        .replace("100ms", "500ms")
        .replace("< 1'", "< 8'")
    )
    assert good(new, base="").slos[0].objective == Decimal("99.5")
    lines = difference("shop.yaml", SPEC, found).splitlines()
    assert lines[:2] == ["--- shop.yaml", "+++ shop.yaml"]
    assert sum(line.startswith("+ ") for line in lines) == 4


def test_nothing_measured_nothing_suggested() -> None:
    """The diff is empty, and notes say why."""
    found = suggested(lambda *_: [])
    assert (found.objectives, found.thresholds, difference("shop.yaml", SPEC, found)) == ((), (), "")
    assert found.notes[0] == "requests: no events in this time"
