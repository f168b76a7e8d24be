"""Opens a journal's database: a SQLite file for its writer, and either database for reading only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from freezeline import extras
from receiver.journal import shapes
from receiver.journal.store import ALIVE_S, Connection, JournalError, Store
from receiver.journal.view import View

LOCK_WAIT_S = 10
"""How long a connection waits for another process's lock."""


DAMAGED = (
    ". Look at the disk. Then put a copy of the journal in its place, or move the file away together with its -wal and "
    "-shm files: the receiver then begins a new journal. The receiver will not know the freezes of the old journal: "
    "remove their flags by hand"
)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection of one thread at a time, whose transactions the caller begins and ends."""
    uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCK_WAIT_S, cached_statements=512
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def open_view(path: Path, *, postgres: str = "", earlier: bool = False) -> tuple[View, Connection]:
    """Open a journal for reading only, also beside a running receiver. The caller closes the connection.

    The journal is the file, or with `postgres`, a connection string, the journal in that database.

    With `earlier`, a journal of an earlier shape is read too, because decisions, deliveries and policies are alike in
    all shapes. Raises JournalError if there is no journal, or if the journal must be migrated first.
    """
    if postgres:
        server = _postgres_connection(postgres)
        return View(server), server
    if not path.exists():
        raise JournalError(f"{path}: there is no journal. If the receiver has a database, name it with --postgres")
    try:
        connection = connect(path, read_only=True)
        try:
            shapes.require_newest(connection, earlier=earlier)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, shapes.ShapeError) as error:
        raise JournalError(f"{path}: {with_hint(error)}") from error
    return View(connection), connection


def with_hint(error: Exception) -> str:
    """What a database says, and what to do about a file that SQLite cannot mend."""
    return f"{error}{DAMAGED}" if is_damage(error) else str(error)


def is_damage(error: Exception) -> bool:
    """Whether a file is damaged: a plain DatabaseError, of which the faults of statements are subclasses."""
    return type(error) is sqlite3.DatabaseError


def postgres_store(dsn: str, *, require_standby: bool, place: str = "", alive_s: float = ALIVE_S) -> Store:
    """The journal in a PostgreSQL database. Raises JournalError if the extra is not installed.

    A receiver names its place. Another receiver that gave no sign for `alive_s` counts as ended.
    """
    try:
        from receiver.journal.postgres import PostgresStore  # noqa: PLC0415 - most receivers have no PostgreSQL
        from receiver.journal.postgres_shapes import Runs  # noqa: PLC0415 - the same
    except ImportError as error:
        raise JournalError(f"{error}: {extras.install('postgres')}") from error
    return PostgresStore(dsn, require_standby=require_standby, runs=Runs(place=place, alive_s=alive_s))


def _postgres_connection(dsn: str) -> Connection:
    """A connection for reading a journal that has this version's shape. Raises JournalError."""
    return postgres_store(dsn, require_standby=False).checked_reader()
