"""Limits of tiers, and what a profile is made of: where each begins exactly."""

from decimal import Decimal
from fractions import Fraction

import pytest
from msgspec.structs import replace

from generator.model import burn
from generator.model.burn import Profile, SloWindow, Tier
from generator.units import DAY, HOUR, MINUTE, SECOND

MONTH = SloWindow(length_ms=30 * DAY)
TIERS, _ = burn.default_tiers(30 * DAY, Decimal("0.001"), scrape_ms=15 * SECOND, interval_ms=30 * SECOND)


def tier(
    *, factor: Fraction = Fraction(2), long_ms: int = HOUR, short_ms: int = 5 * MINUTE, severity: str = "warning"
) -> Tier:
    """A tier of one's own."""
    return Tier(name="own", share=Decimal("0.02"), long_ms=long_ms, short_ms=short_ms, factor=factor, severity=severity)


def profile(*tiers: Tier, window_ms: int = 30 * DAY) -> Profile:
    """A profile at an interval of 30 s."""
    return burn.profile(SloWindow(length_ms=window_ms), tiers, interval_ms=30 * SECOND)


@pytest.mark.parametrize(
    "factor, budget, reason",
    [
        (Fraction(1), "0.5", ""),
        (Fraction(99, 100), "0.5", "the factor 0.99 is below 1, so the tier would fire although the budget lasts"),
        (Fraction(10), "0.0999", ""),
        (Fraction(10), "0.1", "factor 10 × budget 0.1 is not below 1, so the tier could never fire"),
    ],
)
def test_a_tier_is_reachable_from_factor_1_up_to_all_requests(factor: Fraction, budget: str, reason: str) -> None:
    """An error ratio is never above 1, so a threshold of exactly 1 is never exceeded."""
    assert burn.unreachable(tier(factor=factor), Decimal(budget)) == reason


@pytest.mark.parametrize("long_ms, enough", [(5 * MINUTE, True), (5 * MINUTE - 1, False)])
def test_a_long_window_holds_the_minimum_of_slices(long_ms: int, *, enough: bool) -> None:
    """Five slices of a minute fit into five minutes."""
    assert (burn.too_few_slices(tier(long_ms=long_ms), MINUTE, 5) == "") is enough


@pytest.mark.parametrize(
    "tiers, slow_ms",
    [
        ([], 150 * SECOND),
        ([tier(short_ms=4 * MINUTE)], 120 * SECOND),
        ([tier(short_ms=4 * MINUTE), tier(short_ms=10 * MINUTE)], 120 * SECOND),
        ([tier(short_ms=4 * MINUTE, severity="critical")], 150 * SECOND),
        ([tier(short_ms=50 * SECOND)], 30 * SECOND),
    ],
    ids=["no tier", "short window", "the shortest counts", "pages are in the fast group", "no oftener than the rest"],
)
def test_the_slow_group_runs_twice_in_the_shortest_window_of_its_tiers(tiers: list[Tier], slow_ms: int) -> None:
    """Every 2m30s, or as often as the short window of a tier that pages nobody needs."""
    assert burn.cadence(tiers, 30 * SECOND).slow_ms == slow_ms


@pytest.mark.parametrize("window_ms, rolled_up", [(6 * HOUR, True), (5 * HOUR, False)])
def test_windows_of_six_hours_are_computed_from_rollups(window_ms: int, *, rolled_up: bool) -> None:
    """A tier's window as well as the SLO's own."""
    assert profile(window_ms=window_ms).rolled_up is rolled_up
    assert profile(tier(long_ms=window_ms), window_ms=HOUR).rolled_up is rolled_up


def test_gaps_are_looked_for_every_two_hours() -> None:
    """A day of raw counters is read each time."""
    assert profile(*TIERS).cadence.gap_ms == 2 * HOUR


@pytest.mark.parametrize("window_ms, repaired", [(3 * DAY, True), (3 * DAY - HOUR, False)])
def test_gaps_are_repaired_from_windows_of_three_days(window_ms: int, *, repaired: bool) -> None:
    """In shorter windows a gap is soon forgotten."""
    assert profile(window_ms=window_ms).repaired is repaired


def test_profiles_that_differ_in_anything_have_different_names() -> None:
    """A name is a rule file: two profiles with one name would overwrite each other's rules."""
    slower = (*TIERS[:-1], replace(TIERS[-1], long_ms=4 * DAY))
    less = (Decimal("0.5"),)
    made = [
        burn.profile(MONTH, TIERS, interval_ms=MINUTE),
        burn.profile(MONTH, TIERS, interval_ms=30 * SECOND),
        burn.profile(SloWindow(length_ms=28 * DAY), TIERS, interval_ms=MINUTE),
        burn.profile(SloWindow(length_ms=30 * DAY, calendar="month"), TIERS, interval_ms=MINUTE),
        burn.profile(MONTH, TIERS[:-1], interval_ms=MINUTE),
        burn.profile(MONTH, slower, interval_ms=MINUTE),
        burn.profile(MONTH, (), interval_ms=MINUTE),
        burn.profile(MONTH, TIERS, interval_ms=MINUTE, consumed=less),
        burn.profile(MONTH, (), interval_ms=MINUTE, consumed=less),
        burn.profile(MONTH, TIERS, interval_ms=MINUTE, min_events=6),
    ]
    assert len({one.name for one in made}) == len(made)
    assert made[0].name == "30d"
