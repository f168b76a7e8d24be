"""The order of HAProxy's commands: every share on the way lies between the old and the new share."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.traffic.adapter import TrafficError
from release.traffic.haproxy_steps import WEIGHT_MAX, share_of, steps, weights

PERCENTS = st.integers(0, 100).map(lambda percent: Decimal(percent) / 100)
SERVERS = st.integers(1, 4)
BY_HAND = st.lists(st.integers(0, WEIGHT_MAX), min_size=1, max_size=3)


def on_the_way(old: tuple[int, ...], canaries: int, share: Decimal) -> list[tuple[int, ...]]:
    """The weights after each command."""
    now, found = list(old), []
    for step in steps(old[:canaries], old[canaries:], share):
        now[step.server] = step.weight
        found.append(tuple(now))
    return found or [old]


def whole(share: Decimal, canaries: int, stables: int) -> bool:
    """Whether HAProxy can give this share at all."""
    try:
        next(iter(weights(share, canaries, stables)))
    except TrafficError:
        return False
    return True


@settings(deadline=None)
@given(canaries=SERVERS, stables=SERVERS, old=PERCENTS, new=PERCENTS)
def test_no_share_on_the_way_passes_the_old_or_the_new(canaries: int, stables: int, old: Decimal, new: Decimal) -> None:
    """Between any two percents, with any number of servers a side."""
    if not (whole(old, canaries, stables) and whole(new, canaries, stables)):
        return
    canary, stable = next(iter(weights(old, canaries, stables)))
    begin = (canary,) * canaries + (stable,) * stables
    way = on_the_way(begin, canaries, new)
    shares = [share_of(one, canaries) for one in way]
    assert shares[-1] == Fraction(new)
    assert max(shares) <= max(old, new)
    assert min(shares) >= min(old, new)
    assert all(any(one) for one in way)
    assert len(set(way[-1][:canaries])) == len(set(way[-1][canaries:])) == 1


@pytest.mark.parametrize("canaries,stables", [(1, 2), (2, 1), (4, 1), (1, 4)])
def test_shares_side_by_side(canaries: int, stables: int) -> None:
    """Every percent to the next one, up and down: with small weights, some of these had no order of commands."""
    tried = 0
    for percent in range(100):
        low, high = Decimal(percent) / 100, Decimal(percent + 1) / 100
        for old, new in ((low, high), (high, low)):
            if whole(old, canaries, stables) and whole(new, canaries, stables):
                canary, stable = next(iter(weights(old, canaries, stables)))
                way = on_the_way((canary,) * canaries + (stable,) * stables, canaries, new)
                assert all(low <= share_of(one, canaries) <= high for one in way)
                tried += 1
    assert tried >= 144


@settings(deadline=None)
@given(stages=st.lists(PERCENTS, min_size=1, max_size=8))
def test_stages_one_after_the_other(stages: list[Decimal]) -> None:
    """The weights of each stage are where the next stage begins, up and down."""
    now: tuple[int, ...] = (0, 100)
    before = Decimal(0)
    for share in stages:
        way = on_the_way(now, 1, share)
        assert all(min(before, share) <= share_of(one, 1) <= max(before, share) for one in way)
        assert share_of(way[-1], 1) == Fraction(share)
        now, before = way[-1], share


@settings(deadline=None)
@given(canary=BY_HAND, stable=BY_HAND, new=PERCENTS)
def test_weights_that_somebody_set_by_hand(canary: list[int], stable: list[int], new: Decimal) -> None:
    """Any weights, different for each server: no share is higher than both, and some server always takes traffic."""
    if not whole(new, len(canary), len(stable)):
        return
    old = (*canary, *stable)
    way = on_the_way(old, len(canary), new)
    assert all(share_of(one, len(canary)) <= max(share_of(old, len(canary)), Fraction(new)) for one in way)
    assert all(any(one) for one in way) or old == way[0]
    assert share_of(way[-1], len(canary)) == Fraction(new)


def test_from_ten_to_fifty_percent() -> None:
    """The canary's server and the stable server meet in the middle; 100 and 99 once gave 50.25 % on the way."""
    assert on_the_way((11, 99), 1, Decimal("0.5")) == [(99, 99)]
    assert on_the_way((5, 95), 1, Decimal("0.1")) == [(10, 95), (10, 90)]
    assert on_the_way((11, 11, 99, 99), 2, Decimal("0.5"))[0] == (99, 11, 99, 99)


@pytest.mark.parametrize(
    "share,canaries,stables,expected",
    [
        ("0.1", 1, 1, (11, 99)),
        ("0.5", 1, 1, (100, 100)),
        ("0.05", 1, 1, (5, 95)),
        ("0.1", 2, 3, (42, 252)),
        ("1", 2, 1, (256, 0)),
    ],
)
def test_weights_are_whole_numbers(share: str, canaries: int, stables: int, expected: tuple[int, int]) -> None:
    """Each server of a side has the same weight, and the share is exact."""
    found = next(iter(weights(Decimal(share), canaries, stables)))
    assert found == expected
    total = found[0] * canaries + found[1] * stables
    assert Decimal(found[0] * canaries) / total == Decimal(share)
    with pytest.raises(TrafficError, match="split"):
        list(weights(Decimal("0.0001"), 1, 1))
