"""Alerts that wait for a later transaction: a delivery of thousands of alerts is planned in pieces.

The delivery itself is durable before its sender has an answer. Each piece takes its alerts off the list in the
transaction that plans them, so a kill loses no alert and plans none twice. A later message about an alert that waits
goes to the end of the list: the messages about one alert keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.decide.model import Trace, Waiting, stamp
from receiver.journal import rows
from receiver.journal.work import Work

_PUT_OFF = "INSERT INTO waiting_alert (delivery, fingerprint, at, request_id, trace_id) VALUES {}"


class WaitingAlerts(Work):
    """The part of a transaction that puts alerts off and takes them up again."""

    def waiting(self, fingerprints: Sequence[str]) -> frozenset[str]:
        """Which of these alerts wait for a later transaction."""
        if self.caches.waits is None:
            self.caches.waits = self.any_waits()
        return super().waiting(fingerprints) if self.caches.waits else frozenset()

    def put_off(self, sha256: str, fingerprints: Sequence[str], *, at: datetime, trace: Trace) -> None:
        """Leave these alerts of a delivery, which this transaction stores, for later transactions."""
        self.acted = True
        row = self._one("SELECT id FROM delivery WHERE sha256 = ? ORDER BY id DESC LIMIT 1", (sha256,))
        number = row[0] if row else 0
        values = [(number, one, stamp(at), trace.request_id, trace.trace_id) for one in fingerprints]
        rows.send(self._db, _PUT_OFF, values)
        self.caches.waits = True

    def take_waiting(self, limit: int) -> Waiting | None:
        """Take the alerts that have waited longest, all of one delivery; None if no alert waits."""
        taken = self.next_waiting(limit)
        if taken is None:
            self.caches.waits = False
            return None
        self.acted = True
        self._run(
            "DELETE FROM waiting_alert WHERE delivery = ? AND id BETWEEN ? AND ?",
            (taken.delivery, taken.ids[0], taken.ids[-1]),
        )
        self.caches.waits = None
        return taken
