"""Series in promtool's notation, and no counter ever steps back."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.proofs.series import Clock, Gauge, Gone, Slope, Stretch, Toggle, exact, number_text, values_text


def stretch(samples: int, signal: Gauge | Slope | Clock | Toggle | Gone) -> Stretch:
    """Short for tests."""
    return Stretch(samples=samples, signal=signal)


@pytest.mark.parametrize(
    "stretches,expected",
    [
        ([stretch(3, Gauge(value=Fraction(5)))], "5+0x2"),
        ([stretch(1, Gone()), stretch(2, Gauge(value=Fraction(1, 10)))], "_x1 0.1+0x1"),
        ([stretch(2, Gauge(value=Fraction(1))), stretch(3, Gone())], "1+0x1 stale _x2"),
        ([stretch(2, Slope(per_s=Fraction(2))), stretch(2, Slope(per_s=Fraction(0)))], "4126+30x1 4156+0x1"),
        ([stretch(1, Gone()), stretch(3, Clock(behind_s=Fraction(5)))], "_x1 10+15x2"),
        ([stretch(5, Toggle(every=2))], "1+0x1 0+0x1 1+0x0"),
    ],
)
def test_notation(stretches: list[Stretch], expected: str) -> None:
    """One part for each stretch, one sample each 15 s."""
    assert values_text(stretches, 15_000) == expected


def expand(text: str) -> list[float]:
    """The values as promtool computes them: increments added one by one, in floating point."""
    found = []
    for part in text.split():
        start, _, rest = part.partition("+")
        step, _, times = rest.partition("x")
        value = float(start)
        for _ in range(int(times) + 1):
            found.append(value)
            value += float(step)
    return found


slopes = st.lists(
    st.tuples(st.integers(1, 500), st.fractions(0, 10_000, max_denominator=10**6)), min_size=2, max_size=5
)


@settings(deadline=None)  # a busy machine is no failure
@given(slopes, st.sampled_from([1000, 5000, 15_000, 60_000]))
def test_counters_never_step_back(parts: list[tuple[int, Fraction]], sample_ms: int) -> None:
    """Floating point included: a lost bit at the seam of two stretches would look like a restart."""
    text = values_text([stretch(samples, Slope(per_s=per_s)) for samples, per_s in parts], sample_ms)
    values = expand(text)
    assert values == sorted(values)


@settings(deadline=None)
@given(st.fractions(0, 10**9, max_denominator=10**9))
def test_exact_rounds_to_the_asked_side(number: Fraction) -> None:
    """Within a thousandth, a number of ten binary digits, and its text says all of it."""
    for up in (True, False):
        found = exact(number, up=up)
        assert (found >= number) if up else (found <= number)
        assert abs(found - number) * 1000 <= 2 * number
        assert Fraction(number_text(found)) == found
