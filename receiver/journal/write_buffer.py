"""Writes that can wait until the end of a group. Many rows then go to the database in one call per table.

A statement costs little in SQLite and much in Python, where each statement gives up the interpreter's lock and waits to
get the lock back. Deliveries, news of alerts and decisions are nearly all writes of a busy receiver.
"""

from __future__ import annotations

from msgspec import Struct, field

from receiver.journal import rows
from receiver.journal.deliveries import Deliveries
from receiver.journal.store import Connection

_UPSERT_ALERT = (
    f"INSERT INTO alert_seen ({rows.SEEN}) VALUES {{}} "
    "ON CONFLICT (fingerprint) DO UPDATE SET status = excluded.status, starts_at = excluded.starts_at, "
    "ends_at = excluded.ends_at, last_at = excluded.last_at, labels = excluded.labels, "
    "annotations = excluded.annotations, "
    "unconfirmed_since = CASE excluded.status WHEN 'resolved' THEN NULL ELSE alert_seen.unconfirmed_since END"
)
_RESTART_ALERT = (
    "UPDATE alert_seen SET starts_at = v.column2, last_at = v.column3 FROM (VALUES {}) AS v "
    "WHERE fingerprint = v.column1"
)
_EPISODE = f"INSERT INTO episode ({rows.EPISODE}) VALUES {{}}"
_MOVE_EPISODE = (
    "UPDATE episode SET state = v.column2, "
    "resolved_at = CASE v.column2 WHEN 'RESOLVING' THEN v.column3 WHEN 'OPEN' THEN NULL ELSE resolved_at END, "
    "closed_at = CASE WHEN v.column2 IN ('CLOSED', 'EXPIRED') THEN v.column3 ELSE closed_at END "
    "FROM (VALUES {}) AS v WHERE id = v.column1"
)
_FREEZE_REASON = "INSERT INTO freeze_reason (flag, episode, reason, since) VALUES {}"
_END_FREEZE_REASON = (
    "UPDATE freeze_reason SET ended_at = v.column3, ended_by = v.column4, end_reason = v.column5 "
    "FROM (VALUES {}) AS v WHERE flag = v.column1 AND episode = v.column2 AND ended_at IS NULL"
)
_JOIN_ROLLBACK = "INSERT INTO rollback_episode (action, episode) VALUES {}"
_DECISION = f"INSERT INTO decision ({rows.DECISION}) VALUES {{}}"

Mark = tuple[int, ...]


class WriteBuffer(Struct):
    """Waiting rows, in the order in which they came.

    `alerts` are whole rows, and `restarts` are repeats with another start (fingerprint, start, time). `moves` are
    episodes in another state. `ended` are freeze reasons that end. `joined` are episodes that share a rollback or a
    switch.
    """

    deliveries: list[rows.Row] = field(default_factory=list)
    alerts: list[rows.Row] = field(default_factory=list)
    restarts: list[rows.Row] = field(default_factory=list)
    episodes: list[rows.Row] = field(default_factory=list)
    moves: list[rows.Row] = field(default_factory=list)
    reasons: list[rows.Row] = field(default_factory=list)
    ended: list[rows.Row] = field(default_factory=list)
    joined: list[rows.Row] = field(default_factory=list)
    decisions: list[rows.Row] = field(default_factory=list)

    def mark(self) -> Mark:
        """The present end of each list, to come back to."""
        return tuple(len(part) for part in self._parts())

    def cut(self, mark: Mark) -> WriteBuffer:
        """Take away the rows that came after the mark."""
        after = WriteBuffer()
        for part, rest, length in zip(self._parts(), after._parts(), mark, strict=True):
            rest.extend(part[length:])
            del part[length:]
        return after

    def _parts(self) -> tuple[list[rows.Row], ...]:
        return self.deliveries, self.alerts, self.restarts, *self._checked(), self.decisions

    def _checked(self) -> tuple[list[rows.Row], ...]:
        return self.episodes, self.moves, self.reasons, self.ended, self.joined

    @property
    def may_be_refused(self) -> bool:
        """Whether a row waits that the database can refuse. Such rows are sent with the work that they belong to."""
        return bool(self.episodes or self.moves or self.reasons or self.ended or self.joined)

    def statements(self, deliveries: Deliveries) -> int:
        """How many statements `flush` would run, or a few more."""
        return deliveries.statements(self.deliveries) + sum(map(len, self._parts()[1:]))

    def flush(self, connection: Connection, deliveries: Deliveries) -> None:
        """Send everything to the database, and empty the buffer.

        Of one alert a whole row must not wait together with an older restart, which goes after it. Of one episode at
        most one move may wait, which goes after its new row.
        """
        if not any(self._parts()):
            return
        deliveries.send(self.deliveries)
        for part in rows.each_key_once(self.alerts):
            rows.send(connection, _UPSERT_ALERT, part)
        rows.send(connection, _RESTART_ALERT, list({row[0]: row for row in self.restarts}.values()))
        rows.send(connection, _EPISODE, self.episodes)
        rows.send(connection, _MOVE_EPISODE, self.moves)
        rows.send(connection, _FREEZE_REASON, self.reasons)
        rows.send(connection, _END_FREEZE_REASON, self.ended)
        rows.send(connection, _JOIN_ROLLBACK, self.joined)
        rows.send(connection, _DECISION, self.decisions)
        for sent in self._parts():
            sent.clear()
