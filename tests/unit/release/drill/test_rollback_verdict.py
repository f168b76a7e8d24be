"""The verdict on many rollbacks: the share that succeeded, and promises that no share excuses."""

from decimal import Decimal
from typing import Any

import pytest

from release.drill.faults import SURVIVED, Fault, Rolled, chosen
from release.drill.rollback import verdict


def rolled(fault: Fault = Fault.NONE, **changes: Any) -> Rolled:
    """A rollback that went well, in two seconds."""
    usual = {"reported_done": True, "truly_done": True, "starts": 1, "settled": True, "done_s": 2.0}
    return Rolled(fault=fault, **{**usual, **changes})


LOST = rolled(Fault.FAILS, reported_done=False, truly_done=False)


@pytest.mark.parametrize("lost,ok", [(0, True), (5, True), (6, False), (100, False)])
def test_ninety_five_of_a_hundred(lost: int, ok: bool) -> None:  # noqa: FBT001 - the expected answer
    """The boundary counts as success."""
    found = verdict([LOST] * lost + [rolled()] * (100 - lost))
    assert (found.ok, found.succeeded) == (ok, 100 - lost)
    assert ok or found.why == (f"{100 - lost} of 100 rollbacks succeeded, fewer than 95%: fails × {lost}",)


def test_nothing_rehearsed_is_no_success() -> None:
    """No runs prove nothing."""
    assert not verdict([]).ok


@pytest.mark.parametrize(
    "change,why",
    [
        ({"starts": 2}, "the script was started 2 times"),
        ({"settled": False}, "the run never had an answer"),
        ({"truly_done": False}, "reported as done, and was not"),
        ({"reported_done": False}, "was done, and not reported so"),
    ],
)
def test_a_broken_promise(change: dict[str, Any], why: str) -> None:
    """One run of a hundred is enough to fail the drill."""
    found = verdict([rolled()] * 99 + [rolled(Fault.SLOW, **change)])
    assert found.why == (f"fault slow: {why}",)


def test_times_are_those_of_successes() -> None:
    """A rollback that failed at once does not make the mean better."""
    found = verdict([rolled(done_s=1.0), rolled(done_s=3.0), LOST], at_least=Decimal("0.5"))
    assert (found.ok, found.mean_s, found.longest_s) == (True, 2.0, 3.0)


def test_every_fault_is_injected() -> None:
    """As often as each other, in the same order for the same seed, in another for another."""
    found = chosen(SURVIVED, 3 * len(SURVIVED), seed=1)
    assert {fault: found.count(fault) for fault in SURVIVED} == dict.fromkeys(SURVIVED, 3)
    assert found == chosen(SURVIVED, 3 * len(SURVIVED), seed=1)
    assert found != chosen(SURVIVED, 3 * len(SURVIVED), seed=2)
