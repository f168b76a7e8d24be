"""The right to act: won for a time, counted from before the question, and gone without a word."""

import pytest

from receiver.leading import LEASE_S, PARTS, Leading, NotLeadingError


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_receiver_with_a_journal_of_its_own_always_acts() -> None:
    """It never asks."""
    alone = Leading()
    alone.require()
    alone.require_in("")
    assert not alone.is_foreign("other-host:/state#1:a")


def test_the_right_ends_before_the_lease() -> None:
    """Time counts from before the journal was asked, however long the answer took."""
    clock = Clock()
    leading = Leading(several=True, place="a:/state", owner="a:/state#1:x", clock=clock)
    assert not leading.holds()
    asked_at = leading.asked_at()
    clock.now += 4
    leading.won(asked_at)
    clock.now = asked_at + LEASE_S - LEASE_S / PARTS - 0.1
    leading.require()
    clock.now += 0.2
    with pytest.raises(NotLeadingError, match="does not lead"):
        leading.require()


def test_a_transaction_that_read_another_leader_claims_nothing() -> None:
    """Even while this receiver believes that it leads."""
    leading = Leading(several=True, place="a:/state", owner="a:/state#1:x")
    leading.won(leading.asked_at())
    leading.require_in("a:/state#1:x")
    for other in ("b:/state#1:x", ""):
        with pytest.raises(NotLeadingError):
            leading.require_in(other)


@pytest.mark.parametrize(
    "owner,foreign",
    [("a:/state#1:x", False), ("a:/state#7:y", False), ("b:/state#1:x", True), ("a:/state2#1:x", True), ("", False)],
)
def test_what_began_at_another_place_is_foreign(owner: str, foreign: bool) -> None:  # noqa: FBT001 - a table
    """An earlier run at the same place is not."""
    assert Leading(several=True, place="a:/state", owner="a:/state#1:x").is_foreign(owner) is foreign
