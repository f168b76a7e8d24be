"""When a follower of the event stream is told that it missed something."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.decide.model import Decision
from receiver.http.stream import HELD, _lost
from receiver.journal import Journal
from receiver.steps import pass_by
from tests import journals

pytestmark = pytest.mark.usefixtures("sharing")

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands at START."""
    return Clock()


@pytest.fixture
async def journal(tmp_path: Path, clock: Clock) -> AsyncIterator[Journal]:
    """An open journal."""
    made = Journal(journals.store(tmp_path / "journal.db"), clock=clock, reached=pass_by)
    made.start()
    yield made
    await made.close()


async def note(journal: Journal, *, notice: str = "") -> int:
    """Write a decision, as a notice on the stream where `notice` names one."""
    decision = Decision(kind="test", sentence="something happened")
    return await asyncio.wait_for(
        journal.write(lambda tx: tx.publish(notice, {}, decision) if notice else tx.note(decision)), 10
    )


@pytest.mark.parametrize("away, lost", [(HELD - timedelta(minutes=1), False), (HELD + timedelta(hours=6), True)])
async def test_only_a_lost_notice_is_a_loss(journal: Journal, clock: Clock, away: timedelta, lost: bool) -> None:  # noqa: FBT001
    """A notice that came while the follower was away is held for a day."""
    known = await note(journal, notice="known")
    await note(journal, notice="unknown")
    clock.now += away
    await note(journal)
    assert await journal.read(lambda view: _lost(view, known, clock.now - HELD)) == lost


async def test_a_quiet_day_is_no_loss(journal: Journal, clock: Clock) -> None:
    """Decisions without notices do not count, however old they are."""
    known = await note(journal, notice="known")
    for _ in range(3):
        await note(journal)
    clock.now += timedelta(days=30)
    await note(journal)
    assert not await journal.read(lambda view: _lost(view, known, clock.now - HELD))
