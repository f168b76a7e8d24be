"""Writes the planner's changes into the journal, each with its decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from receiver.decide import plan
from receiver.decide.due_notices import tell
from receiver.decide.model import EMPTY, Action, ActionState, ActionType, Decision, EpisodeState, Trace
from receiver.decide.notice import Event
from receiver.decide.plan import Change, Ids, span
from receiver.journal import Tx
from receiver.policy.model import Policies


def record(
    tx: Tx, changes: Iterable[Change], policies: Policies, *, ids: Ids, trace: Trace, delivery: str = ""
) -> None:
    """Write changes in their order. Raises ForbiddenMoveError if a change contradicts the journal."""
    for change in changes:
        _record_one(tx, change, policies, ids=ids, trace=trace, delivery=delivery)


def _record_one(tx: Tx, change: Change, policies: Policies, *, ids: Ids, trace: Trace, delivery: str) -> None:
    def note(kind: str, episode: str = "", action: str = "") -> None:
        tx.note(
            Decision(
                kind=kind,
                sentence=change.sentence,
                delivery=delivery,
                episode=episode,
                action=action,
                trace_id=trace.trace_id,
            )
        )

    if isinstance(change, plan.Opened):
        note("opened", change.episode.id)
        _record_opened(tx, change, policies, ids)
    elif isinstance(change, plan.Moved):
        note(change.to.value.lower(), change.episode.id)
        tx.move_episode(change.episode, change.to)
        _tell_moved(tx, change, policies, ids)
    elif isinstance(change, plan.Unfrozen):
        note("unfrozen", change.episode.id)
        _record_unfrozen(tx, change, ids)
    elif isinstance(change, plan.Cancelled):
        note("cancelled", change.action.episode, change.action.id)
        tx.move(change.action, ActionState.CANCELLED)
        facts = {"reason": change.sentence}
        tell_in(tx, change.action.episode, Event.ROLLBACK_CANCELLED, policies, ids=ids, facts=facts)
    elif isinstance(change, plan.Doubted):
        note("doubted" if change.since else "doubt_settled")
        tx.set_unconfirmed(change.fingerprint, since=change.since)
    elif isinstance(change, plan.Renewed):
        note("renewed", change.episode.id)
        tx.set_review(change.episode.id, change.review_at)
        facts = {"frozen_for": span(round((tx.now - change.episode.opened_at).total_seconds()))}
        tell_in(tx, change.episode.id, Event.RENEWED, policies, ids=ids, facts=facts)
    else:
        note(change.kind, change.episode)


def _record_opened(tx: Tx, change: plan.Opened, policies: Policies, ids: Ids) -> None:
    episode = change.episode
    tx.add_episode(episode)
    tx.set_unconfirmed(episode.fingerprint, since=None)
    for freeze_reason in change.freeze_reasons:
        tx.add_freeze_reason(freeze_reason)
    for action in change.actions:
        tx.add_action(action)
    policy = policies.by_sha256.get(episode.policy_sha256)
    for notice in tell(episode, policy, Event.OPENED, now=tx.now, ids=ids):
        tx.add_action(notice)


def _record_unfrozen(tx: Tx, change: plan.Unfrozen, ids: Ids) -> None:
    freeze_reason = change.freeze_reason
    tx.end_freeze_reason(freeze_reason, by=change.by, reason=change.reason)
    if tx.freeze_reasons(flag=freeze_reason.flag, held=True):
        return
    unfreeze = Action(
        id=ids(tx.now),
        key=f"unfreeze:{freeze_reason.flag}:{freeze_reason.episode}",
        episode=freeze_reason.episode,
        service=change.episode.service,
        type=ActionType.UNFREEZE,
        name="unfreeze",
        created_at=tx.now,
        payload={"flag": freeze_reason.flag, "reason": change.reason, "by": change.by},
        trace=change.episode.trace,
    )
    tx.add_action(unfreeze)


def _tell_moved(tx: Tx, change: plan.Moved, policies: Policies, ids: Ids) -> None:
    """Announce `resolved` when no episode of the incident is open any more. Until then, an alert may come back.

    After a freeze there is no `resolved`, because `unfrozen` was announced already.
    """
    if change.to not in {EpisodeState.CLOSED, EpisodeState.EXPIRED}:
        return
    if change.to is EpisodeState.EXPIRED:
        tell_in(tx, change.episode.id, Event.EXPIRED, policies, ids=ids)
    if tx.freeze_reasons(episode=change.episode.id):
        return
    if not any(other.incident == change.episode.incident for other in tx.live_episodes(change.episode.service)):
        tell_in(tx, change.episode.id, Event.RESOLVED, policies, ids=ids)


def tell_in(
    tx: Tx,
    episode_id: str,
    event: Event,
    policies: Policies,
    *,
    ids: Ids,
    facts: Mapping[str, str] = EMPTY,
) -> None:
    """Store the notices of an event in this transaction. A stored notice with the same key stays as it is."""
    episode = tx.episode(episode_id)
    if episode is None:
        return
    policy = policies.by_sha256.get(episode.policy_sha256)
    for notice in tell(episode, policy, event, now=tx.now, ids=ids, facts=facts):
        tx.add_action(notice)
