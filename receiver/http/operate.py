"""Operators' requests over the API: freeze, unfreeze, roll back, acknowledge, cancel, send again; by whom, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from receiver.act import notices
from receiver.act.switch import SWITCH
from receiver.context import Context
from receiver.decide import by_hand, hosts
from receiver.decide.hosts import HostState
from receiver.decide.model import Action, ActionState, ActionType, Decision, parse_stamp
from receiver.decide.notice import Event
from receiver.decide.plan import Known, Opened
from receiver.http.incoming import RefusedError
from receiver.journal import Tx, View
from receiver.journal.record import record, tell_in
from receiver.logs import CURRENT
from receiver.plaintext import plain
from receiver.policy.model import FreezeAction, Policy, RollbackAction
from receiver.rollouts import RolloutsError
from receiver.run import runs

TEXT_MAX = 200
CARRIED_OUT_S = 3.0
"""How long a request to freeze or unfreeze waits for the flag on disk."""

UNFROZEN_AT_ONCE = 500
"""The most episodes that one transaction unfreezes."""


Operation = Callable[[Context, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def text(raw: Mapping[str, Any], key: str, *, required: bool = True) -> str:
    """A member of a request as plain text. Raises RefusedError for anything but text."""
    value = raw.get(key, "")
    if not isinstance(value, str) or (required and not value.strip()):
        raise RefusedError(422, f"`{key}` is missing or not text")
    return plain(value, TEXT_MAX)


def _service_policy(context: Context, service: str) -> Policy:
    """The policy for freezing a service by hand: the service's first policy with a flag."""
    policies = context.box.policies.of_service(service)
    for policy in policies:
        if any(isinstance(action, FreezeAction) for action in policy.actions.values()):
            return policy
    known = ", ".join(sorted({policy.service for policy in context.box.policies.in_force})) or "none"
    raise RefusedError(404, f"no policy freezes {service}; use one of: {known}")


def _opening(context: Context, fingerprint: str, decide: Callable[..., Opened], refusal: str) -> Callable[[Tx], str]:
    """Work that opens a person's episode and gives its identifier. While one is live, another is refused with 409."""
    trace = CURRENT.get()

    def work(tx: Tx) -> str:
        earlier = tx.newest_episodes([fingerprint]).get(fingerprint, [])
        if earlier and earlier[0].live:
            raise RefusedError(409, refusal)
        opened = decide(
            generation=earlier[0].generation + 1 if earlier else 1,
            known=Known(incident=tx.incident),
            now=tx.now,
            ids=context.ids,
            trace=trace,
        )
        record(tx, [opened], context.box.policies, ids=context.ids, trace=trace)
        return opened.episode.id

    return work


async def freeze(context: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze a service until an operator unfreezes the service: {service, reason, by?}."""
    service, reason, by = text(raw, "service"), text(raw, "reason"), text(raw, "by", required=False) or "operator"
    decide = partial(by_hand.on_operator_freeze, policy=_service_policy(context, service), reason=reason, by=by)
    refusal = f"{service} is frozen by hand already"
    work = _opening(context, f"operator:{service}", decide, refusal)
    episode = await context.journal.write(work)
    return {"service": service, "episode": episode, **await _carried_out(context, service, {episode})}


async def unfreeze(context: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Unfreeze a service, whatever its freeze reasons are: {service, reason, by?}."""
    service, reason, by = text(raw, "service"), text(raw, "reason"), text(raw, "by", required=False) or "operator"
    trace = CURRENT.get()

    flags: set[str] = set()

    def work(tx: Tx) -> bool:
        episodes = tx.freezing_episodes(service, limit=UNFROZEN_AT_ONCE)
        reasons = tx.freeze_reasons_of([episode.id for episode in episodes])
        freeze_reasons = [one for some in reasons.values() for one in some if one.ended_at is None]
        if not freeze_reasons and not flags:
            raise RefusedError(409, f"{service} is not frozen")
        changes = by_hand.on_operator_unfreeze(episodes, freeze_reasons, reason=reason, by=by)
        record(tx, changes, context.box.policies, ids=context.ids, trace=trace)
        flags.update(freeze_reason.flag for freeze_reason in freeze_reasons)
        return len(episodes) == UNFROZEN_AT_ONCE

    while await context.journal.write(work):
        pass
    return {"service": service, "flags": sorted(flags), **await _carried_out(context, service, ())}


async def rollback(context: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Roll a service back, and freeze the service: {service, reason, by?}.

    If a rollout of the service runs, the rollout is aborted instead: its engine takes the traffic away first.
    """
    service, reason, by = text(raw, "service"), text(raw, "reason"), text(raw, "by", required=False) or "operator"
    try:
        running = await asyncio.to_thread(context.rollouts.of_service, service)
        if running is not None and running.runs:
            asked = {"by": by, "reason": reason}
            at = context.host_clock().timestamp()
            await asyncio.to_thread(context.rollouts.ask, service, "AbortAsked", asked, at=at)
            return {"service": service, "episode": None, "rollout": running.id}
    except RolloutsError as error:
        raise RefusedError(503, f"the rollouts cannot be used: {error}") from error
    decide = partial(by_hand.on_operator_rollback, policy=_rollback_policy(context, service), reason=reason, by=by)
    refusal = f"{service} was rolled back by hand already: unfreeze the service first"
    work = _opening(context, by_hand.rollback_fingerprint(service), decide, refusal)
    return {"service": service, "episode": await context.journal.write(work), "rollout": None}


def _rollback_policy(context: Context, service: str) -> Policy:
    """The policy for rolling a service back by hand: the service's first policy with a rollback."""
    for policy in context.box.policies.of_service(service):
        if policy.rollbacks(policy.actions):
            return policy
    raise RefusedError(404, f"no policy rolls {service} back")


async def _carried_out(context: Context, service: str, episodes: Collection[str]) -> dict[str, Any]:
    """Wait a few seconds until the flags of a service are as an operator wants: with these episodes, or gone.

    The answer says whether the flags are, and if they are not yet, why. The receiver keeps trying in any case. Of
    several hosts, each host with a live receiver counts; why also names hosts without one.
    """
    flags = {flag for flag, policy in context.box.policies.flags().items() if policy.service == service}
    news = asyncio.Event()

    def on_commit(_head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        news.set()

    wanted, sharing = HostState.FROZEN if episodes else HostState.UNFROZEN, context.shared()

    def is_done(journal: View) -> bool:
        if sharing and any(hosts.waited_for(journal.host_flags(flag), wanted, sharing) for flag in flags):
            return False
        if not episodes:
            unfinished = (action for action in journal.unfinished_actions() if action.service == service)
            return not any(action.type is ActionType.UNFREEZE for action in unfinished)
        reasons = [reason for episode in episodes for reason in journal.freeze_reasons(episode=episode)]
        return all(reason.written_at is not None or reason.ended_at is not None for reason in reasons)

    context.journal.on_commit(on_commit)
    try:
        async with asyncio.timeout(CARRIED_OUT_S):
            while not await context.journal.read(is_done):
                await news.wait()
                news.clear()
    except TimeoutError:
        faults = context.faults.of("freeze")
        why = "; ".join(faults[flag].why for flag in sorted(flags & faults.keys()))
        return {"on_disk": False, "why": why or "the flag is not written yet"}
    finally:
        context.journal.off_commit(on_commit)
    return await _on_all_hosts(context, flags, wanted) if sharing else {"on_disk": True, "why": ""}


async def _on_all_hosts(context: Context, flags: Collection[str], wanted: HostState) -> dict[str, Any]:
    """Whether the flags are as wanted on each host with a live receiver, and what is wrong on any host."""
    sharing = context.sharing(context.clock())
    found = await context.journal.read(lambda view: [view.host_flags(flag) for flag in sorted(flags)])
    why = "; ".join(said for one in found for said in hosts.problems(one, wanted, sharing))
    live = all(one.is_as(wanted, sharing) for some in found for one in some if one.guards and one.is_live(sharing))
    return {"on_disk": live, "why": why}


async def acknowledge(context: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Acknowledge a service's incidents, which stops their escalation: {service, reason?, by?}.

    A repeat changes nothing.
    """
    service, reason = text(raw, "service"), text(raw, "reason", required=False)
    by = text(raw, "by", required=False) or "operator"
    why = f" ({reason})" if reason else ""

    def work(tx: Tx) -> dict[str, Any]:
        before = tx.acknowledgements(service)
        incidents = tx.unacknowledged(service)
        if not incidents and not before:
            raise RefusedError(409, f"{service} has nothing to acknowledge")
        for incident, first in incidents.items():
            tx.acknowledge(incident, by)
            sentence = f"{by} acknowledged {service}{why}: escalation stops"
            tx.note(Decision(kind="acknowledged", sentence=sentence, episode=first))
            facts = {"acknowledged_by": by, "why": reason}
            tell_in(tx, first, Event.ACKNOWLEDGED, context.box.policies, ids=context.ids, facts=facts)
        earlier = [{"incident": incident, "by": name} for incident, name in before.items() if incident not in incidents]
        return {"incidents": list(incidents), "before": earlier}

    return {"service": service, **await context.journal.write(work)}


async def cancel(context: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Cancel an action: {action, reason, by?}. Drops a pending action, ends a running one, undoes a finished one."""
    action_id, reason = text(raw, "action"), text(raw, "reason")
    by = text(raw, "by", required=False) or "operator"
    action = await context.journal.read(lambda journal: journal.action(action_id))
    if action is None:
        raise RefusedError(404, f"no action {action_id}")
    if action.type in {ActionType.FREEZE, ActionType.UNFREEZE}:
        raise RefusedError(409, f"a {action.type.value} cannot be cancelled: use freeze or unfreeze")
    if action.state in {ActionState.PENDING, ActionState.RETRY_WAIT}:
        return await _drop(context, action, reason, by)
    if action.type is not ActionType.ROLLBACK:
        raise RefusedError(409, f"a {action.type.value} in state {action.state.value} cannot be cancelled")
    if action.state in {ActionState.STARTING, ActionState.RUNNING} and context.leading.is_foreign(action.lease_owner):
        place = action.lease_owner.partition("#")[0]
        raise RefusedError(409, f"the rollback runs on {place}: cancel the rollback at the receiver there")
    undo = await _undo(context, action, reason, by)
    if action.state in {ActionState.STARTING, ActionState.RUNNING}:
        runs.request_cancel(runs.locate(context.runs_dir, action.id, action.attempt), f"{by}: {reason}")
        return {"action": action.id, "done": "the runner process was asked to end the command", "undo": undo}
    if undo is None:
        raise RefusedError(
            409, f"the rollback is {action.state.value}, and cannot be undone: no undo command, or too late"
        )
    return {"action": action.id, "done": "undo planned", "undo": undo}


async def _drop(context: Context, action: Action, reason: str, by: str) -> dict[str, Any]:
    def work(tx: Tx) -> None:
        current = tx.action(action.id)
        if current is None or current.state not in {ActionState.PENDING, ActionState.RETRY_WAIT}:
            raise RefusedError(409, "the action has begun meanwhile: cancel the action again")
        sentence = f"{by} cancelled {current.type.value} of {current.service}: {reason}"
        tx.note(Decision(kind="cancelled", sentence=sentence, episode=current.episode, action=current.id))
        tx.move(current, ActionState.CANCELLED, due_at=None, result={"cancelled_by": by, "reason": reason})
        if current.type is ActionType.ROLLBACK:
            facts = {"cancelled_by": by, "reason": reason}
            event = Event.ROLLBACK_CANCELLED
            tell_in(tx, current.episode, event, context.box.policies, ids=context.ids, facts=facts)

    await context.journal.write(work)
    if action.type in {ActionType.SWITCH, ActionType.SWITCH_BACK}:
        context.faults.report(SWITCH, action.payload["file"], "")
    return {"action": action.id, "done": "cancelled", "undo": None}


async def _undo(context: Context, action: Action, reason: str, by: str) -> str | None:
    """Plan the undo command, if the time for an undo is not over. The command waits until the rollback has ended."""

    def work(tx: Tx) -> str | None:
        episode = tx.episode(action.episode)
        policy = context.policy_of(episode) if episode else None
        spec = policy.actions.get(action.name) if policy else None
        started = action.result.get("started_at")
        if not isinstance(spec, RollbackAction) or spec.undo is None or spec.undo.check is None or started is None:
            return None
        if tx.now > parse_stamp(started) + timedelta(seconds=spec.undo.within_s):
            return None
        undo = Action(
            id=context.ids(tx.now),
            key=f"undo:{action.id}",
            episode=action.episode,
            service=action.service,
            type=ActionType.UNDO,
            name=action.name,
            created_at=tx.now,
            payload={"release": action.payload.get("release", ""), "by": by, "of": action.id},
            trace=CURRENT.get(),
        )
        sentence = f"{by} undoes the rollback of {action.service}: {reason}"
        tx.note(Decision(kind="undo", sentence=sentence, episode=action.episode, action=undo.id))
        tx.add_action(undo)
        return undo.id

    return await context.journal.write(work)


async def resend(context: Context, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Send dead letters once more: {action?}. Without an action, all dead letters."""
    wanted = text(raw, "action", required=False)

    def work(tx: Tx) -> list[str]:
        letters = [letter for letter in tx.dead_letters(1000) if wanted in {"", letter.id}]
        if wanted and not letters:
            raise RefusedError(404, f"no dead letter {wanted}")
        for letter in letters:
            sentence = f"An operator sends the notice to {letter.name} again"
            tx.note(Decision(kind="resent", sentence=sentence, episode=letter.episode, action=letter.id))
            tx.add_action(notices.again(letter, now=tx.now, new_id=context.ids(tx.now)))
        return [letter.id for letter in letters]

    return {"resent": await context.journal.write(work)}


OPERATIONS: Mapping[str, Operation] = {
    "freeze": freeze,
    "unfreeze": unfreeze,
    "ack": acknowledge,
    "cancel": cancel,
    "dlq": resend,
    "rollback": rollback,
}
"""The endpoints POST /api/v1/<name>."""
