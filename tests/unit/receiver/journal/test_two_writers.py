"""Two writers of one journal, each with a connection of its own: neither believes its memory, both see one truth."""

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from receiver.decide.by_hand import on_operator_unfreeze
from receiver.decide.model import NO_TRACE, Decision, EpisodeState, new_id
from receiver.journal import Journal, JournalError, SqliteStore, Tx, View, verify
from receiver.journal.record import record
from receiver.policy.model import Policies
from receiver.steps import Step, pass_by
from tests.tools import ROOT
from tests.unit.receiver.builders import NOW, policies, policy
from tests.unit.receiver.journal.writers import FINGERPRINT, Clock, Writer, body
from tests.waiting import until

NEWS_S = 20.0


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Writer, Writer]]:
    """Two writers of one journal with one clock."""
    clock = Clock()
    ours, theirs = (Writer(SqliteStore(tmp_path / "j.db", exclusive=False), clock=clock) for _ in range(2))
    ours.journal.start()
    theirs.journal.start()
    yield ours, theirs
    await ours.journal.close()
    await theirs.journal.close()


def noting(sentence: str) -> Callable[[Tx], int]:
    """Work that appends one decision."""
    return lambda tx: tx.note(Decision(kind="test", sentence=sentence))


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of a journal."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


async def test_a_delivery_that_the_other_writer_has_is_counted(pair: tuple[Writer, Writer], tmp_path: Path) -> None:
    """One row for one body, whoever stored it first; only the first copy decides anything."""
    ours, theirs = pair
    assert [await one.process(body()) for one in (ours, theirs, ours, theirs, theirs)] == [1, 0, 0, 0, 0]
    assert rows(tmp_path / "j.db", "SELECT id, count FROM delivery") == [(1, 5)]


async def test_deliveries_of_two_writers_never_share_a_number(pair: tuple[Writer, Writer], tmp_path: Path) -> None:
    """Numbers are made from the last one in the journal, not from the last one of this process."""
    bodies = [body(annotations={"summary": str(number)}) for number in range(60)]
    await asyncio.gather(*(pair[number % 2].process(data) for number, data in enumerate(bodies)))
    assert [number for (number,) in rows(tmp_path / "j.db", "SELECT id FROM delivery ORDER BY id")] == [*range(1, 61)]
    assert rows(tmp_path / "j.db", "SELECT count(DISTINCT sha256), sum(count) FROM delivery") == [(60, 60)]


async def test_an_episode_of_the_other_writer_is_known(pair: tuple[Writer, Writer]) -> None:
    """Opened by one, resolved by the other, opened again by the first, and never twice."""
    ours, theirs = pair
    assert [await ours.process(body()), await ours.process(body())] == [1, 0]
    assert [await theirs.process(body()), await theirs.states()] == [0, ["OPEN"]]
    assert await theirs.process(body("resolved")) == 2  # the rollback is no longer needed
    assert [await ours.process(body("resolved")), await ours.states()] == [0, ["RESOLVING"]]
    assert [await ours.process(body(starts_at="2026-11-21T08:19:00Z")), await theirs.states()] == [1, ["OPEN"]]
    assert await theirs.process(body(starts_at="2026-11-21T08:19:00Z")) == 0


async def test_a_message_that_changed_nothing_is_news_after_the_other_writers(pair: tuple[Writer, Writer]) -> None:
    """An alert without a rule: its firing is noted again after the resolve that only the other writer received."""
    ours, theirs = pair
    ours.policies = theirs.policies = Policies(in_force=(), by_sha256={})
    assert [await ours.process(body()) for _ in range(3)] == [1, 0, 0]
    assert await theirs.process(body("resolved")) == 0
    assert await ours.process(body()) == 1


async def test_a_freeze_that_the_other_writer_ended_is_not_repeated(pair: tuple[Writer, Writer]) -> None:
    """An operator unfreezes through one writer; a repeat of the alert through the other freezes nothing."""
    ours, theirs = pair
    await ours.process(body())

    def unfreeze(tx: Tx) -> None:
        episodes = tx.freezing_episodes("gateway")
        reasons = [reason for episode in episodes for reason in tx.freeze_reasons(episode=episode.id, held=True)]
        changes = on_operator_unfreeze(episodes, reasons, reason="a false alarm", by="alice")
        record(tx, changes, theirs.policies, ids=new_id, trace=NO_TRACE)

    await theirs.journal.write(unfreeze)
    assert await ours.process(body()) == 0
    assert await ours.journal.read(lambda view: view.freeze_reasons(held=True)) == []
    ended = await ours.journal.read(lambda view: view.freeze_reasons(held=False))
    assert [(reason.ended_by, reason.end_reason) for reason in ended] == [("alice", "a false alarm")]


async def test_a_freeze_of_the_other_writer_is_in_the_view_of_the_flag(pair: tuple[Writer, Writer]) -> None:
    """The view that a commit hands over names the freeze reasons of both writers."""
    ours, theirs = pair
    ours.policies = theirs.policies = policies(policy(), policy(name="second", rules=[SECOND]))
    views: list[list[str]] = []
    theirs.journal.on_held(lambda view: views.append([episode.alert for episode in view.episodes.values()]))
    await ours.process(body())
    await theirs.process(body(name="Other", fingerprint="other"))
    assert views == [["FailureRateHigh", "Other"]]


SECOND = {
    "id": "other",
    "match": [{"label": "alertname", "op": "=", "value": "Other"}],
    "do": ["freeze"],
    "unfreeze": {"resolved_for_s": 300, "all_of": [], "review_after_s": 86400},
}


async def test_the_last_message_is_the_last_of_either_writer(pair: tuple[Writer, Writer]) -> None:
    """Each repeat is on disk at once, and both writers know its time."""
    for number in range(6):
        await pair[number % 2].process(body(), after_s=0.5)
        for one in pair:
            assert await one.last_at() == (one.now, one.now)


async def test_a_commit_that_failed_leaves_no_time_behind(tmp_path: Path) -> None:
    """A repeat whose sender was told that the journal cannot be written is not remembered."""
    full = False

    def reached(step: Step) -> None:
        if full and step is Step.JOURNAL_BEFORE_COMMIT:
            raise sqlite3.OperationalError("database or disk is full")

    one = Writer(SqliteStore(tmp_path / "j.db", exclusive=False), reached=reached)
    one.journal.start()
    await one.process(body())
    stored_at, full = one.now, True
    with pytest.raises(JournalError, match="disk is full"):
        await one.process(body())
    full = False
    assert await one.last_at() == (stored_at, stored_at)
    await one.journal.close()
    assert rows(tmp_path / "j.db", "SELECT count FROM delivery") == [(1,)]


async def test_decisions_of_two_writers_make_one_chain(pair: tuple[Writer, Writer]) -> None:
    """Numbers follow each other without a gap, and each row has the hash of the one before, whoever wrote that."""
    numbers = await asyncio.gather(*(pair[n % 2].journal.write(noting(f"{n}")) for n in range(200)))
    assert sorted(numbers) == [*range(1, 201)]
    verdict = await pair[0].journal.read(lambda view: verify(view.all_decisions()))
    assert (verdict.rows, verdict.broken_at) == (200, None)
    for one in pair:
        await until(lambda one=one: one.journal.head == 200, NEWS_S, "both know the last number")  # type: ignore[misc]


async def test_work_that_failed_leaves_the_chain_to_the_other(pair: tuple[Writer, Writer]) -> None:
    """A number that was given to undone work is given anew."""

    def fail(tx: Tx) -> None:
        tx.note(Decision(kind="test", sentence="half done"))
        tx.live_episodes()
        raise ValueError("no")

    ours, theirs = pair
    assert await ours.journal.write(noting("one")) == 1
    with pytest.raises(ValueError, match="no"):
        await ours.journal.write(fail)
    assert await theirs.journal.write(noting("two")) == 2
    assert await ours.journal.write(noting("three")) == 3
    assert (await ours.journal.read(lambda view: verify(view.all_decisions()))).broken_at is None


async def test_later_decisions_have_later_times(tmp_path: Path) -> None:
    """The clock is read once the lock on the database is held, not before waiting for the lock."""

    class Ticking:
        def __init__(self) -> None:
            self.ticks = 0

        def __call__(self) -> datetime:
            self.ticks += 1
            return NOW + timedelta(seconds=self.ticks)

    clock = Ticking()
    ours, theirs = (
        Journal(SqliteStore(tmp_path / "j.db", exclusive=False), clock=clock, reached=pass_by) for _ in range(2)
    )
    ours.start()
    theirs.start()
    for _ in range(20):
        await asyncio.gather(*(one.write(noting("x")) for one in (ours, theirs)))
    times = await ours.read(lambda view: [one.at for one in view.decisions()])
    await ours.close()
    await theirs.close()
    assert len(times) == 40
    assert times == sorted(times)


async def test_commits_of_the_other_writer_wake_listeners(pair: tuple[Writer, Writer]) -> None:
    """With the new number, and as something that worker and reconciler have to look at; our own only once."""
    ours, theirs = pair
    news: list[tuple[int, bool]] = []
    ours.journal.on_commit(lambda head, acted: news.append((head, acted)))
    await ours.journal.write(noting("ours"))
    assert news == [(1, False)]
    await theirs.journal.write(noting("theirs"))
    await until(lambda: len(news) > 1, NEWS_S, "the other commit is noticed")
    await ours.journal.write(noting("ours"))
    assert news == [(1, False), (2, True), (3, False)]


async def test_commits_of_the_other_writer_are_noticed_by_a_busy_one(pair: tuple[Writer, Writer]) -> None:
    """A writer that is never idle looks after each commit of its own."""
    ours, theirs = pair
    news: list[tuple[int, bool]] = []
    await theirs.journal.write(noting("theirs"))
    ours.journal.on_commit(lambda head, acted: news.append((head, acted)))
    await ours.journal.write(noting("ours"))
    await until(lambda: (2, True) in news, NEWS_S, "noticed")
    assert news == [(2, False), (2, True)]


async def test_a_key_is_stored_once_by_either(pair: tuple[Writer, Writer]) -> None:
    """A notice on the event stream has one number, whoever publishes it again."""
    decision = Decision(kind="notice", sentence="n")
    numbers = [await one.journal.write(lambda tx: tx.publish("k", {}, decision)) for one in (*pair, *pair)]
    assert numbers == [1, 1, 1, 1]


async def test_a_body_that_the_other_writer_dropped_is_stored_again(
    pair: tuple[Writer, Writer], tmp_path: Path
) -> None:
    """A year later its row is gone, and its number may be another body's."""
    ours, theirs = pair
    await ours.process(body())
    ours.clock.now = NOW + timedelta(days=450)
    await theirs.journal.write(noting("a year later"))
    await theirs.journal.write(lambda tx: tx.prune(bodies_before=tx.now, decisions_before=tx.now))
    assert rows(tmp_path / "j.db", "SELECT count(*) FROM delivery") == [(0,)]
    await ours.process(body())
    assert rows(tmp_path / "j.db", "SELECT count, body IS NULL FROM delivery") == [(1, 0)]


async def test_two_processes_write_one_journal(tmp_path: Path) -> None:
    """Each receives the same hundred messages at once: one chain, one live episode, every body counted twice."""
    path = tmp_path / "j.db"
    command = (sys.executable, "-m", "tests.unit.receiver.journal.writer_process", str(path), "100")
    pipe = asyncio.subprocess.PIPE
    started = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(2)
    ]
    for process in started:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    outputs = await asyncio.gather(*(asyncio.wait_for(process.communicate(b"go\n"), 60) for process in started))
    assert [process.returncode for process in started] == [0, 0], outputs
    assert rows(path, "SELECT count(*), min(count), max(count) FROM delivery") == [(100, 2, 2)]
    assert rows(path, "SELECT count(*) FROM episode WHERE state IN ('OPEN', 'RESOLVING')") == [(1,)]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        verdict = verify(View(connection).all_decisions())
    assert verdict.broken_at is None
    assert verdict.rows >= 50  # each resolve and each firing after it decides something
    episode_states = {state for (state,) in rows(path, "SELECT state FROM episode")}
    assert episode_states <= {state.value for state in EpisodeState}
    assert rows(path, "SELECT fingerprint FROM alert_seen") == [(FINGERPRINT,)]
