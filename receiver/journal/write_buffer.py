"""Writes that can wait until the end of a group. Many rows then go to the database in one call per table.

A statement costs little in SQLite and much in Python, where each statement gives up the interpreter's lock and waits to
get the lock back. Deliveries, news of alerts and decisions are nearly all writes of a busy receiver.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct, field

from receiver.journal import rows
from receiver.journal.deliveries import Deliveries

_UPSERT_ALERT = (
    f"INSERT INTO alert_seen ({rows.SEEN}) VALUES {{}} "
    "ON CONFLICT (fingerprint) DO UPDATE SET status = excluded.status, starts_at = excluded.starts_at, "
    "ends_at = excluded.ends_at, last_at = excluded.last_at, labels = excluded.labels, "
    "annotations = excluded.annotations, "
    "unconfirmed_since = iif(excluded.status = 'resolved', NULL, unconfirmed_since)"
)
_RESTART_ALERT = (
    "UPDATE alert_seen SET starts_at = v.column2, last_at = v.column3 FROM (VALUES {}) AS v "
    "WHERE fingerprint = v.column1"
)
_DECISION = f"INSERT INTO decision ({rows.DECISION}) VALUES {{}}"

Mark = tuple[int, int, int, int]


class WriteBuffer(Struct):
    """Waiting rows, in the order in which they came.

    `alerts` are whole rows; `restarts` are repeats with another start (fingerprint, start, time).
    """

    deliveries: list[rows.Row] = field(default_factory=list)
    alerts: list[rows.Row] = field(default_factory=list)
    restarts: list[rows.Row] = field(default_factory=list)
    decisions: list[rows.Row] = field(default_factory=list)

    def mark(self) -> Mark:
        """The present end of each list, to come back to."""
        return len(self.deliveries), len(self.alerts), len(self.restarts), len(self.decisions)

    def cut(self, mark: Mark) -> WriteBuffer:
        """Take away the rows that came after the mark."""
        after = WriteBuffer()
        for part, rest, length in zip(self._parts(), after._parts(), mark, strict=True):
            rest.extend(part[length:])
            del part[length:]
        return after

    def _parts(self) -> tuple[list[rows.Row], ...]:
        return self.deliveries, self.alerts, self.restarts, self.decisions

    def statements(self, deliveries: Deliveries) -> int:
        """How many statements `flush` would run, or a few more."""
        return deliveries.statements(self.deliveries) + len(self.alerts) + len(self.restarts) + len(self.decisions)

    def flush(self, connection: sqlite3.Connection, deliveries: Deliveries) -> None:
        """Send everything to the database, and empty the buffer.

        Of one alert a whole row must not wait together with an older restart, which goes after it.
        """
        deliveries.send(self.deliveries)
        rows.send(connection, _UPSERT_ALERT, self.alerts)
        rows.send(connection, _RESTART_ALERT, list({row[0]: row for row in self.restarts}.values()))
        rows.send(connection, _DECISION, self.decisions)
        for sent in self._parts():
            sent.clear()
