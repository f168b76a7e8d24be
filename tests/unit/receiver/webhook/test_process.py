"""Taking deliveries into the journal: repeats cost little and are never mistaken for news."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.decide.model import NO_TRACE, EpisodeState, new_id
from receiver.journal import Journal, JournalError, Tx, open_view
from receiver.policy.model import Policies
from receiver.steps import Reached, Step, pass_by
from receiver.webhook.process import Memory, Processing
from tests.unit.receiver.builders import NOW, policies, policy
from tests.waiting import until

START = "2026-11-21T08:17:42Z"


def body(status: str = "firing", starts_at: str = START, name: str = "FailureRateHigh", **changes: Any) -> bytes:
    """A delivery of one alert."""
    alert = {
        "status": status,
        "labels": {"alertname": name, "service": "gateway"},
        "annotations": {"summary": "x"},
        "startsAt": starts_at,
        "endsAt": "2026-11-21T08:18:11Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": "b42cef305cefc9ab",
    }
    return json.dumps({"version": "4", "alerts": [{**alert, **changes}]}).encode()


class Receiving:
    """A journal with a memory, a clock set by hand, and policies that can be replaced."""

    def __init__(self, path: Path, reached: Reached = pass_by) -> None:
        self.now = NOW
        self.policies = policies(policy())
        self.journal = Journal(path, clock=self.clock, reached=reached)
        self.memory = Memory()

    def clock(self) -> datetime:
        """The time."""
        return self.now

    async def take(self, data: bytes, after_s: float = 1) -> int:
        """Take one delivery, so long after the last one; how many decisions it brought."""
        self.now += timedelta(seconds=after_s)
        taking = Processing(data, self.policies, self.memory, ids=new_id, trace=NO_TRACE, at=self.now)
        return await self.journal.write(taking.take, prepare=taking.parse)

    async def states(self) -> list[str]:
        """States of all live episodes."""
        return [one.state.value for one in await self.journal.read(lambda view: view.live_episodes())]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Receiving]:
    """A journal that is closed afterwards."""
    found = Receiving(tmp_path / "j.db")
    found.journal.start()
    yield found
    await found.journal.close()


async def test_repeats_decide_nothing_and_are_still_heard(one: Receiving) -> None:
    """Only the time of the last repeat changes, in the journal and for whoever asks within a transaction."""
    assert [await one.take(body(), after_s=5) for _ in range(4)] == [1, 0, 0, 0]
    seen = (await one.journal.read(lambda view: view.seen(["b42cef305cefc9ab"])))["b42cef305cefc9ab"]
    inside = (await one.journal.write(lambda tx: tx.seen(["b42cef305cefc9ab"])))["b42cef305cefc9ab"]
    assert (seen.last_at, inside.last_at) == (one.now, one.now)


FINGERPRINT = "b42cef305cefc9ab"


async def test_repeats_at_once_are_written_once(one: Receiving) -> None:
    """Within five seconds the time is kept in memory, exactly; on disk it is that of the first repeat."""
    await one.take(body())
    await one.take(body())
    first_repeat = one.now
    for _ in range(3):
        await one.take(body(), after_s=0.2)
    on_disk = (await one.journal.read(lambda view: view.seen((FINGERPRINT,))))[FINGERPRINT]
    inside = (await one.journal.write(lambda tx: tx.seen((FINGERPRINT,))))[FINGERPRINT]
    assert (on_disk.last_at, inside.last_at) == (first_repeat, one.now)
    await one.take(body(), after_s=4.5)
    on_disk = (await one.journal.read(lambda view: view.seen((FINGERPRINT,))))[FINGERPRINT]
    assert on_disk.last_at == one.now


async def test_what_was_heard_is_written_where_nothing_else_comes(
    one: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last repeat's time reaches the disk without another delivery."""
    monkeypatch.setattr("receiver.journal.WRITTEN_EVERY", timedelta(seconds=0.05))
    for _ in range(3):
        await one.take(body(), after_s=0.2)

    async def written() -> bool:
        seen = await one.journal.read(lambda view: view.seen((FINGERPRINT,)))
        return seen[FINGERPRINT].last_at == one.now

    await until(written, 20, "the time is on disk")


async def test_what_was_heard_is_written_at_the_end(tmp_path: Path) -> None:
    """A receiver that stops keeps the times that it had only in memory."""
    one = Receiving(tmp_path / "j.db")
    one.journal.start()
    for _ in range(3):
        await one.take(body(), after_s=0.2)
    await one.journal.close()
    view, connection = open_view(tmp_path / "j.db")
    assert view.seen((FINGERPRINT,))[FINGERPRINT].last_at == one.now
    connection.close()


async def test_what_was_heard_in_a_commit_that_failed_is_written_later(tmp_path: Path) -> None:
    """The time stays owed, although it had been sent to the database."""
    full = False

    def reached(step: Step) -> None:
        if full and step is Step.JOURNAL_BEFORE_COMMIT:
            raise sqlite3.OperationalError("database or disk is full")

    one = Receiving(tmp_path / "j.db", reached)
    one.journal.start()
    await one.take(body())
    await one.take(body())
    await one.take(body(), after_s=0.2)
    heard_at, full = one.now, True
    with pytest.raises(JournalError, match="disk is full"):
        await one.take(body(name="Other"), after_s=7)
    full = False
    await one.journal.close()
    view, connection = open_view(tmp_path / "j.db")
    assert view.seen((FINGERPRINT,))[FINGERPRINT].last_at == heard_at
    connection.close()


async def test_the_last_word_on_an_alert_in_one_commit_is_the_last(one: Receiving) -> None:
    """A repeat with another start, then a resolve with yet another, both in one transaction, and nothing to decide."""
    one.policies = Policies(in_force=(), by_sha256={})
    await one.take(body())
    starts = ("2026-11-21T08:18:00Z", "2026-11-21T08:19:00Z")
    again, resolved = body(starts_at=starts[0]), body("resolved", starts_at=starts[1])
    await asyncio.gather(one.take(again), one.take(resolved))
    view = await one.journal.read(lambda view: view.seen((FINGERPRINT,)))
    assert view[FINGERPRINT].starts_at == datetime.fromisoformat(starts[1])


async def test_a_repeat_after_a_change_is_news(one: Receiving) -> None:
    """Resolved behind the sender's back, by new policies, by a new start: each is planned again."""
    assert [await one.take(body()), await one.take(body()), await one.take(body())] == [1, 0, 0]

    def resolve(tx: Tx) -> None:
        (episode,) = tx.live_episodes()
        tx.move_episode(episode, EpisodeState.RESOLVING)

    await one.journal.write(resolve)
    assert (await one.take(body()), await one.states()) == (1, ["OPEN"])
    assert [await one.take(body()), await one.take(body())] == [0, 0]
    one.policies = policies(policy(), policy(name="second"))
    assert (await one.take(body()), await one.states()) == (1, ["OPEN", "OPEN"])
    assert await one.take(body("resolved")) == 4  # two episodes, each with a rollback that is not needed
    assert await one.states() == ["RESOLVING", "RESOLVING"]
    assert [await one.take(body("resolved")), await one.take(body("resolved"))] == [0, 0]
    assert await one.take(body(starts_at="2026-11-21T08:19:00Z")) == 2


async def test_an_alert_without_a_rule_is_noted_again_after_its_resolve(one: Receiving) -> None:
    """Firing, repeats, resolved, firing."""
    one.policies = Policies(in_force=(), by_sha256={})
    bodies = [body(), body(), body(), body("resolved"), body("resolved"), body()]
    assert [await one.take(data) for data in bodies] == [1, 0, 0, 0, 0, 1]
