"""Moves a whole journal from a SQLite file into PostgreSQL, or back, and compares both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from msgspec import Struct

from receiver.journal import rows
from receiver.journal.chain import verify
from receiver.journal.store import Connection, JournalError
from receiver.journal.view import View

AT_ONCE = 200
"""Rows in memory at a time; a body may have megabytes."""


class Table(Struct, frozen=True, kw_only=True):
    """One table: its columns, and its key, by which rows are read in order."""

    name: str
    key: str
    columns: str


TABLES = (
    Table(name="delivery", key="id", columns="id, sha256, body, first_at, last_at, count"),
    Table(name="alert_seen", key="fingerprint", columns=rows.SEEN),
    Table(name="waiting_alert", key="id", columns="id, delivery, fingerprint, at, request_id, trace_id"),
    Table(name="policy", key="sha256", columns="sha256, name, body, first_at"),
    Table(name="policy_in_force", key="name", columns="name, sha256, since"),
    Table(name="episode", key="id", columns=rows.EPISODE),
    Table(name="freeze_reason", key="flag, episode", columns=rows.FREEZE_REASON),
    Table(name="flag_file", key="path", columns=rows.FLAG_FILE),
    Table(
        name="condition_held",
        key="policy_sha256, rule, condition",
        columns="policy_sha256, rule, condition, true_since, checked_at",
    ),
    Table(name="action", key="id", columns=f"{rows.ACTION}, updated_at"),
    Table(name="rollback_episode", key="action, episode", columns="action, episode"),
    Table(name="decision", key="seq", columns=rows.DECISION),
    Table(name="notice", key="seq", columns="key, seq, body"),
)
"""Everything that a journal knows. `meta` belongs to each database alone."""

IN_FLIGHT = "SELECT id FROM action WHERE type = 'rollback' AND state IN ('STARTING', 'RUNNING') LIMIT 1"


class Moved(Struct, frozen=True, kw_only=True):
    """What was moved: how many rows of each table, and the last decision."""

    counts: dict[str, int]
    head: tuple[int, str]


def copy(source: Connection, target: Connection) -> Moved:
    """Copy every row into an empty journal, and read the copy again. Both connections are in a transaction.

    Raises JournalError where the target holds something already, a rollback is running, the chain is broken, or the
    copy differs. The caller then rolls back.
    """
    if source.execute(IN_FLIGHT).fetchone() is not None:
        raise JournalError("a rollback is running. Start the receiver again, and wait for the rollback's end")
    for table in TABLES:
        if target.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is not None:
            raise JournalError(f"the target already holds a journal: its table {table.name} has rows. Use an empty one")
    verdict = verify(View(source).all_decisions())
    if verdict.broken_at is not None:
        raise JournalError(f"the chain is broken at decision {verdict.broken_at}: {verdict.why}. Nothing was moved")
    counts: dict[str, int] = {}
    for table in TABLES:
        insert = f"INSERT INTO {table.name} ({table.columns}) VALUES {{}}"
        counts[table.name] = 0
        for part in _parts(source, table):
            rows.send(target, insert, part)
            counts[table.name] += len(part)
        if _digest(source, table) != _digest(target, table):
            raise JournalError(f"the copy of table {table.name} differs. Nothing was moved")
    return Moved(counts=counts, head=View(target).head())


def _parts(connection: Connection, table: Table) -> Iterator[list[rows.Row]]:
    """All rows in the order of their key, some at a time."""
    keys = table.key.split(", ")
    columns = table.columns.split(", ")
    places = [columns.index(key) for key in keys]
    some = f"SELECT {table.columns} FROM {table.name}"
    order = f"ORDER BY {table.key} LIMIT {AT_ONCE}"
    part = connection.execute(f"{some} {order}").fetchall()
    while part:
        yield part
        last = [part[-1][place] for place in places]
        after = f"WHERE ({table.key}) > ({rows.marks_for(keys)})"
        part = connection.execute(f"{some} {after} {order}", last).fetchall()


def _digest(connection: Connection, table: Table) -> str:
    digest = hashlib.sha256()
    for part in _parts(connection, table):
        for row in part:
            digest.update(repr(row).encode())
    return digest.hexdigest()
