"""Writes what a rollout tells into the journal: its record once, and its notices."""

from __future__ import annotations

from receiver.decide import rollout as decide
from receiver.decide.model import Decision, Trace
from receiver.decide.notice import Event
from receiver.decide.plan import Ids, Known
from receiver.journal.tx import Tx
from receiver.policy.model import Policy


def tell_in(
    tx: Tx,
    policy: Policy,
    rollout: str,
    event: Event,
    text: str,
    *,
    which: str,
    page: bool,
    ids: Ids,
    trace: Trace,
) -> int:
    """Store the notices of one message, and give their number: 0 where the journal holds them already."""
    fingerprint = decide.record_fingerprint(rollout)
    known = tx.newest_episodes([fingerprint]).get(fingerprint, [])
    if known:
        record = known[0]
    else:
        record = decide.record_of(policy, rollout, Known(incident=tx.incident), now=tx.now, ids=ids, trace=trace)
        tx.add_episode(record)
    notices = decide.notices(record, policy, event, text, which=which, page=page, now=tx.now, ids=ids)
    stored = sum(1 for one in notices if tx.add_action(one))
    if stored:
        sentence = f"The rollout of {policy.service} says: {text}"
        tx.note(Decision(kind=event.value, sentence=sentence, episode=record.id, trace_id=trace.trace_id))
    return stored
