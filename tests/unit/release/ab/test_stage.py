"""A stage's test look by look: planned looks, the guard between them, the end, and levels by simulation."""

import re
from decimal import Decimal
from typing import Literal

import msgspec
import numpy as np
import pytest
from gsdesign import h1, hupdate
from msgspec.structs import replace
from scipy import special, stats

from release.ab.counting import Counter
from release.ab.kept import Progress
from release.ab.spending import bounds
from release.ab.stage import Looked, look, start
from release.policy.canary import AbMetric, AbTest, Daily

DAY = 86400.0
DAILY = Daily(at=("08:00",), zone="UTC")
Method = Literal["group-sequential", "anytime", "fixed-horizon"]
RUNS = 10_000
HALF = Decimal("0.5")


def ab_test(method: Method = "group-sequential", assignment: Literal["request", "user"] = "request") -> AbTest:
    """A test of one metric that a rise by half must not escape."""
    return AbTest(
        metrics=(AbMetric(id="errors", bad="bad", total="all"),),
        confidence=Decimal("0.95"),
        power=Decimal("0.8"),
        detect=HALF,
        method=method,
        assignment=assignment,
        then="advance",
    )


def with_counts(progress: Progress, canary: tuple[int, int], stable: tuple[int, int]) -> Progress:
    """The progress after counting, through JSON as in the engine's database."""
    counters = {
        f"errors/{arm}/{role}": Counter(events=Decimal(value))
        for arm, pair in (("canary", canary), ("stable", stable))
        for role, value in zip(("bad", "total"), pair, strict=True)
    }
    new = replace(progress, counts=replace(progress.counts, counters=counters))
    return msgspec.json.decode(msgspec.json.encode(new), type=Progress)


def looked(
    progress: Progress, canary: tuple[int, int], stable: tuple[int, int], at: float, *, test: AbTest, end: bool = False
) -> Looked:
    """One look with these counts."""
    return look(test, HALF, with_counts(progress, canary, stable), at_s=at, at_the_end=end, daily=DAILY)


def test_looks_are_planned_each_day_and_guarded_between() -> None:
    """Before 08:00 only harm is told, and nothing is spent; at 08:00 a look says how many events are missing."""
    begun = start(0.0, DAILY)
    assert begun.due_s == DAY / 3
    quiet = looked(begun, (50, 1000), (50, 1000), 60.0, test=ab_test())
    assert (quiet.outcome, quiet.progress.times, quiet.progress.points) == (None, {}, ())
    harm = looked(begun, (150, 1000), (50, 1000), 60.0, test=ab_test())
    assert harm.outcome == "worse"
    planned = looked(begun, (50, 1000), (50, 1000), DAY / 3, test=ab_test())
    assert planned.outcome == "undecided"
    assert re.search(r"errors needs [\d,]+ more events of each release", planned.text)
    assert planned.progress.due_s == DAY / 3 + DAY
    (time,) = planned.progress.times["errors"]
    assert 0 < time < 1
    assert looked(planned.progress, (60, 1200), (60, 1200), DAY / 3 + 60, test=ab_test()).outcome is None


def test_the_end_is_looked_at_once() -> None:
    """Too few events at the end: nobody can tell; afterwards the guard alone goes on."""
    begun = start(0.0, DAILY)
    end = looked(begun, (50, 1000), (50, 1000), 60.0, test=ab_test(), end=True)
    assert end.outcome == "cannot_tell"
    again = looked(end.progress, (50, 1001), (50, 1001), 120.0, test=ab_test(), end=True)
    assert (again.outcome, again.progress.times) == (None, end.progress.times)
    assert looked(end.progress, (400, 1001), (50, 1001), 120.0, test=ab_test(), end=True).outcome == "worse"


def test_enough_events_pass_before_the_end() -> None:
    """And the level is spent: a later look only guards."""
    passed = looked(start(0.0, DAILY), (500, 10_000), (500, 10_000), DAY, test=ab_test())
    assert (passed.outcome, passed.progress.times["errors"]) == ("not_worse", (1.0,))
    unlucky = looked(passed.progress, (580, 10_000), (500, 10_000), 3 * DAY, test=ab_test())
    assert unlucky.outcome == "not_worse"


def test_doubt_that_waiting_does_not_end_is_told_at_once() -> None:
    """A wrong split, and users who stay without their own counts; a release without events yet is only undecided."""
    begun = start(0.0, DAILY)
    assert looked(begun, (0, 0), (0, 0), DAY, test=ab_test()).outcome == "undecided"
    wrong = looked(begun, (70, 1400), (50, 1000), DAY, test=ab_test())
    assert (wrong.outcome, "58.3%" in wrong.text) == ("cannot_tell", True)
    users = looked(begun, (500, 10_000), (500, 10_000), DAY, test=ab_test(assignment="user"))
    assert (users.outcome, "variance_inflation" in users.text) == ("cannot_tell", True)


def test_a_fixed_horizon_keeps_its_level_for_the_end() -> None:
    """Daily looks before the end spend nothing."""
    first = looked(start(0.0, DAILY), (500, 10_000), (500, 10_000), DAY, test=ab_test("fixed-horizon"))
    assert (first.outcome, first.progress.times) == ("undecided", {})
    end = looked(first.progress, (600, 12_000), (600, 12_000), DAY + 9, test=ab_test("fixed-horizon"), end=True)
    assert end.outcome == "not_worse"


@pytest.mark.parametrize("per_look", [700, 3_000])
def test_looks_and_guard_together_keep_the_level(per_look: int) -> None:
    """A/A, 14 days with four guards a day: the guard adds little to what the planned looks spend."""
    random = np.random.default_rng(11)
    canary = random.binomial(per_look // 4, 0.05, (RUNS, 56)).cumsum(axis=1)
    stable = random.binomial(per_look // 4, 0.05, (RUNS, 56)).cumsum(axis=1)
    total = per_look // 4 * np.arange(1, 57)
    pooled = (canary + stable) / (2 * total)
    z = (canary - stable) / total / np.sqrt(np.maximum(pooled * (1 - pooled) * 2 / total, 1e-12))
    log_e = special.betaln(1 + canary, 1 + stable) - special.betaln(1, 1) + (canary + stable) * np.log(2)
    bound = np.array(bounds([day / 14 for day in range(1, 15)], 0.05))
    planned = (z[:, 3::4] >= bound).any(axis=1)
    guard = ((log_e >= np.log(20)) & (z > 0)).any(axis=1)
    found = int((planned | guard).sum())
    assert stats.beta.ppf(0.99, found + 1, RUNS - found) <= 1.3 * 0.05
    assert planned.mean() > 0.015


def test_bounds_agree_with_gsdesign() -> None:
    """The chance to cross for the first time, by gsdesign's own recursion, is what the spending function gives."""
    times = (0.2, 0.35, 0.7, 1.0)
    found = bounds(times, 0.05)
    crossed, before, grid = 0.0, 0.0, None
    for time, bound in zip(times, found, strict=True):
        here = {"r": 32, "theta": 0.0, "info": time}
        if grid is not None:
            here |= {"theta_prev": 0.0, "info_prev": before, "gm1": grid}
        step = h1 if grid is None else hupdate
        crossed += 2 * float(step(**here, a=bound, b=20.0)[2].sum())
        grid, before = step(**here, a=-bound, b=bound), time
        assert crossed == pytest.approx(4 * stats.norm.sf(stats.norm.isf(0.05 / 4) / np.sqrt(time)), abs=2e-5)
