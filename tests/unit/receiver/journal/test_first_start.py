"""The start that makes a journal, while others open the same file."""

import contextlib
import sqlite3
from pathlib import Path

from receiver.journal import SqliteStore, shapes
from receiver.steps import pass_by
from tests.at_once import at_once


def opened(path: Path) -> None:
    """Open a journal as a receiver does that shares the journal."""
    store = SqliteStore(path, exclusive=False)
    store.open(pass_by).close()
    store.close()


def test_receivers_that_start_at_once_make_one_journal(tmp_path: Path) -> None:
    """Whichever makes the tables, all of them have it."""
    for number in range(40):
        assert at_once(opened, tmp_path / f"{number}.db") == []


def test_a_journal_that_is_made_meanwhile_is_not_of_an_unknown_shape(tmp_path: Path) -> None:
    """The number and the tables are read at one moment: before or after the tables are made."""
    path = tmp_path / "journal.db"
    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as maker,
    ):
        reader.execute("PRAGMA journal_mode = WAL")
        made: list[str] = []

        def between(statement: str) -> None:
            if "sqlite_master" in statement and not made:
                made.append(statement)
                shapes.bring_up(maker, path)

        reader.set_trace_callback(between)
        assert shapes.shape_of(reader) == 0
        assert len(made) == 1
        assert shapes.shape_of(reader) == shapes.newest()
