"""One delivery in one transaction: stored, planned, and its changes recorded. An answer of 200 means all of this."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.decide.model import Action, ActionState, ActionType, Alert, AlertStatus, Decision, Episode, Seen, Trace
from receiver.decide.plan import Ids, Known, on_alert
from receiver.journal import Tx
from receiver.journal.record import record
from receiver.policy.model import Policies
from receiver.webhook.ingest import Delivery, parse_delivery

NOTHING = Delivery(sha256="", body=b"", alerts=(), quarantined=(), truncated=0, receiver="")


class Processing:
    """One body on its way into the journal: `parse` first, then `process` in a transaction."""

    def __init__(self, body: bytes, policies: Policies, *, ids: Ids, trace: Trace, at: datetime) -> None:
        self._body = body
        self._policies = policies
        self._ids = ids
        self._trace = trace
        self._at = at
        self.delivery = NOTHING
        self._fingerprints: list[str] = []

    def parse(self) -> Sequence[str]:
        """Read the body; returns the fingerprints of its alerts. Raises NotADeliveryError."""
        self.delivery = parse_delivery(self._body)
        self._fingerprints = [alert.fingerprint for alert in self.delivery.alerts]
        return self._fingerprints

    def process(self, tx: Tx) -> int:
        """Store the delivery, plan each of its alerts and record the changes; returns how many decisions were taken.

        A known body is planned again.
        """
        delivery, trace = self.delivery, self._trace
        decided = len(delivery.quarantined)
        tx.insert_delivery(delivery.sha256, delivery.body)
        for bad in delivery.quarantined:
            sentence = f"Alert {bad.index} of a delivery was put aside: {bad.why}"
            tx.note(Decision(kind="quarantined", sentence=sentence, delivery=delivery.sha256, trace_id=trace.trace_id))
        for alert in delivery.alerts:
            decided += self._process_alert(tx, alert)
        return decided

    def _process_alert(self, tx: Tx, alert: Alert) -> int:
        if tx.is_quiet(alert, self._policies):
            tx.touch_alert(alert.fingerprint)
            return 0
        one = (alert.fingerprint,)
        seen, episodes = tx.seen(one).get(alert.fingerprint), tx.newest_episodes(one).get(alert.fingerprint, ())
        known = known_of(tx, alert, seen, episodes)
        changes = on_alert(alert, known, self._policies, now=self._at, ids=self._ids, trace=self._trace)
        tx.upsert_alert(alert, seen)
        if changes:
            sha256 = self.delivery.sha256
            record(tx, changes, self._policies, ids=self._ids, trace=self._trace, delivery=sha256)
        else:
            tx.changed_nothing(alert, self._policies)
        return len(changes)


def known_of(tx: Tx, alert: Alert, seen: Seen | None, episodes: Sequence[Episode]) -> Known:
    """What the journal knows about an alert."""
    pending: dict[str, list[Action]] = {}
    if alert.status is AlertStatus.RESOLVED:
        pending = {episode.id: pending_rollbacks(tx, episode.id) for episode in episodes if episode.live}
    return Known(seen=seen, episodes=episodes, pending=pending, incident=tx.incident)


def pending_rollbacks(tx: Tx, episode_id: str) -> list[Action]:
    """Rollbacks of an episode that have not begun."""
    return tx.actions(episode=episode_id, type=ActionType.ROLLBACK, state=ActionState.PENDING)
