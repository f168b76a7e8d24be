"""The shape of a journal in PostgreSQL: `postgres_migrations/NNNN_NAME.sql`, run in order, make or migrate its tables.

The table `meta` holds the number of the shape. One receiver at a time migrates, in one transaction. What a migration's
name begins with says what happens while receivers of an earlier version run:

- `pre_`: the migration only adds. The migration runs at once. The earlier version goes on, and may also start again.
- `post_`: the migration removes what only the earlier version needs. The migration waits until those have ended.
- anything else: this version does not start before those receivers have ended.

After a migration without `pre_`, `chain_head.needs` is its number, and every transaction of an earlier version fails.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from importlib.metadata import version

from msgspec import Struct

from receiver.journal.postgres_connection import Wire
from receiver.journal.store import JournalError
from receiver.leading import LEASE_S

LOCK = 0x465A4C4E
"""The advisory lock of whoever migrates: "FZLN"."""

WITH_NEEDS = 3
"""The shape since which the journal says which versions can use it."""

_FILE = re.compile(r"(\d{4})_((?:pre_|post_)?)[a-z0-9_]+\.sql")
# Read as a table: `to_regclass` may answer from a cache that knows nothing of what another receiver has just made.
_EXISTS = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'meta' AND pg_table_is_visible(oid))"
_SHAPE = "SELECT value FROM meta WHERE key = 'shape'"
_BEHIND = """
SELECT string_agg(format('%%s (version %%s)', host, version), ', ' ORDER BY place) FROM receiver
WHERE seen_at > clock_timestamp() - make_interval(secs => %s) AND place <> %s AND knows < %s
"""


class Migration(Struct, frozen=True, kw_only=True):
    """One step to shape `number`. `when` is `pre_`, `post_` or ""."""

    number: int
    when: str
    sql: str


class Runs(Struct, frozen=True, kw_only=True):
    """Who migrates: the receiver at a place ("" for a command), and how long after its last sign another one runs."""

    place: str = ""
    alive_s: float = LEASE_S


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, in order. The shape after the last one is this version's."""
    found: list[Migration] = []
    folder = resources.files("receiver.journal").joinpath("postgres_migrations")
    for file in sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name):
        named = _FILE.fullmatch(file.name)
        if named is None or int(named[1]) != len(found) + 1:
            raise ValueError(f"{file.name}: is no migration with the number {len(found) + 1}")
        found.append(Migration(number=len(found) + 1, when=named[2], sql=file.read_text("utf-8")))
    return tuple(found)


def known() -> int:
    """The last shape that this version knows."""
    return len(migrations())


def shape_of(wire: Wire) -> int:
    """The number of a journal's shape; 0 for a database without a journal.

    Raises JournalError for a newer shape that this version cannot use.
    """
    (exists,) = wire.execute(_EXISTS).fetchone() or (False,)
    row = wire.execute(_SHAPE).fetchone() if exists else None
    shape = int(row[0]) if row else 0
    if exists and not shape:
        raise JournalError("the database has a table `meta` that is none of Freezeline's. Use a database of its own")
    if shape > known():
        (needs,) = wire.execute("SELECT needs FROM chain_head").fetchone() or (shape,)
        if why := too_old(needs):
            raise JournalError(why)
    return shape


def too_old(needs: int) -> str:
    """Why this version cannot use a journal that needs a shape; "" if it can."""
    if needs <= known():
        return ""
    return (
        f"the journal has shape {needs}, and this version knows shapes up to {known()}. Start a newer version, or "
        "restore a backup that was made before"
    )


def bring_up(wire: Wire, runs: Runs) -> None:
    """Give a journal the shape of this version. Raises JournalError or psycopg.Error; the journal is then as before."""
    if shape_of(wire) < known():
        with wire.transaction():
            wire.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            for migration in migrations()[shape_of(wire) :]:
                if not _may_run(wire, migration, runs):
                    break
                wire.execute(migration.sql.encode())
                _say(wire, "shape", str(migration.number))
                if migration.when != "pre_" and migration.number > WITH_NEEDS:
                    wire.execute("UPDATE chain_head SET needs = %s", (migration.number,))
    _say(wire, "version", version("freezeline"))


def _may_run(wire: Wire, migration: Migration, runs: Runs) -> bool:
    """Whether a migration may run now; False if it waits. Raises JournalError if this version cannot wait for it."""
    if migration.when == "pre_" or migration.number <= WITH_NEEDS:
        return True
    (behind,) = wire.execute(_BEHIND, (runs.alive_s, runs.place, migration.number)).fetchone() or (None,)
    if behind and not migration.when:
        raise JournalError(
            f"receivers of an earlier version run with this journal: {behind}. Stop them first: they cannot use shape "
            f"{migration.number}"
        )
    return not behind


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
    if any(migration.when != "post_" for migration in migrations()[shape:]):
        raise JournalError(
            f"the journal has shape {shape}, and this version reads shape {known()}. `freezeline serve` of "
            "this version migrates the journal when it starts"
        )
