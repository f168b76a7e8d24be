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

MEMORY_MAX = 20_000


class Processing:
    """One body on its way into the journal: `parse` first, then `take` in a transaction."""

    def __init__(
        self, body: bytes, policies: Policies, memory: Memory, *, ids: Ids, trace: Trace, at: datetime
    ) -> None:
        self._body = body
        self._policies = policies
        self._memory = memory
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

    def take(self, tx: Tx) -> int:
        """Store the delivery and everything that follows from it. Returns the number of decisions.

        A known body is planned again.
        """
        delivery, trace = self.delivery, self._trace
        decided = len(delivery.quarantined)
        tx.insert_delivery(delivery.sha256, delivery.body)
        for bad in delivery.quarantined:
            sentence = f"Alert {bad.index} of a delivery was put aside: {bad.why}"
            tx.note(Decision(kind="quarantined", sentence=sentence, delivery=delivery.sha256, trace_id=trace.trace_id))
        for alert in delivery.alerts:
            decided += self._take_alert(tx, alert)
        return decided

    def _take_alert(self, tx: Tx, alert: Alert) -> int:
        if self._memory.is_quiet(tx, alert, self._policies):
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
            self._memory.remember(tx, alert.fingerprint, self._policies)
        return len(changes)


class Memory:
    """Alerts that changed nothing the last time. The planner is pure, so the same facts change nothing again.

    Only the journal's writer uses this class.
    """

    def __init__(self) -> None:
        self._quiet: dict[str, tuple[Policies, Seen | None, list[Episode]]] = {}

    def remember(self, tx: Tx, fingerprint: str, policies: Policies) -> None:
        """Note that an alert has just changed nothing."""
        facts = tx.facts(fingerprint)
        if len(self._quiet) > MEMORY_MAX:
            self._quiet.clear()
        if facts is not None:
            self._quiet[fingerprint] = (policies, *facts)

    def is_quiet(self, tx: Tx, alert: Alert, policies: Policies) -> bool:
        """Whether an alert repeats one that changed nothing, and the journal knows the same facts as then."""
        then = self._quiet.get(alert.fingerprint)
        if then is None or then[0] is not policies:
            return False
        now = tx.facts(alert.fingerprint)
        if now is None or now[0] is not then[1] or now[1] is not then[2]:
            return False
        seen = now[0]
        return (
            seen is not None
            and seen.status is alert.status
            and seen.starts_at == alert.starts_at
            and (alert.ends_at is None or seen.ends_at == alert.ends_at)
            and seen.labels == alert.labels
        )


def known_of(tx: Tx, alert: Alert, seen: Seen | None, episodes: Sequence[Episode]) -> Known:
    """What the journal knows about an alert."""
    pending: dict[str, list[Action]] = {}
    if alert.status is AlertStatus.RESOLVED:
        pending = {episode.id: pending_rollbacks(tx, episode.id) for episode in episodes if episode.live}
    return Known(seen=seen, episodes=episodes, pending=pending, incident=tx.incident)


def pending_rollbacks(tx: Tx, episode_id: str) -> list[Action]:
    """Rollbacks of an episode that have not begun."""
    return tx.actions(episode=episode_id, type=ActionType.ROLLBACK, state=ActionState.PENDING)
