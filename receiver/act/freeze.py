"""Freezing: the flag on disk follows the freeze reasons in the journal, and legacy freezers follow the flag.

The receiver never misses a freeze, never writes half a flag, and never stops trying. After a kill, every step can be
repeated with the same result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from receiver.act import flagfile, found, hosts, legacy
from receiver.context import Context
from receiver.decide import retry
from receiver.decide.model import Action, ActionState, ActionType, Decision, FlagFile, FlagView, stamp_ms
from receiver.decide.notice import Event
from receiver.decide.plan import BY_OPERATOR, unfreeze_when
from receiver.journal import Tx
from receiver.journal.record import tell_in, tell_of
from receiver.policy.model import FreezeAction
from receiver.steps import Step

log = logging.getLogger(__name__)

TOLD_MAX = 3
"""The most reasons that one sentence tells."""

FLAG_RETRY_S = 2.0
"""How long the receiver waits before another try to write or remove a flag: the disk may be all right at any time."""

FREEZE = "freeze"
"""The kind of faults that this module reports: a flag on disk is not as the journal wants."""

_TO_RUNNING = (ActionState.STARTING, ActionState.RUNNING)


async def perform(context: Context, flag: str, _actions: Sequence[Action]) -> None:
    """Make one flag and its legacy freezers match the flag's freeze reasons."""
    await bring_into_line(context, await context.journal.read(lambda journal: journal.flag_view(flag)))


async def bring_into_line(context: Context, view: FlagView) -> None:
    """Do as `perform`, but with a given view of the flag. A new reason is on disk one read of the journal sooner."""
    flag = view.path
    if not view.freeze_reasons and await found.take_up(context, view):
        view = await context.journal.read(lambda journal: journal.flag_view(flag))
    while view.freeze_reasons and not flagfile.is_up_to_date(view):
        if not await _freeze(context, view):
            return
        # Reasons may have come or gone while the flag was written.
        view = await context.journal.read(lambda journal: journal.flag_view(flag))
    if view.freeze_reasons:
        await _finish_freezes(context, view)
    else:
        await _unfreeze(context, view)


async def repair(context: Context, flag: str) -> None:
    """Make a flag match the journal, after a kill or after somebody changed the flag by hand."""
    view = await context.journal.read(lambda journal: journal.flag_view(flag))
    if not view.freeze_reasons:
        if not view.unfinished and not await found.take_up(context, view):
            context.faults.report(FREEZE, flag, "")
        return
    if view.file is None or not flagfile.is_up_to_date(view):
        if not view.unfinished:
            await perform(context, flag, ())
        return
    try:
        await _restore(context, view, view.file)
        if not _names_rollbacks(view):
            await name_rollbacks(context, flag)
    except (OSError, flagfile.FlagDirectoryError) as error:
        await _missing(context, view, f"{flag}: {error}")


async def _restore(context: Context, view: FlagView, file: FlagFile) -> None:
    on_disk = await asyncio.to_thread(flagfile.read_flag, Path(view.path))
    if on_disk == file.text:
        context.faults.report(FREEZE, view.path, "")
        await hosts.restored(context, view.path, file.service)
        return
    what = "was removed by hand" if on_disk is None else "was edited by hand"
    sentence = f"{view.path} {what}: the receiver restored the flag"
    await _write(context, view, file, kind="flag_restored", sentence=sentence)
    log.warning("flag.restored", extra={"flag": view.path, "why": what})


async def _missing(context: Context, view: FlagView, why: str) -> None:
    """A flag that was on disk is gone and cannot be restored: people are told once, and the loops keep trying."""
    if not context.faults.report(FREEZE, view.path, why):
        return
    await hosts.failed(context, view, why)

    def record(tx: Tx) -> None:
        episode = view.freeze_reasons[0].episode
        tx.note(Decision(kind="freeze_failed", sentence=f"The flag cannot be restored: {why}", episode=episode))
        facts = {"error": why[:200]}
        about = hosts.about(context, tx, view.path, Event.FREEZE_FAILED)
        tell_in(tx, episode, Event.FREEZE_FAILED, context.box.policies, ids=context.ids, facts=facts, hosts=about)

    await context.journal.write(record)


async def name_rollbacks(context: Context, flag: str) -> None:
    """Write a flag again, so that the flag names a rollback that begins. Another journal will find the name there."""
    async with context.flag_lock(flag):
        view = await context.journal.read(lambda journal: journal.flag_view(flag))
        if view.file is None or not flagfile.is_up_to_date(view) or _names_rollbacks(view):
            return
        try:
            await _put(context, view, view.file, kind="flag_rewritten", sentence=f"{flag} names the rollback")
        except (OSError, flagfile.FlagDirectoryError) as error:
            context.faults.report(FREEZE, flag, f"{flag}: {error}")


def _names_rollbacks(view: FlagView) -> bool:
    text = view.file.text if view.file else None
    return not flagfile.lacks_rollbacks(text, (rollback.id for rollback in view.rollbacks))


async def _freeze(context: Context, view: FlagView) -> bool:
    """Write the flag. If this fails and must wait for a retry: False."""
    try:
        await _write(context, view, view.file, kind="frozen", sentence=_sentence(view))
    except (OSError, flagfile.FlagDirectoryError) as error:
        why = f"{view.path}: {error}"
        waiting = [action for action in view.unfinished if action.type is ActionType.FREEZE]
        if not waiting:
            await _missing(context, view, why)
        context.faults.report(FREEZE, view.path, why)
        await hosts.failed(context, view, why)
        for action in waiting:
            await _retry(context, action, why, delay_s=FLAG_RETRY_S)
        return False
    return True


async def _write(context: Context, view: FlagView, before: FlagFile | None, *, kind: str, sentence: str) -> None:
    async with context.flag_lock(view.path):
        await _put(context, view, before, kind=kind, sentence=sentence)


async def _put(context: Context, view: FlagView, before: FlagFile | None, *, kind: str, sentence: str) -> None:
    """Write the flag and record this, or hold a foreign flag instead. The caller holds the flag's lock."""
    at = context.clock()
    generation = (before.generation if before else 0) + 1
    text = flagfile.flag_text(
        view,
        generation=generation,
        host=context.host,
        written_at=stamp_ms(at),
        unfreeze_when=unfreeze_texts(context, view),
    )
    if await _found_instead(context, view, text):
        return
    done = context.clock()
    context.faults.report(FREEZE, view.path, "")
    for freeze_reason in view.unwritten:
        context.meters.to_flag.observe((done - freeze_reason.since).total_seconds())
    service = next(iter(view.episodes.values())).service
    file = FlagFile(
        path=view.path,
        service=service,
        generation=generation,
        text=text,
        written_at=done,
        legacy_on=before is not None and before.legacy_on,
    )

    def record(tx: Tx) -> None:
        new = [freeze_reason.episode for freeze_reason in view.unwritten]
        tx.freeze_reasons_written(view.path, new, file)
        hosts.wrote(context, tx, view.path, service)
        event, told = Event.FROZEN, new
        if kind == "flag_restored":
            event, told = Event.FLAG_RESTORED, [view.freeze_reasons[0].episode]
        for episode in tx.first_of_each(told):
            about = hosts.about(context, tx, view.path, event)
            tell_of(tx, episode, event, context.box.policies, ids=context.ids, hosts=about)
        newest = new[-1] if new else view.freeze_reasons[-1].episode
        tx.note(Decision(kind=kind, sentence=sentence, episode=newest))

    await context.journal.write(record)
    context.reached(Step.FREEZE_FLAG_RECORDED)


async def _found_instead(context: Context, view: FlagView, text: str) -> bool:
    """Write the flag's text. True if there is a foreign flag, which has become a new reason, and nothing is written."""
    path = Path(view.path)
    if found.is_foreign(view):
        # One call looks and writes: a thread less between an alert and its flag.
        there = await asyncio.to_thread(flagfile.write_new_flag, path, text, context.reached)
        if there is None:
            return False
        if await found.hold(context, view.path, there):
            return True
    await asyncio.to_thread(flagfile.write_flag, path, text, context.reached)
    return False


def _sentence(view: FlagView) -> str:
    texts = list(dict.fromkeys(freeze_reason.reason for freeze_reason in view.unwritten))
    if not texts:
        return f"{view.path} rewritten: a freeze reason ended"
    more = [f"{len(texts) - TOLD_MAX} more reasons"] if len(texts) > TOLD_MAX else []
    return f"{view.path} written: {'; '.join([*texts[:TOLD_MAX], *more])}"


def unfreeze_texts(context: Context, view: FlagView) -> Mapping[str, str]:
    """For each episode of a flag, what ends its freeze."""
    texts = {}
    for episode in view.episodes.values():
        policy = context.policy_of(episode)
        rule = policy.rule(episode.rule) if policy else None
        texts[episode.id] = unfreeze_when(rule.unfreeze) if rule else BY_OPERATOR
    return texts


async def _finish_freezes(context: Context, view: FlagView) -> None:
    """Switch legacy freezers on, end the unfinished freeze actions, and drop unfreeze actions that came too late."""
    now = context.clock()
    overtaken = [action for action in view.unfinished if action.type is ActionType.UNFREEZE]
    await _drop(context, overtaken, "a new freeze came first")
    waiting = [
        action
        for action in view.unfinished
        if action.type is ActionType.FREEZE and (action.due_at is None or action.due_at <= now)
    ]
    if waiting:
        await _drive_on(context, view, waiting)


async def _drive_on(context: Context, view: FlagView, actions: Sequence[Action]) -> None:
    """Switch a flag's legacy freezers on, unless they are on, and end the freeze actions together."""
    problems: list[str] = []
    if view.file is None or not view.file.legacy_on:
        driven: set[str] = set()
        for action in actions:
            episode = await context.journal.read(lambda journal, wanted=action.episode: journal.episode(wanted))  # type: ignore[misc]
            policy = context.policy_of(episode) if episode else None
            freeze = policy.actions.get(action.name) if policy else None
            if isinstance(freeze, FreezeAction) and freeze.legacy and policy and policy.sha256 not in driven:
                driven.add(policy.sha256)
                problems += await legacy.drive(freeze, episode, on=True)
    context.reached(Step.FREEZE_LEGACY_DRIVEN)
    if problems:
        for action in actions:
            await _retry(context, action, "; ".join(problems))
        return

    def record(tx: Tx) -> list[Action]:
        if tx.is_held(view.path):
            tx.legacy_switched(view.path, on=True)
        sentence = f"{view.path} is on disk, and all legacy freezers are on"
        return [_succeed(tx, action, "freeze_done", sentence) for action in actions]

    for done in await context.journal.write(record):
        context.meters.ended(done, context.clock())
    context.reached(Step.FREEZE_RECORDED)


async def _unfreeze(context: Context, view: FlagView) -> None:
    """Remove a flag that has no reason left, and switch its legacy freezers off."""
    now = context.clock()
    await _drop(
        context,
        [action for action in view.unfinished if action.type is ActionType.FREEZE],
        "the service was unfrozen before the freeze was complete",
    )
    unfreezes = [
        action
        for action in view.unfinished
        if action.type is ActionType.UNFREEZE and (action.due_at is None or action.due_at <= now)
    ]
    for action in unfreezes:
        context.reached(Step.UNFREEZE_PLANNED)
        try:
            async with context.flag_lock(view.path):
                await asyncio.to_thread(flagfile.remove_flag, Path(view.path))
        except (OSError, flagfile.FlagDirectoryError) as error:
            context.faults.report(FREEZE, view.path, f"the flag cannot be removed: {error}")
            await hosts.failed(context, view, f"{view.path}: {error}")
            await _retry(context, action, f"{view.path}: {error}", delay_s=FLAG_RETRY_S)
            continue
        context.faults.report(FREEZE, view.path, "")
        context.reached(Step.UNFREEZE_FLAG_REMOVED)
        await _finish_unfreeze(context, view, action)


async def _finish_unfreeze(context: Context, view: FlagView, action: Action) -> None:
    episode = await context.journal.read(lambda journal: journal.episode(action.episode))
    if episode is not None:
        policy = context.policy_of(episode)
        for freeze in policy.actions.values() if policy else ():
            if isinstance(freeze, FreezeAction) and freeze.flag == view.path:
                problems = await legacy.drive(freeze, episode, on=False)
                if problems:
                    await _retry(context, action, "; ".join(problems))
                    return
    context.reached(Step.UNFREEZE_LEGACY_DRIVEN)
    generation = view.file.generation if view.file else 0

    def record(tx: Tx) -> Action:
        done = _succeed(tx, action, "flag_removed", f"{view.path} removed: {action.payload.get('reason', '')}")
        at = context.clock()
        tx.put_flag_file(
            FlagFile(path=view.path, service=action.service, generation=generation, text=None, written_at=at)
        )
        hosts.removed(context, tx, view.path, action.service)
        facts = {
            "ended_by": action.payload.get("by", ""),
            "end_reason": action.payload.get("reason", ""),
        }
        about = hosts.about(context, tx, view.path, Event.UNFROZEN)
        tell_in(tx, action.episode, Event.UNFROZEN, context.box.policies, ids=context.ids, facts=facts, hosts=about)
        return done

    done = await context.journal.write(record)
    context.meters.ended(done, context.clock())
    context.reached(Step.UNFREEZE_RECORDED)


def _succeed(tx: Tx, action: Action, kind: str, sentence: str) -> Action:
    tx.note(Decision(kind=kind, sentence=sentence, episode=action.episode, action=action.id))
    again = (ActionState.PENDING,) if action.state is ActionState.RETRY_WAIT else ()
    return tx.move(action, *again, *_TO_RUNNING, ActionState.SUCCEEDED, attempt=action.attempt + 1, due_at=None)


async def _drop(context: Context, actions: Sequence[Action], why: str) -> None:
    def record(tx: Tx) -> None:
        for action in actions:
            tx.note(
                Decision(
                    kind="cancelled",
                    sentence=f"{action.type.value} of {action.payload.get('flag', '')} dropped: {why}",
                    episode=action.episode,
                    action=action.id,
                )
            )
            tx.move(action, ActionState.CANCELLED)

    if actions:
        await context.journal.write(record)


async def _retry(context: Context, action: Action, why: str, *, delay_s: float | None = None) -> None:
    """Wait and try again, for ever. The journal and people are told of the first failure, and of another cause."""
    now = context.clock()
    failures = action.failures + 1
    if delay_s is None:
        delay_s = _backoff_s(context, failures)
    freezing = action.type is ActionType.FREEZE
    event = Event.FREEZE_FAILED if freezing else Event.UNFREEZE_FAILED
    error = why[:500]

    def record(tx: Tx) -> None:
        if action.result.get("error") != error:
            what = f"{action.type.value} of {action.payload.get('flag', '')}"
            sentence = f"{what} failed ({why}): the receiver keeps trying"
            tx.note(Decision(kind=event.value, sentence=sentence, episode=action.episode, action=action.id))
            facts = {"error": why[:200]}
            about = hosts.about(context, tx, action.payload.get("flag", ""), event)
            tell_in(tx, action.episode, event, context.box.policies, ids=context.ids, facts=facts, hosts=about)
        again = (ActionState.PENDING,) if action.state is ActionState.RETRY_WAIT else ()
        tx.move(
            action,
            *again,
            *_TO_RUNNING,
            ActionState.RETRY_WAIT,
            attempt=action.attempt + 1,
            failures=failures,
            due_at=now + timedelta(seconds=delay_s),
            result={"error": error},
        )

    await context.journal.write(record)


def _backoff_s(context: Context, failures: int) -> float:
    delay = retry.after_failure(retry.Kind.TEMPORARY, failures=failures, jitter=context.jitter(), forever=True)
    return delay.delay_s if isinstance(delay, retry.Retry) else retry.BACKOFF_S[-1]
