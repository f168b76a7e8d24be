"""Opens the database of a journal: a connection to a SQLite file, and the store of a PostgreSQL server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from freezeline import extras
from receiver.journal.store import JournalError, Store
from receiver.leading import LEASE_S

LOCK_WAIT_S = 10
"""How long a connection waits for another process's lock."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection of one thread at a time, whose transactions the caller begins and ends."""
    uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCK_WAIT_S, cached_statements=512
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def postgres_store(dsn: str, *, require_standby: bool, place: str = "", alive_s: float = LEASE_S) -> Store:
    """The journal in a PostgreSQL database. Raises JournalError if the extra is not installed.

    A receiver names its place. Another receiver that gave no sign for `alive_s` counts as ended.
    """
    try:
        from receiver.journal.postgres import PostgresStore  # noqa: PLC0415 - most receivers have no PostgreSQL
        from receiver.journal.postgres_shapes import Runs  # noqa: PLC0415 - the same
    except ImportError as error:
        raise JournalError(f"{error}: {extras.install('postgres')}") from error
    return PostgresStore(dsn, require_standby=require_standby, runs=Runs(place=place, alive_s=alive_s))
