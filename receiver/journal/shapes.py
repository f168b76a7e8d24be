"""The shape of a journal: which tables it has, by number, and how a journal of an earlier shape is migrated.

`migrations/NNNN_NAME.sql` leads from shape NNNN - 1 to shape NNNN. All migrations, run in order, make a new journal.
A name may begin with `pre_` (it only adds, and the version before still runs) or `post_` (it removes what only the
version before needed). `PRAGMA user_version` holds the number. Before a migration the receiver copies the journal.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import functools
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from importlib import resources
from importlib.metadata import version
from itertools import count
from pathlib import Path

from msgspec import Struct

from receiver.steps import Reached, Step, pass_by

log = logging.getLogger(__name__)

FIRST = 1
"""The shape of journals that carry no number: the first version wrote none."""

_FILE = re.compile(r"(\d{4})_((?:pre_|post_)?[a-z0-9]+(?:_[a-z0-9]+)*)\.sql")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Tables = dict[str, list[str]]


class ShapeError(Exception):
    """The journal's shape is not one that this version can use; the message says what to do."""


class Migration(Struct, frozen=True, kw_only=True):
    """One step from the shape before to shape `number`."""

    number: int
    name: str
    sql: str

    def statements(self) -> Iterator[str]:
        """The SQL, one statement at a time."""
        statement = ""
        for line in self.sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                yield statement
                statement = ""


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, in order. The shape after the last one is this version's."""
    found: list[Migration] = []
    folder = resources.files("receiver.journal").joinpath("migrations")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        named = _FILE.fullmatch(file.name)
        if named is None or int(named[1]) != len(found) + 1:
            raise ValueError(f"{file.name}: is no migration with the number {len(found) + 1}")
        found.append(Migration(number=len(found) + 1, name=named[2], sql=file.read_text("utf-8")))
    return tuple(found)


def newest() -> int:
    """The shape that this version uses."""
    return len(migrations())


def shape_of(connection: sqlite3.Connection) -> int:
    """The number of a journal's shape; 0 for a database without tables.

    Raises ShapeError where the tables are those of no version that can be migrated, or of a newer version.
    """
    with _one_moment(connection):
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {} if number else _tables(connection)
    if number > newest():
        raise ShapeError(_newer(connection, number))
    if number:
        return int(number)
    if not tables:
        return 0
    if tables != _first_tables():
        raise ShapeError(
            "no version knows this shape, or it is from before shape 1, which no version migrates. Move the file "
            "away together with its -wal and -shm files: the receiver then begins a new journal. The receiver will not "
            "know the freezes of the old journal: remove their flags by hand"
        )
    return FIRST


@contextlib.contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read here is of one moment, while another process may be making the journal."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def require_newest(connection: sqlite3.Connection, *, earlier: bool = False) -> None:
    """Raise ShapeError where a journal cannot be read as it is. With `earlier`, an earlier shape is good enough."""
    shape = shape_of(connection)
    if shape == 0:
        raise ShapeError("there is no journal in this file yet. `freezeline serve` makes it when it starts")
    if shape < newest() and not earlier:
        raise ShapeError(
            f"the journal has shape {shape}, and this version reads shape {newest()}. `freezeline serve` of this "
            "version migrates the journal when it starts"
        )


def bring_up(connection: sqlite3.Connection, path: Path, reached: Reached = pass_by) -> None:
    """Give a journal the shape of this version. A journal that already has tables is copied first.

    Raises ShapeError where that is impossible. All migrations are one transaction, so the journal is then as before.
    """
    before = shape_of(connection)
    if before < newest():
        copy = _copied(connection, path, before, reached) if before else None
        try:
            _apply(connection, newest(), reached)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise ShapeError(_failed(path, before, error)) from error
        if copy is not None:
            about = {"from_shape": before, "to_shape": newest(), "copy": str(copy)}
            log.info("journal.migrated", extra=about)
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('version', ?) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        (version("freezeline"),),
    )


def _apply(connection: sqlite3.Connection, number: int, reached: Reached) -> None:
    """Migrate up to this shape in one transaction; nothing where another process has done this in the meantime."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations()[shape_of(connection) : number]:
            for statement in migration.statements():
                connection.execute(statement)
                reached(Step.MIGRATION_STATEMENT)
            connection.execute(f"PRAGMA user_version = {migration.number}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk is full
            connection.execute("ROLLBACK")
        raise
    reached(Step.MIGRATION_COMMITTED)


def _copied(connection: sqlite3.Connection, path: Path, shape: int, reached: Reached) -> Path:
    """Copy the journal durably and return the copy's path. An equal copy of an earlier try is taken as it is."""
    draft = path.with_name(f"{path.name}.copy.tmp")
    try:
        try:
            _write_copy(connection, draft)
            reached(Step.MIGRATION_COPY_WRITTEN)
            copy = _placed(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise ShapeError(_failed(path, shape, error)) from error
    reached(Step.MIGRATION_COPIED)
    return copy


def _write_copy(connection: sqlite3.Connection, draft: Path) -> None:
    """Write everything that is committed into a new file that only its owner may read."""
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = OFF")  # a draft that is cut off is written anew
        connection.backup(target)
    _sync(draft)


def _placed(draft: Path, path: Path) -> Path:
    """Give the draft the first free name, or the name of a copy that equals it."""
    first = path.with_name(f"{path.name}.before-{newest()}")
    for number in count(1):
        copy = first if number == 1 else first.with_name(f"{first.name}.{number}")
        try:
            copy.hardlink_to(draft)
        except FileExistsError:
            if not filecmp.cmp(copy, draft, shallow=False):
                continue
        return copy
    raise AssertionError


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _failed(path: Path, before: int, error: OSError | sqlite3.Error) -> str:
    megabytes = 2 * path.stat().st_size // 1_000_000 + 1
    full = "full" in str(error) or (isinstance(error, OSError) and error.errno in _FULL)
    remedy = (
        f"Free at least {megabytes} MB there"
        if full
        else f"The receiver's user must be able to write this directory, which needs {megabytes} MB of free space"
    )
    return (
        f"the journal could not be migrated from shape {before} to {newest()} in {path.parent}: {error}. {remedy}. "
        "Then start the receiver again. The journal is as before, and the earlier version can still run on it"
    )


def _newer(connection: sqlite3.Connection, number: int) -> str:
    (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
    copies = sorted(Path(file).parent.glob(f"{Path(file).name}.before-*"))
    usable = [copy for copy in copies if int(copy.name.partition(".before-")[2].partition(".")[0]) > newest()]
    restore = (
        f"restore the copy {usable[0].name} (docs/receiver.md, The journal)"
        if usable
        else f"restore the copy that was made before shape {newest() + 1}"
    )
    return (
        f"the journal has shape {number} and was last used by version {_version(connection)}; this is version "
        f"{version('freezeline')}, which knows shapes up to {newest()}. Start that version or a newer one, or {restore}"
    )


def _version(connection: sqlite3.Connection) -> str:
    """Which version of Freezeline used a journal last, as far as a shape of the future tells."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    except sqlite3.Error:
        row = None
    return str(row[0]) if row else "unknown"


def _tables(connection: sqlite3.Connection) -> Tables:
    """The columns of every table."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    )
    return {
        name: [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')] for (name,) in names.fetchall()
    }


@functools.cache
def _first_tables() -> Tables:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _apply(connection, FIRST, pass_by)
        return _tables(connection)
