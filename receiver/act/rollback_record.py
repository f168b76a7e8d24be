"""Records what becomes of a rollback: the state of each step, its sentence, and the notices about the step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from receiver.act.rollback_rules import Skip
from receiver.context import Context
from receiver.decide import retry
from receiver.decide.model import EMPTY, Action, ActionState, ActionType, Decision, Episode
from receiver.decide.notice import Event
from receiver.journal import Tx
from receiver.journal.record import tell_in, undone
from receiver.plaintext import plain
from receiver.policy.model import RollbackAction
from receiver.run import runs
from receiver.run.rundir import Outcome, Result

RETRY_LONG_S = 300.0


class Recorder:
    """Records one rollback's steps and end."""

    def __init__(self, context: Context, episode: Episode, spec: RollbackAction) -> None:
        self._context = context
        self._episode = episode
        self._spec = spec

    def skipped(self, tx: Tx, action: Action, skip: Skip) -> Action:
        """The rollback is not started."""
        after = self._move(tx, action, (ActionState.SKIPPED,), kind="skipped", sentence=f"not started: {skip.why}")
        self._tell(tx, action, Event.ROLLBACK_SKIPPED, {"error": skip.why})
        return after

    def not_prepared(self, tx: Tx, action: Action, problem: str) -> Action:
        """The run's directory could not be written. Nothing ran, so the receiver waits and tries again."""
        due_at = tx.now + self._delay(action)
        self._note(tx, action, "postponed", f"{problem}: next attempt at {due_at:%H:%M:%S}")
        self._tell(tx, action, Event.ROLLBACK_FAILED, {"error": problem})
        return tx.move(
            action, failures=action.failures + 1, due_at=due_at, result={**action.result, "error": problem[:500]}
        )

    async def running(self, action: Action) -> Action:
        """A runner has claimed the run."""
        now = self._context.clock()
        deadline = now + timedelta(seconds=self._spec.timeout_s + self._spec.grace_s)

        def record(tx: Tx) -> Action:
            release = action.payload.get("release", "")
            self._note(tx, action, "running", f"runs {self._spec.command[0]} for {release or 'an unknown release'}")
            if action.type is ActionType.ROLLBACK:
                self._tell(tx, action, Event.ROLLBACK_STARTED)
            changes = {"deadline_at": deadline, "result": {**action.result, "started_at": now.isoformat()}}
            return tx.move(action, ActionState.RUNNING, **changes)

        return await self._context.journal.write(record)

    async def never_ran(self, action: Action, *, attempts_max: int) -> Action:
        """The command of this attempt never ran and never will, so the next attempt may start."""

        def record(tx: Tx) -> Action:
            due_at = tx.now + self._delay(action) if action.attempt >= attempts_max else None
            self._note(
                tx, action, "never_ran", f"attempt {action.attempt} never ran its command: another attempt may start"
            )
            # The release may change before the next start: until then, the key is the episode's.
            key = f"rollback:{action.service}:episode:{action.episode}"
            if action.type is not ActionType.ROLLBACK:
                key = action.key
            return tx.move(action, ActionState.PENDING, due_at=due_at, key=key)

        return await self._context.journal.write(record)

    async def ended(self, action: Action, found: runs.RunState) -> Action:
        """The command ended, or the runner vanished. If there is a verify command, that command decides."""
        path, sentence, facts = _fate(found)
        verifies = self._spec.verify is not None

        def record(tx: Tx) -> Action:
            steps = path
            if path[-1] in {ActionState.TIMED_OUT, ActionState.INTERRUPTED}:
                steps = (*path, ActionState.VERIFYING if verifies else ActionState.DEAD)
            elif path[-1] in {ActionState.SUCCEEDED, ActionState.DEAD} and verifies and facts.get("started") == "yes":
                steps = (ActionState.VERIFYING,)
            if action.type is ActionType.ROLLBACK and action.state is ActionState.STARTING:
                self._tell(tx, action, Event.ROLLBACK_STARTED)  # the receiver that started it was killed before
            after = self._move(tx, action, steps, kind="ended", sentence=sentence, result=facts)
            self._tell_end(tx, after, sentence)
            return after

        return self._counted(await self._context.journal.write(record))

    async def unverifiable(self, action: Action) -> None:
        """The verify command is gone from the policy, so nothing can confirm the rollback."""
        await self.verified(action, done=False, why="the policy has no verify command any more")

    async def verified(self, action: Action, *, done: bool, why: str) -> None:
        """The verify command has answered, or cannot answer."""
        end = ActionState.SUCCEEDED if done else ActionState.DEAD
        steps = (end,) if action.state is ActionState.VERIFYING else (ActionState.VERIFYING, end)
        sentence = "verified as done" if done else f"could not be verified: {plain(why, 200)}"

        def record(tx: Tx) -> Action:
            after = self._move(tx, action, steps, kind="verified", sentence=sentence)
            self._tell_end(tx, after, sentence)
            return after

        self._counted(await self._context.journal.write(record))

    def _tell_end(self, tx: Tx, action: Action, sentence: str) -> None:
        undo = action.type is ActionType.UNDO
        if action.state is ActionState.SUCCEEDED:
            facts = {"duration": _duration(action, tx.now), "cancelled_by": action.payload.get("by", "")}
            if undo:
                undone(tx, action.episode, self._context.ids)
            self._tell(tx, action, Event.ROLLBACK_UNDONE if undo else Event.ROLLBACK_DONE, facts)
        elif action.state is ActionState.DEAD:
            error = f"undo failed: {sentence}" if undo else sentence
            self._tell(tx, action, Event.ROLLBACK_FAILED, {"error": error})
        elif action.state is ActionState.CANCELLED:
            self._tell(tx, action, Event.ROLLBACK_CANCELLED, {"reason": sentence})

    def _delay(self, action: Action) -> timedelta:
        delay = retry.after_failure(
            retry.Kind.TEMPORARY, failures=action.failures + 1, jitter=self._context.jitter(), forever=True
        )
        return timedelta(seconds=delay.delay_s if isinstance(delay, retry.Retry) else RETRY_LONG_S)

    def _note(self, tx: Tx, action: Action, kind: str, sentence: str) -> None:
        tx.note(
            Decision(
                kind=f"{action.type.value}_{kind}",
                sentence=f"{action.type.value} of {action.service}: {sentence}",
                episode=action.episode,
                action=action.id,
                trace_id=action.trace.trace_id,
            )
        )

    def _move(
        self,
        tx: Tx,
        action: Action,
        steps: tuple[ActionState, ...],
        *,
        kind: str,
        sentence: str,
        result: Mapping[str, str] = EMPTY,
    ) -> Action:
        self._note(tx, action, kind, sentence)
        return tx.move(action, *steps, due_at=None, result={**action.result, **result, "sentence": sentence})

    def _tell(self, tx: Tx, action: Action, event: Event, facts: Mapping[str, str] = EMPTY) -> None:
        known = {"release": action.payload.get("release", ""), **facts}
        tell_in(tx, action.episode, event, self._context.box.policies, ids=self._context.ids, facts=known)

    def _counted(self, action: Action) -> Action:
        if action.state in {ActionState.SUCCEEDED, ActionState.DEAD, ActionState.CANCELLED}:
            self._context.meters.ended(action, self._context.clock())
        return action


def _duration(action: Action, now: datetime) -> str:
    started = action.result.get("started_at")
    return f"{(now - datetime.fromisoformat(started)).total_seconds():.1f} s" if started else ""


Fate = tuple[tuple[ActionState, ...], str, Mapping[str, str]]


def _fate(found: runs.RunState) -> Fate:
    """What a run's state means: the action's states (before any verification), a sentence, and facts."""
    if isinstance(found, runs.Finished):
        return _fate_of_result(found.result)
    if isinstance(found, runs.Interrupted):
        return (
            (ActionState.INTERRUPTED,),
            f"the runner process is gone: {plain(found.reason, 200)}",
            {"outcome": "interrupted"},
        )
    if isinstance(found, runs.Alive):
        return (ActionState.INTERRUPTED,), "the runner process cannot be ended", {"outcome": "interrupted"}
    return (ActionState.INTERRUPTED,), "the runner process claimed the run, but ran nothing", {"outcome": "interrupted"}


def _fate_of_result(result: Result) -> Fate:
    facts = {
        "outcome": result.outcome.value,
        "code": "" if result.code is None else str(result.code),
        "signal": "" if result.signal is None else str(result.signal),
        "killed": str(result.killed),
        "started": "yes" if result.started_at is not None else "no",
    }
    outcome = result.outcome
    if outcome is Outcome.TIMED_OUT:
        return (ActionState.TIMED_OUT,), "the command took too long and was ended", facts
    if outcome is Outcome.CANCELLED:
        return (ActionState.CANCELLED,), f"cancelled: {plain(result.reason, 200)}", facts
    if outcome is Outcome.SPAWN_FAILED:
        return (ActionState.DEAD,), f"the command could not be started: {plain(result.reason, 200)}", facts
    if outcome is Outcome.EXITED and result.code == 0:
        return (ActionState.SUCCEEDED,), "the command exited with 0", facts
    how = f"exited with {result.code}" if outcome is Outcome.EXITED else f"was ended by signal {result.signal}"
    return (ActionState.DEAD,), f"the command {how}", facts


__all__ = ["Recorder"]
