"""Opens a journal's database: for its writer, and for reading only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from receiver.journal import shapes
from receiver.journal.view import View

LOCK_WAIT_S = 10
"""How long a connection waits for another process's lock."""


class JournalError(Exception):
    """The journal could not be written, and nothing of the work was kept."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection of one thread at a time, whose transactions the caller begins and ends."""
    uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCK_WAIT_S, cached_statements=512
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def open_view(path: Path, *, earlier: bool = False) -> tuple[View, sqlite3.Connection]:
    """Open a journal for reading only, also beside a running receiver. The caller closes the connection.

    With `earlier`, a journal of an earlier shape is read too, because decisions, deliveries and policies are alike in
    all shapes. Raises JournalError if there is no journal, or if the journal must be migrated first.
    """
    try:
        connection = connect(path, read_only=True)
        try:
            shapes.require_newest(connection, earlier=earlier)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, shapes.ShapeError) as error:
        raise JournalError(f"{path}: {error}") from error
    return View(connection), connection
