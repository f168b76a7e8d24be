"""Writes that can wait until the end of a group: many rows then go to the database in one call each.

A statement costs little in SQLite and much in Python, where each gives up the interpreter's lock and waits to have it
back. Deliveries, what was heard of alerts, and decisions are nearly all of a busy receiver's writes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from receiver.journal import rows

_DELIVERY = (
    "INSERT INTO delivery (sha256, body, first_at, last_at, count) VALUES {} "
    "ON CONFLICT (sha256) DO UPDATE SET last_at = excluded.last_at, count = count + 1"
)
_HEARD = (
    f"INSERT INTO alert_seen ({rows.SEEN}) VALUES {{}} "
    "ON CONFLICT (fingerprint) DO UPDATE SET status = excluded.status, starts_at = excluded.starts_at, "
    "ends_at = excluded.ends_at, last_at = excluded.last_at, labels = excluded.labels, "
    "annotations = excluded.annotations, "
    "unconfirmed_since = iif(excluded.status = 'resolved', NULL, unconfirmed_since)"
)
_HEARD_AGAIN = (
    "UPDATE alert_seen SET starts_at = v.column2, last_at = v.column3 FROM (VALUES {}) AS v "
    "WHERE fingerprint = v.column1"
)
_HEARD_SAME = "UPDATE alert_seen SET last_at = ? WHERE fingerprint IN ({})"
_DECISION = f"INSERT INTO decision ({rows.DECISION}) VALUES {{}}"

ROWS_MAX = 500
"""Rows in one statement; SQLite takes 32,766 values."""


@dataclass(slots=True)
class Pending:
    """Rows on their way.

    `heard` are whole rows; `heard_again`, by fingerprint, are repeats with another start; `heard_same` are exact
    repeats, heard at `at`.
    """

    deliveries: list[rows.Row] = field(default_factory=list)
    heard: list[rows.Row] = field(default_factory=list)
    heard_again: dict[str, rows.Row] = field(default_factory=dict)
    heard_same: set[str] = field(default_factory=set)
    at: str = ""
    decisions: list[rows.Row] = field(default_factory=list)

    def take_over(self, other: Pending) -> None:
        """Append the rows of `other`."""
        self.deliveries += other.deliveries
        self.heard += other.heard
        self.heard_again |= other.heard_again
        self.heard_same |= other.heard_same
        self.at = other.at or self.at
        self.decisions += other.decisions

    def flush(self, connection: sqlite3.Connection) -> None:
        """Send everything to the database and forget it."""
        _send(connection, _DELIVERY, self.deliveries)
        _send(connection, _HEARD, self.heard)
        if self.heard_again:
            _send(connection, _HEARD_AGAIN, list(self.heard_again.values()))
            self.heard_again = {}
        if self.heard_same:
            same = list(self.heard_same)
            for start in range(0, len(same), ROWS_MAX):
                chunk = same[start : start + ROWS_MAX]
                connection.execute(_HEARD_SAME.format(rows.marks_for(chunk)), (self.at, *chunk))
            self.heard_same = set()
        _send(connection, _DECISION, self.decisions)


def _send(connection: sqlite3.Connection, sql: str, waiting: list[rows.Row]) -> None:
    """One statement for many rows, not one each; `waiting` is empty afterwards."""
    for start in range(0, len(waiting), ROWS_MAX):
        chunk = waiting[start : start + ROWS_MAX]
        marks = f"({rows.marks_for(chunk[0])})"
        values = [value for row in chunk for value in row]
        connection.execute(sql.format(", ".join([marks] * len(chunk))), values)
    waiting.clear()
