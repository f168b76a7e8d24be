"""SQLite: backed up by SQLite itself while others write, checked by SQLite, and compared row by row."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from release.drill.backups import Contents, Part, Restored
from release.drill.experiment import DrillError

FILE = "database.sqlite"
PAGES = 1000
"""Pages that one step of a backup copies, before writers get their turn."""

BUSY_S = 10.0
TABLES = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
VIRTUAL = "CREATE VIRTUAL"
"""The rows of a virtual table lie in tables of its own, which are compared themselves."""


class SqliteStore(Struct, frozen=True, kw_only=True):
    """A database in a file."""

    name: str
    path: Path
    kind: str = "sqlite"

    def back_up(self, folder: Path) -> Contents:
        """Copy one consistent state. The digests are of the same state: one read transaction sees both."""
        with _opened(self.path, "ro") as source:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            copy(source, folder / FILE)
            contents = contents_of(source)
            source.execute("ROLLBACK")
        return contents

    def restore(self, folder: Path, scratch: Path) -> Restored:
        """Put the copy in the place of a database, without the journals of an older one, and check the database."""
        target = scratch / self.path.name
        restore_file(folder / FILE, target)
        return Restored(contents=checked(target))


def copy(source: sqlite3.Connection, target: Path) -> None:
    """Copy a database by SQLite's own backup. Raises DrillError."""
    try:
        with contextlib.closing(sqlite3.connect(target)) as destination:
            source.backup(destination, pages=PAGES)
    except sqlite3.Error as error:
        raise DrillError(f"the backup failed: {error}") from error


def restore_file(backup: Path, target: Path) -> None:
    """Copy a backup to its place, whole or not at all. Journals of the database that was there before go away."""
    draft = target.with_name(f".{target.name}.restored")
    shutil.copyfile(backup, draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    for journal in ("-wal", "-shm", "-journal"):
        target.with_name(target.name + journal).unlink(missing_ok=True)
    draft.replace(target)


def checked(path: Path) -> Contents:
    """Have SQLite check a database, and digest its rows. Raises DrillError where the database is not sound."""
    with _opened(path, "rw") as db:
        check_sound(db)
        return contents_of(db)


def check_sound(db: sqlite3.Connection, *, foreign_keys: bool = True) -> None:
    """Raise DrillError unless SQLite finds neither damage nor, where asked for, foreign keys that lead nowhere."""
    try:
        damage = [row[0] for row in db.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
        orphans = db.execute("PRAGMA foreign_key_check").fetchmany(5) if foreign_keys else []
    except sqlite3.Error as error:
        raise DrillError(f"the database cannot be checked: {error}") from error
    if damage:
        raise DrillError(f"integrity_check: {'; '.join(damage)}")
    if orphans:
        raise DrillError(f"foreign_key_check: rows of {', '.join(sorted({row[0] for row in orphans}))} lead nowhere")


def contents_of(db: sqlite3.Connection) -> Contents:
    """Rows and digest of each table. Raises DrillError."""
    try:
        found = db.execute(TABLES).fetchall()
        return {f"table {name}": _table(db, name) for name, sql in found if not sql.upper().startswith(VIRTUAL)}
    except sqlite3.Error as error:
        raise DrillError(f"the database cannot be read: {error}") from error


def _table(db: sqlite3.Connection, name: str) -> Part:
    quoted = '"' + name.replace('"', '""') + '"'
    columns = len(db.execute(f"PRAGMA table_info({quoted})").fetchall())
    order = ", ".join(str(number) for number in range(1, columns + 1))
    digest, count = hashlib.sha256(), 0
    rows = f"SELECT * FROM {quoted} ORDER BY {order}"  # noqa: S608 - the name is the database's own, and quoted
    for row in db.execute(rows):
        digest.update(repr(row).encode() + b"\n")
        count += 1
    return Part(count=count, sha256=digest.hexdigest())


@contextlib.contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """A connection whose transactions are our own. Raises DrillError."""
    try:
        uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)) as db:
            db.text_factory = _text
            yield db
    except sqlite3.Error as error:
        raise DrillError(f"{path}: {error}") from error


def _text(value: bytes) -> str:
    """Text of a column, also where a program stored bytes that are no UTF-8."""
    return value.decode("utf-8", "surrogateescape")
