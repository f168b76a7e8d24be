"""A journal that is deleted, replaced or truncated under its writer: no work is called stored any more."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.decide.model import Decision
from receiver.journal import Journal, JournalError, SqliteStore, Tx
from receiver.journal.store import Connection
from receiver.steps import Step, pass_by
from tests.waiting import until, wait_until


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def note(tx: Tx) -> int:
    """A piece of work."""
    return tx.note(Decision(kind="x", sentence="y"))


def delete(path: Path) -> None:
    """Somebody tidies up."""
    path.unlink()


def replace(path: Path) -> None:
    """A copy of the journal takes its place."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


def truncate(path: Path) -> None:
    """The file is emptied."""
    with path.open("r+b") as file:
        file.truncate(0)


def overwrite(path: Path) -> None:
    """The file's header is gone."""
    with path.open("r+b") as file:
        file.write(b"\0" * 100)


LOSSES = [
    (damage, suffix)
    for damage in (delete, replace, truncate, overwrite)
    for suffix in ("", "-wal")
    if (damage, suffix) != (truncate, "-wal")  # SQLite itself empties its log at times; see `overwrite`.
]


@pytest.mark.parametrize("damage,suffix", LOSSES, ids=lambda value: getattr(value, "__name__", value or "db"))
async def test_nothing_is_stored_into_nowhere(damage: Callable[[Path], None], suffix: str, tmp_path: Path) -> None:
    """The next piece of work fails, and whoever opened the journal is told."""
    journal = Journal(SqliteStore(tmp_path / "j.db"), clock=now, reached=pass_by)
    ended: list[str] = []
    journal.on_broken(lambda: ended.append(journal.broken))
    journal.start()
    assert await journal.write(note) == 1
    if not suffix:  # Otherwise everything would still stand in the log.
        with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    damage(tmp_path / f"j.db{suffix}")
    with pytest.raises(JournalError, match=r"j\.db"):
        await journal.write(note)
    await until(lambda: ended, 5, "the listener is called")
    assert "the writer died" in ended[0]
    with pytest.raises(JournalError):
        await journal.probe()
    await journal.close()


async def test_a_checkpoint_that_fails_ends_nothing(tmp_path: Path) -> None:
    """Only the log cannot move into the database: the next work is stored all the same."""
    store = SqliteStore(tmp_path / "j.db")
    journal = Journal(store, clock=now, reached=pass_by, group_max=1)
    journal.start()
    store.rest = failing  # type: ignore[method-assign, assignment] # no disk fails for a checkpoint alone
    assert await journal.write(note) == 1
    assert await journal.write(note) == 2
    assert journal.broken == ""
    await journal.close()


def failing(_writer: Connection, *, pages: int, idle: bool) -> None:
    """A checkpoint without space."""
    raise sqlite3.OperationalError("database or disk is full")


async def test_a_listener_that_fails_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    """The others are called, and the work is answered."""
    journal = Journal(SqliteStore(tmp_path / "j.db"), clock=now, reached=pass_by)
    journal.start()
    heard: list[int] = []

    def bad(_head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        raise RuntimeError("odd")

    journal.on_commit(bad)
    journal.on_commit(lambda head, _acted: heard.append(head))
    assert await journal.write(note) == 1
    assert heard == [1]
    await journal.close()


@pytest.mark.parametrize("turns", [0, 20], ids=["not yet handed over", "handed over"])
async def test_nobody_waits_for_a_dead_writer(turns: int, tmp_path: Path) -> None:
    """Work that comes while the writer makes its last commit gets an answer too, and the receiver can end."""
    begun, may_commit = threading.Event(), threading.Event()

    def wait(step: Step) -> None:
        if step is Step.JOURNAL_BEFORE_COMMIT:
            begun.set()
            assert may_commit.wait(10)

    journal = Journal(SqliteStore(tmp_path / "j.db"), clock=now, reached=wait)
    journal.start()
    works = [journal.write(note)]
    await until(begun.is_set, 5, "the writer is about to commit")
    works.append(journal.write(note))
    for _ in range(turns):
        await asyncio.sleep(0)
    (tmp_path / "j.db").unlink()
    may_commit.set()
    # No turn of the event loop from here on: the writer is dead before the loop can hand work over.
    wait_until(lambda: journal.broken, 5, "the writer is dead")
    _, waiting = await asyncio.wait(works, timeout=5)
    assert not waiting
    for work in works:
        with pytest.raises(JournalError, match="the writer died"):
            work.result()
    await journal.close()


async def test_a_journal_that_closes_takes_no_work(tmp_path: Path) -> None:
    """What was handed in before is stored. Later work is refused; otherwise its caller would wait for ever."""
    journal = Journal(SqliteStore(tmp_path / "j.db"), clock=now, reached=pass_by)
    journal.start()
    early = journal.write(note)
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    with pytest.raises(JournalError, match="not open"):
        journal.write(note)
    await closing
    assert await early == 1
    with pytest.raises(JournalError, match="not open"):
        journal.write(note)
    with pytest.raises(JournalError, match="not open"):
        await journal.read(lambda view: view.head())
