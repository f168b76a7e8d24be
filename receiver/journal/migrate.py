"""`freezeline journal migrate`: moves the journal of a stopped receiver from its file into PostgreSQL, or back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg

from receiver.journal.move import Moved, copy
from receiver.journal.opening import with_hint
from receiver.journal.postgres import PostgresStore
from receiver.journal.postgres_remedies import with_remedies
from receiver.journal.sqlite import SqliteStore
from receiver.journal.store import Connection, JournalError
from receiver.steps import pass_by


def into_postgres(path: Path, dsn: str) -> Moved:
    """Move a file's journal into an empty database, and set the file aside as `journal.db.moved`. Raises JournalError.

    The caller holds the lock on the state directory.
    """
    if not path.exists():
        raise JournalError(f"{path}: there is no journal")
    server = PostgresStore(dsn, require_standby=False)
    with _opened(SqliteStore(path)) as source, _opened(server) as target, _told(server, path):
        source.execute("BEGIN IMMEDIATE")
        server.begin_moving(target)
        moved = copy(source, target)
        server.end_moving(target, moved.head)
        target.commit()
        source.rollback()
    path.rename(path.with_name(f"{path.name}.moved"))
    return moved


def into_file(path: Path, dsn: str) -> Moved:
    """Move a database's journal into a new file. The database keeps its rows. Raises JournalError."""
    if path.exists():
        raise JournalError(f"{path}: there is a journal already. Move the file away first")
    server = PostgresStore(dsn, require_standby=False)
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        with _opened(server) as source, _opened(SqliteStore(draft)) as target, _told(server, path):
            server.begin_moving(source)
            target.execute("BEGIN IMMEDIATE")
            moved = copy(source, target)
            target.commit()
            source.rollback()
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        draft.rename(path)
    finally:
        for name in (draft.name, f"{draft.name}-wal", f"{draft.name}-shm"):
            draft.with_name(name).unlink(missing_ok=True)
    return moved


@contextlib.contextmanager
def _opened(store: SqliteStore | PostgresStore) -> Iterator[Connection]:
    connection = store.open(pass_by)
    try:
        yield connection
    finally:
        connection.close()
        store.close()


@contextlib.contextmanager
def _told(server: PostgresStore, path: Path) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise JournalError(f"{server.shown}: {with_remedies([str(error)])}") from error
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {with_hint(error)}") from error
