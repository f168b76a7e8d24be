"""A journal whose file the disk has damaged: nobody gets a traceback, and no sender an answer that ends its tries."""

import asyncio
import contextlib
import io
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from freezeline.cli import main
from receiver.decide.model import Decision
from receiver.journal import Journal, JournalError, SqliteStore, Tx
from receiver.steps import pass_by
from tests.unit.receiver.conftest import now
from tests.unit.receiver.journal.writers import body


def note(tx: Tx) -> int:
    """A piece of work."""
    return tx.note(Decision(kind="x", sentence="y"))


async def damaged(path: Path, table: str) -> None:
    """A journal with one decision. The first page of a table, and of each of its indexes, is nonsense."""
    journal = Journal(SqliteStore(path), clock=now, reached=pass_by)
    journal.start()
    await journal.write(note)
    await journal.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = ?", (table,)).fetchall()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    assert roots
    with path.open("r+b") as file:
        for (root,) in roots:
            file.seek((root - 1) * page_bytes)
            file.write(b"\x55" * page_bytes)


async def test_the_journal_fails_and_not_the_work(tmp_path: Path) -> None:
    """Senders hear that the journal cannot be written, and send again."""
    path = tmp_path / "j.db"
    await damaged(path, "episode")
    journal = Journal(SqliteStore(path), clock=now, reached=pass_by)
    journal.start()
    group: list[asyncio.Future[Any]] = [journal.write(note), journal.write(lambda tx: tx.live_episodes())]
    answers = await asyncio.gather(*group, return_exceptions=True)
    said = f"{path}: database disk image is malformed. Look at the disk."
    assert [str(answer).startswith(said) for answer in answers] == [True] * 2
    assert [type(answer) for answer in answers] == [JournalError] * 2
    assert journal.damaged.startswith(said)
    await journal.close()


async def test_damage_stays_known(tmp_path: Path) -> None:
    """Whatever does not touch the damaged page still works, and says nothing of the disk."""
    path = tmp_path / "j.db"
    await damaged(path, "episode")
    journal = Journal(SqliteStore(path), clock=now, reached=pass_by)
    journal.start()
    await journal.probe()
    assert journal.damaged == ""
    with pytest.raises(JournalError, match=r"malformed\. Look at the disk\."):
        await journal.read(lambda view: view.live_episodes())
    await journal.probe()
    assert journal.damaged.startswith(f"{path}: database disk image is malformed. Look at the disk.")
    await journal.close()


async def test_the_start_says_what_to_do(tmp_path: Path) -> None:
    """The receiver cannot go on with a chain whose end it cannot read."""
    await damaged(tmp_path / "j.db", "decision")
    journal = Journal(SqliteStore(tmp_path / "j.db"), clock=now, reached=pass_by)
    with pytest.raises(JournalError, match=r"j\.db: database disk image is malformed\. Look at the disk\."):
        journal.start()


@pytest.mark.parametrize(
    "command,table",
    [
        ("journal", "decision"),
        ("journal --verify", "decision"),
        ("incidents", "episode"),
        ("replay --policy . -", "episode"),
    ],
)
async def test_a_command_says_what_to_do(
    command: str, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file is no broken chain, which would be exit 1."""
    await damaged(tmp_path / "journal.db", table)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body())))
    assert main([*command.split(), "--state", str(tmp_path)]) == 3
    assert f"{tmp_path / 'journal.db'}: database disk image is malformed. Look at the disk." in capsys.readouterr().err
