"""Release conditions: anything but a clear yes is a no."""

from decimal import Decimal

import pytest

from receiver.loops.sources import Judgement, judge
from receiver.policy.model import Condition
from tests.unit.receiver.builders import NOW

FRESH = [str(NOW.timestamp() - 60)]


def condition(op: str = ">=", value: str = "0.10") -> Condition:
    """A budget condition."""
    return Condition(id="budget", query="q", op=op, value=Decimal(value), held_for_s=0, max_age_s=600)


@pytest.mark.parametrize(
    "values,times,expected",
    [
        (["0.2"], FRESH, Judgement(true=True, why="")),
        (["0.1"], FRESH, Judgement(true=True, why="")),
        (["0.0999999999999999999"], FRESH, Judgement(true=False, why="0.09999999999999999… is not >= 0.10")),
        ([], [], Judgement(true=False, why="no data")),
        (["NaN"], FRESH, Judgement(true=False, why="NaN is not >= 0.10")),
        (["+Inf"], FRESH, Judgement(true=True, why="")),
        (["-Inf"], FRESH, Judgement(true=False, why="-Inf is not >= 0.10")),
        (["0.2", "0.05"], FRESH * 2, Judgement(true=False, why="0.05 is not >= 0.10")),
        (["0.2"], [str(NOW.timestamp() - 601)], Judgement(true=False, why="older than 600 s")),
        (["0.2", "0.2"], [*FRESH, str(NOW.timestamp() - 601)], Judgement(true=False, why="older than 600 s")),
        (["0.2"], [], Judgement(true=False, why="older than 600 s")),
        (["0.2"], ["NaN"], Judgement(true=False, why="older than 600 s")),
        (["oops"], FRESH, Judgement(true=False, why="oops is no number")),
    ],
)
def test_only_a_clear_yes_counts(values: list[str], times: list[str], expected: Judgement) -> None:
    """Empty, NaN, old, or one of several not true: not unfrozen."""
    assert judge(condition(), values, times, NOW) == expected


@pytest.mark.parametrize(
    "op,below,equal,above",
    [
        (">=", False, True, True),
        (">", False, False, True),
        ("<=", True, True, False),
        ("<", True, False, False),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_every_operator(op: str, *, below: bool, equal: bool, above: bool) -> None:
    """Compared as decimals."""
    found = [judge(condition(op, "1"), [value], FRESH, NOW).true for value in ("0.9", "1.0", "1.1")]
    assert found == [below, equal, above]
