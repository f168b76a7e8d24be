"""Queries are turned round: which series make them give a value."""

from fractions import Fraction

import pytest

from generator.proofs import solve
from generator.proofs.series import Clock, Gauge, Gone, Signal, Slope
from generator.proofs.solve import UnsolvableError


def gauge(value: int | str) -> Gauge:
    """Short for tests."""
    return Gauge(value=Fraction(value))


@pytest.mark.parametrize(
    "query,expected",
    [
        ("x", {"x": gauge(6)}),
        ('sum by (a) (x{b!~"c"})', {'x{b!~"c"}': gauge(6)}),
        ("max(avg_over_time(x[5m]))", {"x": gauge(6)}),
        ("sum(rate(x[5m]))", {"x": Slope(per_s=Fraction(6))}),
        ("increase(x[2m])", {"x": Slope(per_s=Fraction(1, 20))}),
        ("x * 3", {"x": gauge(2)}),
        ("3 * (x - 1) / 2", {"x": gauge(5)}),
        ("100 * (1 - x)", {"x": gauge("0.94")}),
        ("-x", {"x": gauge(-6)}),
        ("time() - max(x)", {"x": Clock(behind_s=Fraction(6))}),
        ("sum(x) / sum(y)", {"x": gauge(6000), "y": gauge(1000)}),
        ("clamp_min(x, 0)", {"x": gauge(6)}),
        ("max_over_time(sum(rate(x[1m]))[10m:1m])", {"x": Slope(per_s=Fraction(6))}),
    ],
)
def test_values(query: str, expected: dict[str, Signal]) -> None:
    """What makes each query give 6."""
    found = solve.value(query, Fraction(6)).signals
    assert {selector.text: signal for selector, signal in found.items()} == expected


@pytest.mark.parametrize(
    "query,named",
    [
        ("predict_linear(x[1h], 60)", "predict_linear"),
        ("x + y", r"`\+` between these two"),
        ("x / x", "stands there twice"),
        ("topk(1, x)", "AggregateExpr"),
        ("x ^ 2", r"`\^`"),
    ],
)
def test_what_cannot_be_undone_is_named(query: str, named: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UnsolvableError, match=named):
        solve.value(query, Fraction(6))


@pytest.mark.parametrize(
    "op,limit,breaches,quiet",
    [
        (">", 10, 11, 9),
        (">=", 10, 11, 9),
        ("<", 10, 9, 11),
        ("<=", 10, 9, 11),
        ("==", 1, 1, 0),
        ("==", 0, 0, 1),
        ("!=", 1, 0, 1),
        (">", 0, 1, 0),
        ("<", 0, -1, 0),
        (">", -10, -9, -11),
    ],
)
def test_beyond(op: str, limit: int, breaches: int, quiet: int) -> None:
    """1.1 × stands on the breaching side of every comparison, 0.9 × on the quiet one."""
    assert solve.beyond(op, Fraction(limit), Fraction(11, 10)) == breaches
    assert solve.beyond(op, Fraction(limit), Fraction(9, 10)) == quiet


def test_comparisons_joined_by_and() -> None:
    """Each has its own threshold; a number on the left turns the operator."""
    found = solve.comparisons("(sum(x) > 0 and 3 >= y) and absent(z) == 1")
    assert [(comparison.op, int(comparison.limit)) for comparison in found] == [(">", 0), ("<=", 3), ("==", 1)]
    demand = solve.comparison_demand(found, [Fraction(1), Fraction(2), Fraction(1)])
    assert {selector.text: signal for selector, signal in demand.signals.items()} == {
        "x": gauge(1),
        "y": gauge(2),
        "z": Gone(),
    }


@pytest.mark.parametrize("query", ["x > y", "x > 1 or y > 1", "absent(x)", "x unless y"])
def test_other_conditions_are_refused(query: str) -> None:
    """They become a gap that the proof file names."""
    with pytest.raises(UnsolvableError):
        solve.comparisons(query)
