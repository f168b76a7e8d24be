"""The tails of the binomial distribution, against scipy and against exact fractions."""

from decimal import Decimal
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from release.canary.proof import share_is_above, times_is_above, upper_tail
from release.policy.canary import Proof

SURE = Proof(level=Decimal("0.05"), inflation=Decimal(1))


def exact(bad: int, total: int, share: Fraction) -> Fraction:
    """The tail by its definition, without rounding."""
    return sum((comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(bad, total + 1)), Fraction(0))


@given(total=st.integers(0, 60), bad=st.integers(-1, 61), percent=st.integers(0, 100))
def test_the_tail_is_the_definition(total: int, bad: int, percent: int) -> None:
    """Small counts, compared with fractions."""
    expected = float(exact(max(0, bad), total, Fraction(percent, 100))) if bad <= total else 0.0
    assert upper_tail(bad, total, percent / 100) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@settings(deadline=None)
@given(total=st.integers(1, 200_000), part=st.floats(0, 1), share=st.floats(1e-6, 0.999))
def test_the_tail_is_scipys(total: int, part: float, share: float) -> None:
    """Counts of a busy service, compared with scipy."""
    bad = round(total * min(1.0, share * 3 * part))
    assert upper_tail(bad, total, share) == pytest.approx(
        float(stats.binom.sf(bad - 1, total, share)), rel=1e-6, abs=1e-9
    )


def test_one_failure_of_many_proves_nothing() -> None:
    """1 of 50 at a bound of 0.5 % may be chance; 2 of 50 is not."""
    assert not share_is_above(1, 50, 0.005, SURE)
    assert share_is_above(2, 50, 0.005, SURE)


@given(bad=st.integers(0, 50), other=st.integers(0, 50), times=st.floats(1, 3))
def test_a_comparison_is_scipys_test_of_two_rates(bad: int, other: int, times: float) -> None:
    """Equal totals: the canary's part of all bad events is binomial with p = times / (times + 1)."""
    expected = (
        stats.binomtest(bad, bad + other, times / (times + 1), alternative="greater").pvalue if bad + other else 1.0
    )
    assert times_is_above((bad, 1000), (other, 1000), times, SURE) == (expected <= 0.05)


def test_a_comparison_without_events_proves_nothing() -> None:
    """No events of both releases, or none of the canary."""
    assert not times_is_above((0, 0), (0, 0), 1.2, SURE)
    assert not times_is_above((0, 0), (5, 100), 1.2, SURE)


@given(
    bad=st.integers(0, 40),
    good=st.integers(1, 400),
    share=st.floats(0.001, 0.5),
    level=st.decimals("0.0001", "0.2", places=4),
    inflation=st.decimals(1, 5, places=1),
)
def test_more_bad_events_and_a_larger_level_never_prove_less(
    bad: int, good: int, share: float, level: Decimal, inflation: Decimal
) -> None:
    """With any inflation; and a burst of `inflation` events tells as much as one event without."""
    proof = Proof(level=level, inflation=inflation)
    total = bad + good
    if share_is_above(bad, total, share, proof):
        assert share_is_above(bad + 1, total, share, proof)
        assert share_is_above(bad, total, share, Proof(level=Decimal("0.2"), inflation=inflation))
    bursts = Proof(level=level, inflation=Decimal(7))
    assert share_is_above(7 * bad, 7 * total, share, bursts) == share_is_above(
        bad, total, share, Proof(level=level, inflation=Decimal(1))
    )


@pytest.mark.parametrize("events,proven", [(1, 0), (2, 0), (3, 0), (4, 1)])
def test_a_burst_counts_as_one(events: int, proven: int) -> None:
    """Of 60 events at a bound of 0.5 %: two bursts of two prove a breach, and three events are one burst and a half."""
    assert share_is_above(events, 60, 0.005, Proof(level=Decimal("0.022"), inflation=Decimal(2))) == bool(proven)
