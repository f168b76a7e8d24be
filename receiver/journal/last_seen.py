"""When alerts were last heard of: exact in memory, on disk every five seconds.

Several Alertmanagers repeat their alerts at once. Only the time of a repeat is new, and a receiver that wrote every
repeat would do little else. A few seconds do not matter: readers of these times from disk use limits of 20 s and more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from receiver.decide.model import EPOCH, Seen, stamp
from receiver.journal import rows
from receiver.journal.store import Connection

WRITTEN_EVERY = timedelta(seconds=5)

_TOUCH = (
    "UPDATE alert_seen SET last_at = v.column2 FROM (VALUES {}) AS v "
    "WHERE fingerprint = v.column1 AND last_at < v.column2"
)


class LastSeen:
    """Times of exact repeats, written to disk at intervals. Only the journal's writer uses this class."""

    def __init__(self, written_every: timedelta) -> None:
        self._every = written_every
        self._touched: dict[str, datetime] = {}  # in this transaction
        self._at: dict[str, datetime] = {}
        self._unwritten: dict[str, datetime] = {}
        self._written_at = EPOCH
        self._sent_at: datetime | None = None

    @property
    def owes(self) -> bool:
        """Whether there are times that are not on disk."""
        return bool(self._unwritten or self._touched)

    def is_due(self, now: datetime) -> bool:
        """Whether the times have waited long enough, or the clock was set back."""
        return self.owes and not self._written_at <= now < self._written_at + self._every

    def touch(self, fingerprint: str, now: datetime) -> None:
        """An exact repeat came."""
        self._touched[fingerprint] = now

    def latest(self, seen: Seen) -> Seen:
        """What is known of an alert, with the exact time of its last message."""
        at = self._touched.get(seen.fingerprint) or self._at.get(seen.fingerprint)
        return seen if at is None or at <= seen.last_at else replace(seen, last_at=at)

    def write(self, connection: Connection, now: datetime) -> None:
        """Send all times to the database; they are owed until `committed`."""
        values = [(one, stamp(at)) for one, at in {**self._unwritten, **self._touched}.items()]
        rows.send(connection, _TOUCH, values)
        self._sent_at = now

    def committed(self) -> None:
        """The transaction is durable, and with it the times that were sent."""
        if self._touched:
            self._at.update(self._touched)
            self._unwritten.update(self._touched)
            self._touched.clear()
        if self._sent_at is not None:
            self._unwritten.clear()
            self._written_at, self._sent_at = self._sent_at, None

    def forget(self) -> None:
        """The transaction was undone: keep only the times of earlier ones that are not on disk."""
        self._touched.clear()
        self._at = dict(self._unwritten)
        self._sent_at = None
