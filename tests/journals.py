"""Tests that use a journal run three times: as a file's only writer, as one of several, and in PostgreSQL.

A module asks for all three with `pytestmark = pytest.mark.usefixtures("sharing")` (tests/conftest.py). The choice is
the receiver's own settings, as environment variables: a receiver in another process inherits them, and a test that
opens a journal by itself passes `store(path)`. A test that looks into SQLite itself has the mark `sqlite`.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from receiver.journal import SqliteStore, Store, View, open_view, postgres_store
from receiver.journal.postgres import PostgresStore
from receiver.journal.postgres_clock import ServerClock
from receiver.journal.store import Connection

VARIABLE = "FREEZELINE_JOURNAL_EXCLUSIVE"
SERVER = "FREEZELINE_JOURNAL_POSTGRES"
EXCLUSIVE, SHARED, POSTGRES = "exclusive", "shared", "postgres"

REFUSED = (sqlite3.IntegrityError, psycopg.IntegrityError)
"""What the databases raise for a row that contradicts another."""

_databases: dict[tuple[str, Path], str] = {}


def exclusive() -> bool:
    """Whether the journal of the running test has one writer only; true where the test did not ask for more."""
    return os.environ.get(VARIABLE, "true") == "true" and SERVER not in os.environ


class PassedClock(ServerClock):
    """No clock of a server: the clock that a test passes to its journal counts, as in a file."""

    def read(self, at: datetime) -> None:
        """Forget the server's time."""


def store(path: Path) -> Store:
    """The journal of the running test: the file, or a database of its own in its place."""
    dsn = database(path)
    if dsn:
        return PostgresStore(dsn, require_standby=False, clock=PassedClock())
    return SqliteStore(path, exclusive=exclusive())


def view(path: Path) -> tuple[View, Connection]:
    """The journal of the running test, for reading only."""
    return open_view(path, postgres=database(path))


@contextlib.contextmanager
def connected(path: Path) -> Iterator[Connection]:
    """A connection past the journal. What it changes is committed at the end."""
    dsn = database(path)
    opened: Connection = (
        postgres_store(dsn, require_standby=False).reader()
        if dsn
        else sqlite3.connect(path, isolation_level=None, timeout=10)
    )
    with contextlib.closing(opened) as connection:
        connection.execute("BEGIN")
        yield connection
        connection.commit()


def rows(path: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The rows of one query to the journal of the running test."""
    with connected(path) as connection:
        return connection.execute(sql, parameters).fetchall()


def disk_full() -> Exception:
    """What the database of the running test raises where its disk is full."""
    text = "database or disk is full"
    return psycopg.errors.DiskFull(text) if SERVER in os.environ else sqlite3.OperationalError(text)


def environment(path: Path) -> dict[str, str]:
    """The variables with which a receiver in another process keeps its journal as the running test does."""
    dsn = database(path)
    return {SERVER: dsn} if dsn else {}


def database(path: Path) -> str:
    """The connection string of the database that stands for a file; "" where the file is the journal."""
    first = os.environ.get(SERVER, "")
    if not first:
        return ""
    taken = [key for key in _databases if key[0] == first]
    if not taken:
        return _databases.setdefault((first, path), first)
    if (first, path) not in _databases:
        from tests.postgres import beside  # noqa: PLC0415 - only a test in PostgreSQL needs a PostgreSQL

        _databases[first, path] = beside(first)
    return _databases[first, path]
