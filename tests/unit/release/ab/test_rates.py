"""How often each method of an A/B test is wrong, and how often right: 10,000 seeded runs each."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from release.ab.findings import Arm, Outcome
from release.ab.judge import Design, judge
from release.ab.shares import log_evidence_of_rise, needed
from release.ab.spending import bounds

RUNS = 10_000
DAYS = 14
HOURS = 24
LEVEL = 0.05
DETECT = 0.2
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def upper_bound(count: int) -> float:
    """The upper 99 % bound of a rate that was seen `count` times in all runs (Clopper and Pearson 1934)."""
    return float(stats.beta.ppf(0.99, count + 1, RUNS - count))


def is_rate(count: int, rate: float) -> bool:
    """Whether `count` of all runs can be a rate that is stated in whole percents: within 99.9 % of chance."""
    low, high = stats.binom.interval(0.999, RUNS, rate - 0.005)[0], stats.binom.interval(0.999, RUNS, rate + 0.005)[1]
    return bool(low <= count <= high)


def path(events: Counts, share: float, looks: int, seed: int) -> Counts:
    """Bad events of one release, cumulated over the looks, for every run."""
    return np.random.default_rng(seed).binomial(events, share, (RUNS, looks)).cumsum(axis=1)


def evidence(canary: Counts, stable: Counts, part: float) -> Floats:
    """`log_evidence_of_rise` for arrays."""
    moved = part * (1 + DETECT) / (1 + part * DETECT) - part
    both = []
    for weight in (1.0, (part * (1 - part) / moved**2 - 1) / 2):
        a, b = 2 * weight * part, 2 * weight * (1 - part)
        mixed = special.betaln(a + canary, b + stable) - special.betaln(a, b)
        both.append(mixed - canary * math.log(part) - stable * math.log1p(-part))
    found: Floats = np.logaddexp(*both) - math.log(2)
    return found


def z_scores(canary: Counts, stable: Counts, totals: Counts) -> Floats:
    """The statistic of equal arms at each look."""
    pooled = (canary + stable) / (2 * totals)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * 2 / totals, 1e-300))
    found: Floats = (canary - stable) / totals / spread
    return found


def harmful(canary: Counts, stable: Counts, part: float) -> NDArray[np.bool_]:
    """Whether the guard stops at each look: the evidence is there, and the canary is the worse one."""
    worse = canary * (1 - part) > stable * part
    return worse & (evidence(canary, stable, part) >= math.log(1 / LEVEL))


def test_the_arrays_are_the_function() -> None:
    """The vectorised evidence of this file is that of the product."""
    dice = np.random.default_rng(5)
    for part in (0.05, 0.5):
        canary, stable = dice.integers(0, 400, (2, 50))
        each = [log_evidence_of_rise(int(a), int(b), part, DETECT) for a, b in zip(canary, stable, strict=True)]
        assert evidence(canary, stable, part) == pytest.approx(each)


@pytest.mark.parametrize("part", [0.5, 0.05])
@pytest.mark.parametrize("share,per_hour", [(0.005, 4_000), (0.05, 400)])
def test_the_guard_between_looks_rarely_stops_a_healthy_release(part: float, share: float, per_hour: int) -> None:
    """A/A, looked at each hour for a fortnight: the guard alone stops fewer than half of what its level allows."""
    looks = DAYS * HOURS
    canary = path(np.array(round(per_hour * 2 * part)), share, looks, seed=1)
    stable = path(np.array(round(per_hour * 2 * (1 - part))), share, looks, seed=2)
    stopped = harmful(canary, stable, part).any(axis=1)
    assert 0 < upper_bound(int(stopped.sum())) <= LEVEL / 2


def test_guard_and_planned_looks_together_keep_the_level() -> None:
    """Daily looks, or one at the end, and the guard each hour: "worse" in less than all of the level."""
    per_hour, share = 4_000, 0.005
    canary, stable = (path(np.array(per_hour), share, DAYS * HOURS, seed) for seed in (3, 4))
    guard = harmful(canary, stable, 0.5).any(axis=1)
    days = slice(HOURS - 1, None, HOURS)
    z = z_scores(canary[:, days], stable[:, days], per_hour * HOURS * np.arange(1, DAYS + 1))
    bound = np.array(bounds([(look + 1) / DAYS for look in range(DAYS)], LEVEL))
    sequential, fixed = (z >= bound).any(axis=1), z[:, -1] >= bounds([1.0], LEVEL)[0]
    for planned in (sequential, fixed):
        assert planned.mean() == pytest.approx(LEVEL / 2, abs=0.006)
        assert upper_bound(int((planned | guard).sum())) <= LEVEL


@pytest.mark.parametrize(
    "method,times,power",
    [("group-sequential", 1, 0.79), ("fixed-horizon", 1, 0.80), ("anytime", 1, 0.38), ("anytime", 2, 0.79)],
)
def test_power_is_as_stated(method: str, times: int, power: float) -> None:
    """A rise of `detect`, with the events that the report asks for, or twice as many: so many tests say worse."""
    share = 0.05
    per_day = -(-times * needed(share, DETECT, LEVEL, 0.8) // DAYS)
    canary, stable = (
        path(np.array(per_day), share * (1 + DETECT), DAYS, seed=5),
        path(np.array(per_day), share, DAYS, 6),
    )
    z = z_scores(canary, stable, per_day * np.arange(1, DAYS + 1))
    bound = np.array(bounds([(look + 1) / DAYS for look in range(DAYS)], LEVEL))
    found = {
        "group-sequential": (z >= bound).any(axis=1),
        "fixed-horizon": z[:, -1] >= bounds([1.0], LEVEL)[0],
        "anytime": harmful(canary, stable, 0.5).any(axis=1),
    }[method]
    assert is_rate(int(found.sum()), power), found.mean()


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("method", ["group-sequential", "fixed-horizon", "anytime"])
def test_every_method_keeps_its_level_through_the_judge(method: str) -> None:
    """A/A with uneven days: the judge itself, with the information times that the counts give."""
    dice = np.random.default_rng(7)
    share, mean = 0.05, -(-needed(0.05, DETECT, LEVEL, 0.8) // DAYS)
    design = Design(method=method, level=LEVEL, power=0.8, detect=DETECT, part=0.5, by_user=False, inflation=None)
    worse = 0
    for _ in range(RUNS):
        totals = dice.integers(mean // 2, 2 * mean, DAYS).cumsum()
        canary, stable = (dice.binomial(np.diff(totals, prepend=0), share).cumsum() for _ in range(2))
        worse += _ends_worse(design, totals, canary, stable)
    assert upper_bound(worse) <= 1.3 * LEVEL / 2, worse  # only harm is said, which is half of a two-sided level


def _ends_worse(design: Design, totals: Counts, canary: Counts, stable: Counts) -> bool:
    """Whether a look says worse. Looks with z below 1.9 cannot, and are not judged: their times count all the same."""
    z = z_scores(canary, stable, totals)
    times: list[float] = []
    for day in range(DAYS):
        total = int(totals[day])
        seen = needed((int(canary[day] + stable[day]) + 0.5) / (2 * total + 1), DETECT, LEVEL, 0.8)
        last = day == DAYS - 1
        if z[day] >= 1.9:
            arms = {"errors": (Arm(bad=int(canary[day]), total=total), Arm(bad=int(stable[day]), total=total))}
            if judge(design, arms, {"errors": times}, at_the_end=last).outcome is Outcome.WORSE:
                return True
        time = min(1.0, total / seen)
        if design.method == "group-sequential" and (not times or time > times[-1]):
            times.append(time)
        if time >= 1 and design.method == "group-sequential":
            return False
    return False
