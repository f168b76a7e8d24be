"""Writes the planner's changes into the journal, each with its decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from receiver.decide import plan
from receiver.decide.due_notices import tell
from receiver.decide.hosts import AboutHosts
from receiver.decide.model import EMPTY, Action, ActionState, ActionType, Decision, Episode, EpisodeState, Trace
from receiver.decide.notice import Event
from receiver.decide.plan import Change, Ids, span
from receiver.journal import Tx
from receiver.policy.model import Policies

_ENDS = {EpisodeState.CLOSED, EpisodeState.EXPIRED}


def record(
    tx: Tx, changes: Iterable[Change], policies: Policies, *, ids: Ids, trace: Trace, delivery: str = ""
) -> None:
    """Write changes in their order. Raises ForbiddenMoveError if a change contradicts the journal.

    What many changes bring about together is done once, after them: a flag goes with its last reason.
    """
    unfrozen: dict[str, plan.Unfrozen] = {}
    closed: list[Episode] = []
    ended: dict[str, str] = {}
    for change in changes:
        _record_one(tx, change, policies, ids=ids, trace=trace, delivery=delivery)
        if isinstance(change, plan.Unfrozen):
            unfrozen[change.freeze_reason.flag] = change
            ended[change.episode.id] = change.reason
        elif isinstance(change, plan.Moved) and change.to in _ENDS:
            closed.append(change.episode)
            ended.setdefault(change.episode.id, change.sentence)
    if ended:
        switch_back(tx, ended, ids)
    for flag, change in unfrozen.items():
        if not tx.is_held(flag):
            _remove_flag(tx, change, ids)
    if closed:
        _tell_resolved(tx, closed, policies, ids)


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
        if change.to is EpisodeState.RESOLVING:
            tx.leave_rollbacks(change.episode)
        elif change.to is EpisodeState.EXPIRED:
            tell_of(tx, change.episode, Event.EXPIRED, policies, ids=ids)
    elif isinstance(change, plan.Unfrozen):
        note("unfrozen", change.episode.id)
        tx.end_freeze_reason(change.freeze_reason, by=change.by, reason=change.reason)
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
        tell_of(tx, change.episode, Event.RENEWED, policies, ids=ids, facts=facts)
    else:
        note(change.kind, change.episode)


def _record_opened(tx: Tx, change: plan.Opened, policies: Policies, ids: Ids) -> None:
    episode = change.episode
    tx.add_episode(episode)
    tx.set_unconfirmed(episode.fingerprint, since=None)
    for freeze_reason in change.freeze_reasons:
        tx.add_freeze_reason(freeze_reason)
    for action in change.actions:
        if action.type is ActionType.ROLLBACK:
            _roll_back(tx, action, episode)
        elif action.type is ActionType.SWITCH:
            _switch(tx, action, episode)
        elif action.type is not ActionType.FREEZE or not tx.is_freezing(action.payload["flag"]):
            tx.add_action(action)
    tell_of(tx, episode, Event.OPENED, policies, ids=ids)


def _roll_back(tx: Tx, action: Action, episode: Episode) -> None:
    """Plan a rollback, unless the service's last rollback answers this alert too: the alert came before its end.

    A second rollback would never start, for that very reason.
    """
    for other in tx.unfinished_rollbacks(action.service):
        if _is_alike(other, action):
            tx.join(other.id, episode.id)
            return
    if any(_is_alike(other, action) for other in tx.ended_rollbacks(action.service, action.created_at)):
        return
    if tx.add_action(action):
        tx.join(action.id, episode.id)


def _switch(tx: Tx, action: Action, episode: Episode) -> None:
    """Plan a switch, unless the flag's newest switch does the same: the episode then shares this switch."""
    shared = tx.switch_to_join(action.payload)
    if shared is None:
        shared = action.id
        tx.add_action(action)
    tx.join(shared, episode.id)


def undone(tx: Tx, episode: str, ids: Ids) -> None:
    """Somebody undid a rollback. The feature flags of its episodes go back, unless one of them holds a freeze."""
    episodes = [one for switch in tx.switches_of([episode]) for one in tx.sharing_episodes(switch.id)]
    reasons = tx.freeze_reasons_of(episodes)
    if not any(reason.ended_at is None for some in reasons.values() for reason in some):
        switch_back(tx, dict.fromkeys(episodes, "the rollback was undone"), ids)


def _is_alike(one: Action, other: Action) -> bool:
    return one.name == other.name and one.payload.get("policy") == other.payload.get("policy")


def _remove_flag(tx: Tx, change: plan.Unfrozen, ids: Ids) -> None:
    freeze_reason = change.freeze_reason
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
    tx.legacy_switched(freeze_reason.flag, on=False)
    if tx.several:
        tx.hosts_are_to_unfreeze(freeze_reason.flag)


def switch_back(tx: Tx, ended: Mapping[str, str], ids: Ids) -> None:
    """Plan the end of every feature flag that only these episodes need. `ended` says why, by episode."""
    why = list(ended.values())[-1] if ended else ""
    for switch in tx.leave_switches(list(ended)):
        back = Action(
            id=ids(tx.now),
            key=f"switch_back:{switch.id}",
            episode=switch.episode,
            service=switch.service,
            type=ActionType.SWITCH_BACK,
            name=switch.name,
            created_at=tx.now,
            payload={**switch.payload, "of": switch.id, "reason": ended.get(switch.episode, why)},
            trace=switch.trace,
        )
        tx.add_action(back)


def _tell_resolved(tx: Tx, closed: Sequence[Episode], policies: Policies, ids: Ids) -> None:
    """Announce `resolved` when no episode of the incident is open any more. Until then, an alert may come back.

    After a freeze there is no `resolved`, because `unfrozen` was announced already.
    """
    froze = tx.freeze_reasons_of([episode.id for episode in closed])
    last = {(one.incident, one.service): one for one in closed if one.id not in froze}
    for (incident, service), episode in last.items():
        if not tx.is_live(incident, service):
            tell_of(tx, episode, Event.RESOLVED, policies, ids=ids)


def tell_in(
    tx: Tx,
    episode_id: str,
    event: Event,
    policies: Policies,
    *,
    ids: Ids,
    facts: Mapping[str, str] = EMPTY,
    which: str = "",
    hosts: AboutHosts | None = None,
) -> None:
    """Do as `tell_of` for an episode that the journal knows."""
    episode = tx.episode(episode_id)
    if episode is not None:
        tell_of(tx, episode, event, policies, ids=ids, facts=facts, which=which, hosts=hosts)


def tell_of(
    tx: Tx,
    episode: Episode,
    event: Event,
    policies: Policies,
    *,
    ids: Ids,
    facts: Mapping[str, str] = EMPTY,
    which: str = "",
    hosts: AboutHosts | None = None,
) -> None:
    """Store the notices of an event in this transaction. A stored notice with the same key stays as it is.

    `which` tells events of one kind apart, such as those of different feature flags. `hosts`: the notice tells which
    hosts have a flag, and may wait for them. Later notices of the incident then wait as long, so that all keep their
    order.

    The keys are those of the incident, so the rule's second episode in one transaction has nothing to add.
    """
    kind = (episode.service, episode.incident, episode.policy_sha256, episode.rule, event.value, which)
    if kind in tx.answers.told:
        return
    tx.answers.told.add(kind)
    policy = policies.by_sha256.get(episode.policy_sha256)
    for notice in tell(episode, policy, event, now=tx.now, ids=ids, facts=facts, which=which):
        tx.add_action(_in_turn(tx, notice, hosts) if tx.several else notice)


def _in_turn(tx: Tx, notice: Action, hosts: AboutHosts | None) -> Action:
    """The notice, due when the hosts are known of which the notice or an earlier one of the incident tells."""
    flag, due_at = (hosts.flag, hosts.due_at) if hosts else ("", None)
    payload = {**notice.payload, "flag": flag} if flag else notice.payload
    waiting = tx.waiting_notice(notice.service, notice.payload["incident"]) if due_at is None else (flag, due_at)
    if waiting is None:
        return replace(notice, payload=payload)
    return replace(notice, payload={**payload, "waits_for": waiting[0]}, due_at=waiting[1])
