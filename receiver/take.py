"""One delivery in one transaction: remembered, planned, and its changes recorded, so that 200 means all of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.ingest import Delivery
from receiver.journal import Tx
from receiver.model import Action, ActionState, ActionType, Alert, AlertStatus, Decision, Episode, Seen, Trace
from receiver.plan import Ids, Known, on_alert
from receiver.policy import Policies
from receiver.record import record


def take(tx: Tx, delivery: Delivery, policies: Policies, *, ids: Ids, trace: Trace, at: datetime) -> int:
    """Journal a delivery, which arrived `at`, and all that follows from it; returns how many decisions that were.

    A known body is planned again.
    """
    decided = len(delivery.quarantined)
    tx.took_delivery(delivery.sha256, delivery.body)
    for bad in delivery.quarantined:
        sentence = f"Alert {bad.index} of a delivery was put aside: {bad.why}"
        tx.note(Decision(kind="quarantined", sentence=sentence, delivery=delivery.sha256, trace_id=trace.trace_id))
    fingerprints = [alert.fingerprint for alert in delivery.alerts]
    seen = tx.seen(fingerprints)
    episodes = tx.newest_episodes(fingerprints)
    for alert in delivery.alerts:
        known = known_of(tx, alert, seen.get(alert.fingerprint), episodes.get(alert.fingerprint, ()))
        changes = on_alert(alert, known, policies, now=at, ids=ids, trace=trace)
        tx.saw(alert, known.seen)
        if changes:
            decided += len(changes)
            record(tx, changes, policies, ids=ids, trace=trace, delivery=delivery.sha256)
            if fingerprints.count(alert.fingerprint) > 1:
                seen, episodes = tx.seen(fingerprints), tx.newest_episodes(fingerprints)
    return decided


def known_of(tx: Tx, alert: Alert, seen: Seen | None, episodes: Sequence[Episode]) -> Known:
    """What the journal knows about an alert."""
    pending: dict[str, list[Action]] = {}
    if alert.status is AlertStatus.RESOLVED:
        pending = {episode.id: pending_rollbacks(tx, episode.id) for episode in episodes if episode.live}
    return Known(seen=seen, episodes=episodes, pending=pending, incident=tx.incident)


def pending_rollbacks(tx: Tx, episode_id: str) -> list[Action]:
    """Rollbacks of an episode that have not begun."""
    return tx.actions(episode=episode_id, type=ActionType.ROLLBACK, state=ActionState.PENDING)
