"""The shape of a journal in PostgreSQL: `postgres_migrations/NNNN_NAME.sql`, run in order, make or migrate its tables.

The table `meta` holds the number of the shape. One receiver at a time migrates, in one transaction.
"""

from __future__ import annotations

import functools
from importlib import resources
from importlib.metadata import version

from receiver.journal.postgres_connection import Wire
from receiver.journal.store import JournalError

LOCK = 0x465A4C4E
"""The advisory lock of whoever migrates: "FZLN"."""

_SHAPE = "SELECT value FROM meta WHERE key = 'shape'"


@functools.cache
def migrations() -> tuple[str, ...]:
    """The SQL of every migration, in order. The shape after the last one is this version's."""
    folder = resources.files("receiver.journal").joinpath("postgres_migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    for number, file in enumerate(files, start=1):
        if not file.name.startswith(f"{number:04d}_"):
            raise ValueError(f"{file.name}: is no migration with the number {number}")
    return tuple(file.read_text("utf-8") for file in files)


def shape_of(wire: Wire) -> int:
    """The number of a journal's shape; 0 for a database without a journal. Raises JournalError for a newer shape."""
    (exists,) = wire.execute("SELECT to_regclass('meta') IS NOT NULL").fetchone() or (False,)
    row = wire.execute(_SHAPE).fetchone() if exists else None
    shape = int(row[0]) if row else 0
    if exists and not shape:
        raise JournalError("the database has a table `meta` that is none of Freezeline's. Use a database of its own")
    if shape > len(migrations()):
        raise JournalError(
            f"the journal has shape {shape}, and this version knows shapes up to {len(migrations())}. Start a newer "
            "version, or restore a backup that was made before"
        )
    return shape


def bring_up(wire: Wire) -> None:
    """Give a journal the shape of this version. Raises JournalError or psycopg.Error; the journal is then as before."""
    if shape_of(wire) < len(migrations()):
        with wire.transaction():
            wire.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            for number, sql in enumerate(migrations()[shape_of(wire) :], start=shape_of(wire) + 1):
                wire.execute(sql.encode())
                _say(wire, "shape", str(number))
    _say(wire, "version", version("freezeline"))


def _say(wire: Wire, key: str, value: str) -> None:
    wire.execute(
        "INSERT INTO meta (key, value) VALUES (%s, %s) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE meta.value <> excluded.value",
        (key, value),
    )


def require_newest(wire: Wire) -> None:
    """Raise JournalError where a journal cannot be read as it is."""
    shape = shape_of(wire)
    if shape == 0:
        raise JournalError("there is no journal in this database yet. `freezeline serve` makes it when it starts")
    if shape < len(migrations()):
        raise JournalError(
            f"the journal has shape {shape}, and this version reads shape {len(migrations())}. `freezeline serve` of "
            "this version migrates the journal when it starts"
        )
