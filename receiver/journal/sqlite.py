"""The journal in a SQLite file: WAL mode with `synchronous=FULL`."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from freezeline.write_ahead import write_ahead
from receiver.journal import shapes
from receiver.journal.opening import LOCK_WAIT_S, connect
from receiver.journal.same_file import SameFile
from receiver.journal.store import Connection, JournalError, errors_of
from receiver.steps import Reached

CHECKPOINT_PAGES = 1000
"""Pages after which an idle writer moves the write-ahead log into the database.

A log that begins anew overwrites itself. A growing log makes the file system record the new size at every commit, which
takes twice the time (measured). The writer therefore keeps the log short.
"""

BUSY_CHECKPOINT_PAGES = 2 * CHECKPOINT_PAGES
"""Pages after which a busy writer does so too."""

LOG_PAGES_MAX = 3 * CHECKPOINT_PAGES
"""Pages after which the writer lets this process's readers wait, so that the log begins anew."""

READERS_WAIT_MS = 100
"""How long the writer then waits for readers of other processes."""

PAGES_KIB = 32 * 1024
"""SQLite's page cache for a shared journal: each transaction looks through the newest bodies."""

OWN_PAGES_KIB = 400
"""SQLite's page cache for a journal of one receiver, whose writer hardly reads: what it needs is in memory.

So small a cache stays in the processor's own cache. With the usual 2,000 KiB, the receiver took 3 to 5 % fewer webhooks
(measured).
"""

APPLICATION_ID = 0x465A4C4E
"""Marks the file as ours for tools such as `file`: "FZLN"."""

DAMAGED = (
    ". Look at the disk. Then put a copy of the journal in its place, or move the file away together with its -wal and "
    "-shm files: the receiver then begins a new journal. The receiver will not know the freezes of the old journal: "
    "remove their flags by hand"
)


class SqliteStore:
    """One file. `exclusive` says that no other process writes the file. Readers hold `reading` while they read."""

    several = False
    leader = ""
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    again: tuple[type[Exception], ...] = ()

    def __init__(self, path: Path, *, exclusive: bool = True) -> None:
        self._path = path
        self._exclusive = exclusive
        self._log_pages = 0
        self._files: SameFile | None = None
        self.reading = threading.Lock()

    @property
    def knows(self) -> int:
        """The last shape that this version knows."""
        return shapes.newest()

    @property
    def shown(self) -> str:
        """The path of the file."""
        return str(self._path)

    @property
    def promise(self) -> str:
        """The file is synced."""
        return "on the disk of this machine"

    @property
    def exclusive(self) -> bool:
        """Whether this receiver alone writes the file."""
        return self._exclusive

    def told(self, error: Exception) -> str:
        """A damaged file comes with what to do."""
        return f"{self._path}: {error}{DAMAGED if self.is_damaged(error) else ''}"

    def is_damaged(self, error: Exception) -> bool:
        """A plain DatabaseError, of which the faults of statements are subclasses."""
        return type(error) is sqlite3.DatabaseError

    def has_failed(self, error: Exception) -> bool:
        """The file is damaged, or SQLite cannot read or write it."""
        return self.is_damaged(error) or isinstance(error, sqlite3.OperationalError)

    def now(self, own: datetime) -> datetime:
        """All writers are on this machine."""
        return own

    def open(self, reached: Reached) -> Connection:
        """The writer's connection. The file is made or migrated. Raises JournalError."""
        try:
            # Nobody else may read the alerts' labels. SQLite gives its side files the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            writer = connect(self._path)
            shapes.bring_up(writer, self._path, reached)
            write_ahead(writer)
            writer.execute("PRAGMA synchronous = FULL")
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            if writer.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            writer.execute(f"PRAGMA cache_size = -{OWN_PAGES_KIB if self._exclusive else PAGES_KIB}")
            self._files = SameFile(self._path)
        except (sqlite3.Error, OSError, shapes.ShapeError) as error:
            raise JournalError(self.told(error)) from error
        return writer

    def reader(self) -> Connection:
        """A connection for reading only. Raises JournalError."""
        with errors_of(self):
            return connect(self._path, read_only=True)

    def checked_reader(self, *, earlier: bool = False) -> Connection:
        """A connection for reading a file of this version's shape, or of an `earlier` one. Raises JournalError."""
        if not self._path.exists():
            raise JournalError(
                f"{self._path}: there is no journal. If the receiver has a database, name it with --postgres"
            )
        try:
            reader = connect(self._path, read_only=True)
            try:
                shapes.require_newest(reader, earlier=earlier)
            except BaseException:
                reader.close()
                raise
        except (sqlite3.Error, shapes.ShapeError) as error:
            raise JournalError(self.told(error)) from error
        return reader

    def begin_reading(self, reader: Connection) -> None:
        """Begin a transaction."""
        reader.execute("BEGIN")

    def begin_alone(self, writer: Connection) -> None:
        """Take the file's write lock: nothing that is read can grow old before the commit."""
        writer.execute("BEGIN IMMEDIATE")

    def ending(self, writer: Connection, head: tuple[int, str] | None, *, acted: bool) -> None:
        """Nothing: the tables say everything."""

    def version(self, writer: Connection) -> int:
        """SQLite counts the commits of other connections."""
        return int(writer.execute("PRAGMA data_version").fetchone()[0])

    def listen(self, wake: Callable[[], None]) -> None:
        """Nothing: the writer looks every half second."""

    def take_loss(self) -> str:
        """Nothing: `committed` finds a lost file."""
        return ""

    def committed(self) -> None:
        """Raise JournalLostError if somebody deleted, replaced or truncated the file."""
        if self._files is not None:
            self._files.check()

    def rest(self, writer: Connection, *, pages: int, idle: bool) -> None:
        """Move the log into the database now and then, but only after the callers have their answers.

        The move syncs files, and a flag that is written at that moment would have to wait: so it awaits an idle moment.

        The log begins anew only while nobody reads from the log. In a storm somebody always does, so the writer takes
        a moment without readers before the log is long.
        """
        self._log_pages += pages
        if self._log_pages < (CHECKPOINT_PAGES if idle else BUSY_CHECKPOINT_PAGES):
            return
        self._log_pages = 0
        ((_, length, _),) = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if length > LOG_PAGES_MAX:
            with self.reading:
                writer.execute(f"PRAGMA busy_timeout = {READERS_WAIT_MS}")
                writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                writer.execute(f"PRAGMA busy_timeout = {1000 * LOCK_WAIT_S}")

    def close(self) -> None:
        """Close the files that `committed` looks at."""
        if self._files is not None:
            self._files.close()
