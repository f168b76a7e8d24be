"""One delivery on its way into the journal: stored, planned, and its changes recorded.

An answer of 200 means that the whole delivery is on disk. A delivery of few alerts is planned in the same transaction.
Of a large delivery the first alerts are planned there; the others wait, and `Later` plans them piece by piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from receiver import traceparent
from receiver.decide.model import Action, ActionState, Alert, AlertStatus, Decision, Episode, Seen, Trace
from receiver.decide.plan import WATCHDOG, Ids, Known, on_alert
from receiver.journal import Tx, View
from receiver.journal.record import record
from receiver.policy.model import Policies
from receiver.webhook.ingest import Delivery, parse_delivery

AT_ONCE = 100
"""The most alerts with news that one transaction plans of one delivery: a few hundredths of a second's work."""

ANNOTATION = "traceparent"
"""Whoever sends an alert may name the trace of the request that failed."""

NOTHING = Delivery(sha256="", body=b"", alerts=(), quarantined=(), truncated=0, receiver="")


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a delivery: the numbers of decisions, alerts, unreadable alerts and alerts that were left out.

    `watchdog` says whether the watchdog is among the alerts.
    """

    decided: int
    alerts: int
    quarantined: int
    truncated: int
    watchdog: bool


class Planning(Struct, frozen=True, kw_only=True):
    """What the alerts of one delivery are planned with. `at` is when the receiver got the delivery."""

    policies: Policies
    ids: Ids
    trace: Trace
    at: datetime
    delivery: str

    def plan(self, tx: Tx, alert: Alert) -> int:
        """Plan one alert and record the changes; returns how many decisions were taken."""
        one, trace = (alert.fingerprint,), _joined(alert, self.trace)
        seen, episodes = tx.seen(one).get(alert.fingerprint), tx.newest_episodes(one).get(alert.fingerprint, ())
        known = known_of(tx, alert, seen, episodes)
        changes = on_alert(alert, known, self.policies, now=self.at, ids=self.ids, trace=trace)
        tx.upsert_alert(alert, seen)
        if changes:
            record(tx, changes, self.policies, ids=self.ids, trace=trace, delivery=self.delivery)
        else:
            tx.changed_nothing(alert, self.policies)
        return len(changes)


def _joined(alert: Alert, trace: Trace) -> Trace:
    """The delivery's identifiers, in the trace that an alert's annotation `traceparent` names."""
    parent = traceparent.parse(alert.annotations.get(ANNOTATION, ""))
    return trace if parent is None else Trace(request_id=trace.request_id, trace_id=parent.trace_id)


class Processing:
    """One body on its way into the journal: `parse` first, then `process` in a transaction."""

    def __init__(self, body: bytes, policies: Policies, *, ids: Ids, trace: Trace, at: datetime) -> None:
        self._body = body
        self._policies = policies
        self._ids = ids
        self._trace = trace
        self._at = at
        self._delivery = NOTHING
        self._fingerprints: list[str] = []

    def parse(self) -> Sequence[str]:
        """Read the body; returns the fingerprints of the alerts that come first. Raises NotADeliveryError."""
        self._delivery = parse_delivery(self._body)
        self._fingerprints = [alert.fingerprint for alert in self._delivery.alerts]
        return self._fingerprints[:AT_ONCE]

    def process(self, tx: Tx) -> Taken:
        """Store the delivery, plan its first alerts and record the changes.

        A known body is planned again. An alert that waits for an earlier message's turn waits for its own, too.
        """
        delivery, trace = self._delivery, self._trace
        decided = len(delivery.quarantined)
        tx.insert_delivery(delivery.sha256, delivery.body)
        for bad in delivery.quarantined:
            sentence = f"Alert {bad.index} of a delivery was put aside: {bad.why}"
            tx.note(Decision(kind="quarantined", sentence=sentence, delivery=delivery.sha256, trace_id=trace.trace_id))
        planning = Planning(policies=self._policies, ids=self._ids, trace=trace, at=self._at, delivery=delivery.sha256)
        waiting = tx.waiting(self._fingerprints)
        planned, later = 0, []
        for alert in delivery.alerts:
            if alert.fingerprint in waiting:
                later.append(alert.fingerprint)
            elif tx.is_quiet(alert, self._policies):
                tx.touch_alert(alert.fingerprint)
            elif planned == AT_ONCE:
                later.append(alert.fingerprint)
            else:
                planned += 1
                decided += planning.plan(tx, alert)
        if later:
            tx.put_off(delivery.sha256, later, at=self._at, trace=trace)
        return Taken(
            decided=decided,
            alerts=len(delivery.alerts),
            quarantined=len(delivery.quarantined),
            truncated=delivery.truncated,
            watchdog=WATCHDOG in [alert.name for alert in delivery.alerts],
        )


class Later(Struct, frozen=True, kw_only=True):
    """The alerts of a stored delivery that wait for their transaction."""

    number: int
    sha256: str
    alerts: dict[str, Alert]

    @classmethod
    def of(cls, number: int, body: bytes) -> Later:
        """Read a stored body again. Raises NotADeliveryError."""
        delivery = parse_delivery(body)
        alerts = {alert.fingerprint: alert for alert in delivery.alerts}
        return cls(number=number, sha256=delivery.sha256, alerts=alerts)

    def process(self, tx: Tx, policies: Policies, *, ids: Ids) -> None:
        """Plan the next alerts of this delivery, unless another delivery has its turn meanwhile."""
        next_up = tx.next_waiting(1)
        taken = tx.take_waiting(AT_ONCE) if next_up is not None and next_up.delivery == self.number else None
        if taken is None:
            return
        planning = Planning(policies=policies, ids=ids, trace=taken.trace, at=taken.at, delivery=self.sha256)
        for fingerprint in taken.fingerprints:
            alert = self.alerts.get(fingerprint)
            if alert is None:
                sentence = f"Alert {fingerprint} of a stored delivery cannot be read any more"
                tx.note(Decision(kind="quarantined", sentence=sentence, delivery=self.sha256))
            elif tx.is_quiet(alert, policies):
                tx.touch_alert(fingerprint)
            else:
                planning.plan(tx, alert)


def known_of(tx: Tx, alert: Alert, seen: Seen | None, episodes: Sequence[Episode]) -> Known:
    """What the journal knows about an alert."""
    pending: dict[str, list[Action]] = {}
    if alert.status is AlertStatus.RESOLVED:
        pending = {episode.id: pending_rollbacks(tx, episode) for episode in episodes if episode.live}
    return Known(seen=seen, episodes=episodes, pending=pending, incident=tx.incident)


def pending_rollbacks(view: View, episode: Episode) -> list[Action]:
    """Rollbacks that have not begun and that no episode but this one shares."""
    return [
        action
        for action in view.unfinished_rollbacks(episode.service)
        if action.state is ActionState.PENDING
        and view.shares_rollback(action.id, episode.id)
        and not view.others_share_rollback(action.id, episode.id)
    ]
