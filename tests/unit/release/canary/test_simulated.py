"""Bad releases under simulated traffic are always taken back, however little traffic the canary gets."""

import pytest

from tests.unit.release.canary.simulated import RATES, detection, policy


@pytest.mark.parametrize("rate", RATES)
def test_a_bad_release_of_system_b_is_always_caught(rate: float) -> None:
    """Ten times the allowed share of bad events: taken back within five minutes of the beginning."""
    share, median_s = detection(policy("B"), rate, badness=10, runs=20, seed=2)
    assert share == 1
    assert median_s <= 300
