"""Reads a journal past its receiver, for commands and replays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from receiver.journal.opening import open_view, postgres_store, with_hint
from receiver.journal.sqlite import SqliteStore
from receiver.journal.store import JournalError, Store
from receiver.journal.view import View


@contextlib.contextmanager
def reading(path: Path, *, postgres: str = "", earlier: bool = False) -> Iterator[View]:
    """A journal that is open for reading only, as `open_view` opens it.

    Raises JournalError, also for what goes wrong while the journal is read.
    """
    view, connection = open_view(path, postgres=postgres, earlier=earlier)
    try:
        with _errors_of(postgres_store(postgres, require_standby=False) if postgres else SqliteStore(path)):
            yield view
    finally:
        connection.close()


@contextlib.contextmanager
def _errors_of(store: Store) -> Iterator[None]:
    try:
        yield
    except store.errors as error:
        raise JournalError(f"{store.shown}: {with_hint(error)}") from error
