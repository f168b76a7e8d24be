"""Setting feature flags: a flag in flagd's file follows the switches in the journal.

Before the file changes, the journal holds what the receiver will write, and what was there. Every step can therefore be
repeated after a kill. The receiver never stops trying, and never writes over a person's change on the way back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from receiver.act import flagd
from receiver.context import Context
from receiver.decide import feature_flags
from receiver.decide.feature_flags import Return, Switches, Written
from receiver.decide.model import FINAL_STATES, Action, ActionState, ActionType, Decision
from receiver.decide.notice import Event
from receiver.journal import Tx
from receiver.journal.record import tell_in
from receiver.steps import Step

SWITCH = "switch"
"""The kind of faults that this module reports: a feature flag is not as the journal wants."""

RETRY_S = 5.0
"""How long the receiver waits before another try: a person may repair the file at any time."""

_TO_RUNNING = (ActionState.STARTING, ActionState.RUNNING)


async def perform(context: Context, file: str, _actions: Sequence[Action]) -> None:
    """Make every flag of one file match its holders."""
    view = await context.journal.read(lambda journal: journal.switches(file))
    failed = ""
    for flag in view.flags():
        unfinished = view.unfinished(flag)
        now = context.clock()
        if not any(one.due_at is None or one.due_at <= now for one in unfinished):
            failed = failed or unfinished[0].result.get("error", "")
            continue
        job = _Job(context, view, flag)
        try:
            await (job.set() if view.holders(flag) else job.set_back())
        except (flagd.FlagdError, OSError) as error:
            failed = str(error)
            await job.retry(failed)
    context.faults.report(SWITCH, file, failed)


class _Job:
    """One flag of one file."""

    def __init__(self, context: Context, view: Switches, flag: str) -> None:
        self._context = context
        self._view = view
        self._flag = flag
        self._path = Path(view.file)
        self._holders = view.holders(flag)

    async def set(self) -> None:
        """Give the flag the newest holder's variant, and end all actions of the flag. Raises FlagdError, OSError."""
        newest = self._holders[-1]
        variant = newest.payload["variant"]
        found = await asyncio.to_thread(flagd.read, self._path)
        found.check(self._flag, variant)
        current, last = found.values(self._flag), self._view.written(self._flag)
        wanted = feature_flags.to_write(newest, current, last)
        if current != wanted.ours:
            newest = await self._intend(newest, wanted)
            await asyncio.to_thread(flagd.write, found, self._flag, wanted.ours, self._context.reached)
        was = flagd.shown(wanted.before)
        sentence = f"{self._path}: {self._flag} is {variant} for now, and was {was}"
        await self._end(wanted, newest, Event.FEATURE_FLAG_SET, sentence)

    async def _intend(self, newest: Action, wanted: Written) -> Action:
        """Remember what is about to be written, and what is there now."""
        result = {**newest.result, **wanted.facts()}
        kept = await self._context.journal.write(lambda tx: tx.move(newest, result=result))
        self._holders[-1] = kept
        self._context.reached(Step.SWITCH_INTENT_RECORDED)
        return kept

    async def set_back(self) -> None:
        """Give the flag its values from before the first switch. Raises FlagdError, OSError."""
        last = self._view.written(self._flag)
        back = self._view.unfinished(self._flag)[-1]
        if last is None:
            await self._end(None, back, None, f"{self._path}: {self._flag} was never set")
            return
        found = await asyncio.to_thread(flagd.read, self._path)
        try:
            current = found.values(self._flag)
        except flagd.MissingFlagError:
            current = None
        fate = feature_flags.on_return(current, last)
        if fate is Return.WRITE:
            await asyncio.to_thread(flagd.write, found, self._flag, last.before, self._context.reached)
        if fate is Return.KEEP:
            now = "gone" if current is None else flagd.shown(current)
            sentence = f"{self._path}: somebody changed {self._flag} meanwhile, so the flag stays as it is: {now}"
            await self._end(None, back, Event.FEATURE_FLAG_KEPT, sentence)
        else:
            sentence = f"{self._path}: {self._flag} is {flagd.shown(last.before)} again"
            await self._end(None, back, Event.FEATURE_FLAG_BACK, sentence)

    async def _end(self, wanted: Written | None, leading: Action, event: Event | None, sentence: str) -> None:
        """End every action of the flag in one transaction, and tell people once."""
        held = {one.id for one in self._holders}
        news = any(one.id in held or not held for one in self._view.unfinished(self._flag))

        def record(tx: Tx) -> list[Action]:
            ended = [self._end_one(tx, one, wanted, sentence) for one in self._holders]
            others = [one for one in self._view.unfinished(self._flag) if one.id not in held]
            ended += [self._end_one(tx, one, None, sentence) for one in others]
            kind = event.value if event else "feature_flag"
            tx.note(Decision(kind=kind, sentence=sentence, episode=leading.episode, action=leading.id))
            if event is not None and news:
                self._tell(tx, leading, event, {"sentence": sentence})
            return [one for one in ended if one.state in FINAL_STATES]

        before = {one.id for one in self._holders if one.state in FINAL_STATES}
        for done in await self._context.journal.write(record):
            if done.id not in before:
                self._context.meters.ended(done, self._context.clock())
        self._context.reached(Step.SWITCH_RECORDED)

    def _end_one(self, tx: Tx, action: Action, wanted: Written | None, sentence: str) -> Action:
        """A holder succeeds, and a switch that came too late is cancelled. A finished holder learns what is written."""
        result = {**action.result, **(wanted.facts() if wanted else {}), "sentence": sentence}
        result.pop("error", None)
        if action.state in FINAL_STATES:
            return tx.move(action, result=result)
        if wanted is None and action.type is ActionType.SWITCH:
            return tx.move(action, ActionState.CANCELLED, due_at=None, result=result)
        again = (ActionState.PENDING,) if action.state is ActionState.RETRY_WAIT else ()
        path = (*again, *_TO_RUNNING, ActionState.SUCCEEDED)
        return tx.move(action, *path, attempt=action.attempt + 1, due_at=None, result=result)

    def _tell(self, tx: Tx, action: Action, event: Event, facts: dict[str, str]) -> None:
        policies, which = self._context.box.policies, f"{self._path}:{self._flag}"
        tell_in(tx, action.episode, event, policies, ids=self._context.ids, facts=facts, which=which)

    async def retry(self, why: str) -> None:
        """Wait and try again, for ever. The journal and people are told of the first failure, and of another cause."""
        unfinished = await self._context.journal.read(
            lambda journal: journal.switches(self._view.file).unfinished(self._flag)
        )
        error = why[:500]

        def record(tx: Tx) -> None:
            due_at = tx.now + timedelta(seconds=RETRY_S)
            for action in unfinished:
                if action.result.get("error") != error:
                    sentence = f"{self._flag} could not be set ({why}): the receiver keeps trying"
                    kind = Event.FEATURE_FLAG_FAILED
                    tx.note(Decision(kind=kind.value, sentence=sentence, episode=action.episode, action=action.id))
                    self._tell(tx, action, kind, {"error": why[:200]})
                again = (ActionState.PENDING,) if action.state is ActionState.RETRY_WAIT else ()
                tx.move(
                    action,
                    *again,
                    *_TO_RUNNING,
                    ActionState.RETRY_WAIT,
                    attempt=action.attempt + 1,
                    failures=action.failures + 1,
                    due_at=due_at,
                    result={**action.result, "error": error},
                )

        await self._context.journal.write(record)
