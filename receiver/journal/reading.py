"""Reads a journal past its receiver, for commands and replays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from receiver.journal.opening import postgres_store
from receiver.journal.sqlite import SqliteStore
from receiver.journal.store import Connection, Store, errors_of
from receiver.journal.view import View


def open_view(path: Path, *, postgres: str = "", earlier: bool = False) -> tuple[View, Connection]:
    """Open a journal for reading only, also beside a running receiver. The caller closes the connection.

    The journal is the file, or with `postgres`, a connection string, the journal in that database. With `earlier`, a
    file of an earlier shape is read too. Raises JournalError if there is no journal, or if the journal must be migrated
    first.
    """
    connection = _store(path, postgres).checked_reader(earlier=earlier)
    return View(connection), connection


@contextlib.contextmanager
def reading(path: Path, *, postgres: str = "", earlier: bool = False) -> Iterator[View]:
    """A journal that is open for reading only, as `open_view` opens it.

    Raises JournalError, also for what goes wrong while the journal is read.
    """
    store = _store(path, postgres)
    with contextlib.closing(store.checked_reader(earlier=earlier)) as connection, errors_of(store):
        yield View(connection)


def _store(path: Path, postgres: str) -> Store:
    return postgres_store(postgres, require_standby=False) if postgres else SqliteStore(path)
