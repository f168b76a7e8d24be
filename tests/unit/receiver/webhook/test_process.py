"""Processing deliveries: repeats cost little and are never mistaken for news."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from receiver.decide.model import Decision, EpisodeState
from receiver.journal import JournalError, Tx
from receiver.policy.model import Policies
from receiver.steps import Step
from tests import journals
from tests.journals import exclusive
from tests.unit.receiver.builders import policies, policy
from tests.unit.receiver.journal.writers import FINGERPRINT, Writer, body
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("sharing")


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Writer]:
    """A journal that is closed afterwards."""
    found = Writer(journals.store(tmp_path / "j.db"))
    found.journal.start()
    yield found
    await found.journal.close()


async def test_repeats_decide_nothing_and_still_count_as_seen(one: Writer) -> None:
    """Only the time of the last repeat changes, in the journal and for whoever asks within a transaction."""
    assert [await one.process(body(), after_s=5) for _ in range(4)] == [1, 0, 0, 0]
    assert await one.last_at() == (one.now, one.now)


async def test_repeats_at_once_are_written_once(one: Writer) -> None:
    """Within five seconds the time is kept in memory, exactly; on disk it is that of the first repeat.

    Where others write the journal too, each repeat writes its time.
    """
    await one.process(body())
    await one.process(body())
    first_repeat = one.now
    for _ in range(3):
        await one.process(body(), after_s=0.2)
    assert await one.last_at() == (first_repeat if exclusive() else one.now, one.now)
    await one.process(body(), after_s=4.5)
    assert await one.last_at() == (one.now, one.now)


async def test_a_repeats_time_is_written_where_nothing_else_comes(one: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last repeat's time reaches the disk without another delivery."""
    monkeypatch.setattr("receiver.journal.exclusive.WRITTEN_EVERY", timedelta(seconds=0.05))
    for _ in range(3):
        await one.process(body(), after_s=0.2)

    async def written() -> bool:
        seen = await one.journal.read(lambda view: view.seen((FINGERPRINT,)))
        return seen[FINGERPRINT].last_at == one.now

    await until(written, 20, "the time is on disk")


async def test_a_repeats_time_is_written_at_the_end(tmp_path: Path) -> None:
    """A receiver that stops keeps the times that it had only in memory."""
    one = Writer(journals.store(tmp_path / "j.db"))
    one.journal.start()
    for _ in range(3):
        await one.process(body(), after_s=0.2)
    await one.journal.close()
    view, connection = journals.view(tmp_path / "j.db")
    assert view.seen((FINGERPRINT,))[FINGERPRINT].last_at == one.now
    connection.close()


async def test_a_commit_that_fails_loses_no_earlier_repeats_time(tmp_path: Path) -> None:
    """The time stays owed, although it had been sent to the database."""
    full = False

    def reached(step: Step) -> None:
        if full and step is Step.JOURNAL_BEFORE_COMMIT:
            raise journals.disk_full()

    one = Writer(journals.store(tmp_path / "j.db"), reached=reached)
    one.journal.start()
    await one.process(body())
    await one.process(body())
    await one.process(body(), after_s=0.2)
    repeated_at, full = one.now, True
    with pytest.raises(JournalError, match="disk is full"):
        await one.process(body(name="Other"), after_s=7)
    full = False
    await one.journal.close()
    view, connection = journals.view(tmp_path / "j.db")
    assert view.seen((FINGERPRINT,))[FINGERPRINT].last_at == repeated_at
    connection.close()


async def test_the_last_word_on_an_alert_in_one_commit_is_the_last(one: Writer) -> None:
    """A repeat with another start, then a resolve with yet another, both in one transaction, and nothing to decide."""
    one.policies = Policies(in_force=(), by_sha256={})
    await one.process(body())
    starts = ("2026-11-21T08:18:00Z", "2026-11-21T08:19:00Z")
    again, resolved = body(starts_at=starts[0]), body("resolved", starts_at=starts[1])
    await asyncio.gather(one.process(again), one.process(resolved))
    view = await one.journal.read(lambda view: view.seen((FINGERPRINT,)))
    assert view[FINGERPRINT].starts_at == datetime.fromisoformat(starts[1])


async def test_a_repeat_after_a_change_is_news(one: Writer) -> None:
    """Resolved behind the sender's back, by new policies, by a new start: each is planned again."""
    assert [await one.process(body()), await one.process(body()), await one.process(body())] == [1, 0, 0]

    def resolve(tx: Tx) -> None:
        (episode,) = tx.live_episodes()
        tx.move_episode(episode, EpisodeState.RESOLVING)

    await one.journal.write(resolve)
    assert (await one.process(body()), await one.states()) == (1, ["OPEN"])
    assert [await one.process(body()), await one.process(body())] == [0, 0]
    one.policies = policies(policy(), policy(name="second"))
    assert (await one.process(body()), await one.states()) == (1, ["OPEN", "OPEN"])
    assert await one.process(body("resolved")) == 4  # two episodes, each with a rollback that is not needed
    assert await one.states() == ["RESOLVING", "RESOLVING"]
    assert [await one.process(body("resolved")), await one.process(body("resolved"))] == [0, 0]
    assert await one.process(body(starts_at="2026-11-21T08:19:00Z")) == 2


async def test_an_alert_without_a_rule_is_noted_again_after_its_resolve(one: Writer) -> None:
    """Firing, repeats, resolved, firing."""
    one.policies = Policies(in_force=(), by_sha256={})
    bodies = [body(), body(), body(), body("resolved"), body("resolved"), body()]
    assert [await one.process(data) for data in bodies] == [1, 0, 0, 0, 0, 1]


async def test_a_body_that_was_dropped_is_stored_again(one: Writer, tmp_path: Path) -> None:
    """More than 400 days later, without a restart in between."""
    await one.process(body())
    one.clock.now += timedelta(days=450)
    await one.journal.write(lambda tx: tx.note(Decision(kind="test", sentence="a year later")))
    await one.journal.write(lambda tx: tx.prune(bodies_before=tx.now, decisions_before=tx.now))
    await one.process(body())
    assert journals.rows(tmp_path / "j.db", "SELECT count, body IS NULL FROM delivery") == [(1, False)]
