"""`freezeline journal migrate`: moves the journal of a stopped receiver from its file into PostgreSQL, or back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from receiver.journal.move import Moved, copy
from receiver.journal.postgres import PostgresStore
from receiver.journal.sqlite import SqliteStore
from receiver.journal.store import Connection, JournalError, errors_of
from receiver.steps import pass_by


def into_postgres(path: Path, dsn: str) -> Moved:
    """Move a file's journal into an empty database, and set the file aside as `journal.db.moved`. Raises JournalError.

    The caller holds the lock on the state directory.
    """
    if not path.exists():
        raise JournalError(f"{path}: there is no journal")
    file, server = SqliteStore(path), PostgresStore(dsn, require_standby=False)
    with _opened(file) as source, _opened(server) as target, errors_of(server), errors_of(file):
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
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    file, server = SqliteStore(draft), PostgresStore(dsn, require_standby=False)
    try:
        with _opened(server) as source, _opened(file) as target, errors_of(server), errors_of(file):
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
