"""A/B tests: bounds against the published tables, levels by simulation, and what each look says."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from release.ab.findings import Arm, Outcome
from release.ab.judge import Design, judge
from release.ab.shares import difference, log_evidence, needed, split_is_wrong, z_score
from release.ab.spending import bounds, spent

RUNS = 10_000
LOOKS = 14
LEVEL = 0.05
Counts = NDArray[np.int64]


def design(method: str = "group-sequential", *, by_user: bool = False, inflation: float | None = None) -> Design:
    """A test over one metric with half of the traffic."""
    return Design(method=method, level=LEVEL, power=0.8, detect=0.2, part=0.5, by_user=by_user, inflation=inflation)


@pytest.mark.parametrize(
    "looks,level,published",
    [
        (14, 0.05, (8, 5.815, 4.703, 4.037, 3.587, 3.258, 3.006, 2.804, 2.638, 2.499, 2.379, 2.275, 2.184, 2.103)),
        (4, 0.10, (3.7496, 2.5399, 2.0161, 1.7202)),
    ],
)
def test_bounds_are_those_of_the_tables(looks: int, level: float, published: tuple[float, ...]) -> None:
    """Lan and DeMets' bounds of the O'Brien-Fleming type, equally spaced looks."""
    found = bounds([(look + 1) / looks for look in range(looks)], level)
    assert found == pytest.approx(published, abs=6e-4)


def test_the_whole_level_is_spent_at_the_end() -> None:
    """And nothing before the first event; one look is the plain test."""
    assert spent(0, LEVEL) == 0
    assert spent(1, LEVEL) == pytest.approx(LEVEL)
    assert bounds([1.0], LEVEL) == pytest.approx([1.959964], abs=1e-5)
    with pytest.raises(ValueError, match="grow"):
        bounds([0.5, 0.5], LEVEL)


@pytest.mark.parametrize("share,detect,events", [(0.005, 0.2, 85_862), (0.005, 0.5, 15_599), (0.05, 0.1, 31_234)])
def test_events_that_a_test_needs(share: float, detect: float, events: int) -> None:
    """For 80 % power at 5 %, two-sided."""
    assert needed(share, detect, 0.05, 0.8) == events
    assert needed(share, detect, 0.05, 0.8, inflation=3) == pytest.approx(3 * events, abs=3)


def paths(share_canary: float, share_stable: float, per_look: int, seed: int) -> tuple[Counts, Counts]:
    """Bad events of both arms, cumulated over the looks, for every run."""
    random = np.random.default_rng(seed)
    canary = random.binomial(per_look, share_canary, (RUNS, LOOKS)).cumsum(axis=1)
    stable = random.binomial(per_look, share_stable, (RUNS, LOOKS)).cumsum(axis=1)
    return canary, stable


def z_scores(canary: Counts, stable: Counts, per_look: int) -> NDArray[np.float64]:
    """The statistic of each run at each look, as `z_score` computes it."""
    totals = per_look * np.arange(1, LOOKS + 1)
    pooled = (canary + stable) / (2 * totals)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * 2 / totals, 1e-300))
    found: NDArray[np.float64] = (canary - stable) / totals / spread
    return found


def upper_bound(count: int) -> float:
    """The upper 99 % bound of a rate that was seen `count` times in all runs."""
    return float(stats.beta.ppf(0.99, count + 1, RUNS - count))


def test_looking_each_day_keeps_the_level() -> None:
    """A/A, 14 looks: group-sequential, anytime and one look at the end; the naive threshold would fail in 20 %."""
    per_look, share = 3_000, 0.05
    canary, stable = paths(share, share, per_look, seed=1)
    z = np.abs(z_scores(canary, stable, per_look))
    bound = np.array(bounds([(look + 1) / LOOKS for look in range(LOOKS)], LEVEL))
    sequential = int((z >= bound).any(axis=1).sum())
    evidence = np.vectorize(log_evidence)(canary, stable)
    anytime = int((evidence >= np.log(1 / LEVEL)).any(axis=1).sum())
    fixed = int((z[:, -1] >= bounds([1.0], LEVEL)[0]).sum())
    naive = int((z >= 1.96).any(axis=1).sum())
    assert naive / RUNS > 0.18
    for count in (sequential, anytime, fixed):
        assert upper_bound(count) <= 1.3 * LEVEL, count / RUNS
    assert sequential / RUNS > 0.04


def test_a_difference_is_found_with_the_power_that_was_planned() -> None:
    """The share rises by 20 %: four in five tests say worse, and nearly none says better."""
    share, detect = 0.05, 0.2
    per_look = -(-needed(share, detect, LEVEL, 0.8) // LOOKS)
    canary, stable = paths(share * (1 + detect), share, per_look, seed=2)
    z = z_scores(canary, stable, per_look)
    bound = np.array(bounds([(look + 1) / LOOKS for look in range(LOOKS)], LEVEL))
    assert 0.76 <= (z >= bound).any(axis=1).mean() <= 0.83
    assert (z <= -bound).any(axis=1).mean() < 0.001


def test_users_who_stay_need_their_own_counts() -> None:
    """Each user has many requests and a share of failures of their own: counts of requests vary more than they say."""
    random = np.random.default_rng(3)
    users, requests = 400, 50
    chances = random.beta(0.5, 9.5, (RUNS // 10, 2, users))
    bad = random.binomial(requests, chances).sum(axis=2)
    z = [z_score(Arm(bad=int(a), total=users * requests), Arm(bad=int(b), total=users * requests)) for a, b in bad]
    assert np.mean(np.abs(z) >= 1.96) > 0.11
    arms = {"errors": (Arm(bad=900, total=20_000), Arm(bad=1000, total=20_000))}
    found = judge(design(by_user=True), arms, {}, at_the_end=True)
    assert (found.outcome, "variance_inflation" in found.why) == (Outcome.CANNOT_TELL, True)
    assert judge(design(by_user=True, inflation=4.0), arms, {}, at_the_end=True).outcome is not Outcome.WORSE


def test_a_split_that_is_wrong_voids_the_test() -> None:
    """χ² with p < 0.001: the arms are not alike in anything then."""
    assert not split_is_wrong(Arm(bad=0, total=5_050), Arm(bad=0, total=4_950), 0.5)
    assert split_is_wrong(Arm(bad=0, total=5_300), Arm(bad=0, total=4_700), 0.5)
    assert not split_is_wrong(Arm(bad=0, total=1_000), Arm(bad=0, total=9_000), 0.1)
    arms = {"errors": (Arm(bad=53, total=5_300), Arm(bad=47, total=4_700))}
    assert not split_is_wrong(Arm(bad=0, total=5_300), Arm(bad=0, total=4_700), 0.5, apart=15 / 120)
    assert split_is_wrong(Arm(bad=0, total=5_600), Arm(bad=0, total=4_400), 0.5, apart=15 / 120)
    assert split_is_wrong(Arm(bad=0, total=5_300), Arm(bad=0, total=4_700), 0.5, apart=15 / 86_400)
    assert "53.0%" in judge(design(), arms, {}, at_the_end=False).why


@pytest.mark.parametrize("method", ["group-sequential", "anytime", "fixed-horizon"])
def test_what_a_look_says(method: str) -> None:
    """Few events: undecided. Enough and alike: not worse. The end too early: nobody can tell. Much worse: worse."""
    few = {"errors": (Arm(bad=50, total=1_000), Arm(bad=50, total=1_000))}
    enough = {"errors": (Arm(bad=2_500, total=50_000), Arm(bad=2_500, total=50_000))}
    awful = {"errors": (Arm(bad=400, total=2_000), Arm(bad=100, total=2_000))}
    assert judge(design(method), few, {}, at_the_end=False).outcome is Outcome.UNDECIDED
    assert judge(design(method), few, {}, at_the_end=True).outcome is Outcome.CANNOT_TELL
    assert judge(design(method), enough, {}, at_the_end=True).outcome is Outcome.NOT_WORSE
    assert judge(design(method), awful, {}, at_the_end=False).outcome is Outcome.WORSE


def test_a_fixed_horizon_says_nothing_before_its_end_but_harm() -> None:
    """A difference that is large by chance for a day does not end it."""
    lucky = {"errors": (Arm(bad=160, total=2_000), Arm(bad=120, total=2_000))}
    assert z_score(*lucky["errors"]) > 2.4
    assert judge(design("fixed-horizon"), lucky, {}, at_the_end=False).outcome is Outcome.UNDECIDED
    assert judge(design("fixed-horizon"), lucky, {}, at_the_end=True).outcome is Outcome.WORSE


def test_one_worse_metric_is_worse_and_doubt_wins_over_good() -> None:
    """Every metric must be not worse; the level is split over them."""
    good = (Arm(bad=2_500, total=60_000), Arm(bad=2_500, total=60_000))
    bad = (Arm(bad=4_000, total=60_000), Arm(bad=2_500, total=60_000))
    empty = (Arm(bad=0, total=0), Arm(bad=0, total=0))
    assert judge(design(), {"a": good, "b": bad, "c": empty}, {}, at_the_end=True).outcome is Outcome.WORSE
    assert judge(design(), {"a": good, "c": empty}, {}, at_the_end=True).outcome is Outcome.CANNOT_TELL
    assert judge(design(), {"a": good, "b": good}, {}, at_the_end=True).outcome is Outcome.NOT_WORSE
    assert judge(design(), {}, {}, at_the_end=True).outcome is Outcome.CANNOT_TELL


def test_a_better_canary_is_not_worse() -> None:
    """However clear the difference."""
    better = {"errors": (Arm(bad=500, total=60_000), Arm(bad=2_500, total=60_000))}
    found = judge(design(), better, {}, at_the_end=True)
    assert found.outcome is Outcome.NOT_WORSE
    assert found.metrics[0].high < 0


@pytest.mark.parametrize("bad,total,other,others", [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20)])
def test_the_interval_is_newcombes(bad: int, total: int, other: int, others: int) -> None:
    """Method 10 of Newcombe (1998), table II."""
    published = {(56, 70): (0.0524, 0.3339), (9, 10): (0.1705, 0.8090), (10, 10): (0.6791, 1.0)}
    found = difference(Arm(bad=bad, total=total), Arm(bad=other, total=others), 0.95)
    assert found == pytest.approx(published[(bad, total)], abs=6e-4)
