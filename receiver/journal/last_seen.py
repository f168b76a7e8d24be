"""When alerts were last heard of: exact in memory, on disk every five seconds.

Several Alertmanagers repeat their alerts at once. Only the time of a repeat is new, and a receiver that wrote every
repeat would do little else. A few seconds do not matter: readers of these times from disk use limits of 20 s and more.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from msgspec.structs import replace

from receiver.decide.model import EPOCH, Seen, stamp
from receiver.journal import rows

WRITTEN_EVERY = timedelta(seconds=5)

_HEARD = "UPDATE alert_seen SET last_at = max(last_at, v.column2) FROM (VALUES {}) AS v WHERE fingerprint = v.column1"


class LastSeen:
    """Times of exact repeats, written to disk at intervals. Only the journal's writer uses this class."""

    def __init__(self, written_every: timedelta) -> None:
        self._every = written_every
        self._at: dict[str, datetime] = {}
        self._unwritten: dict[str, datetime] = {}
        self._written_at = EPOCH
        self._sent_at: datetime | None = None

    @property
    def owes(self) -> bool:
        """Whether there are times that are not on disk."""
        return bool(self._unwritten)

    def is_due(self, now: datetime) -> bool:
        """Whether the times have waited long enough, or the clock was set back."""
        return self.owes and not self._written_at <= now < self._written_at + self._every

    def hear(self, fingerprint: str, now: datetime) -> None:
        """Note the time of an exact repeat."""
        self._at[fingerprint] = self._unwritten[fingerprint] = now

    def latest(self, seen: Seen) -> Seen:
        """The known state of an alert, with the latest time of a repeat."""
        at = self._at.get(seen.fingerprint)
        return seen if at is None or at <= seen.last_at else replace(seen, last_at=at)

    def write(self, connection: sqlite3.Connection, now: datetime) -> None:
        """Send all times to the database. Until `written`, they may have to be sent again."""
        values = [(one, stamp(at)) for one, at in self._unwritten.items()]
        rows.send(connection, _HEARD, values)
        self._sent_at = now

    def written(self) -> None:
        """Note that the sent times are durable."""
        if self._sent_at is not None:
            self._unwritten.clear()
            self._written_at, self._sent_at = self._sent_at, None

    def forget(self) -> None:
        """Keep only times that are not on disk, because sent times may have been undone."""
        self._at = dict(self._unwritten)
        self._sent_at = None
