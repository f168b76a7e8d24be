"""Rolling back: at most one start per release at every kill point, and the completion is verified.

The command runs under its own runner process (`receiver.run.runs`), which outlives the receiver. After a restart the
receiver follows the runs that it finds. An undo runs in the same way.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from receiver.act import freeze
from receiver.act import rollback_rules as rules
from receiver.act.rollback_record import Recorder
from receiver.act.rollback_rules import Skip
from receiver.context import Context, command_environment
from receiver.decide.model import Action, ActionState, ActionType, Decision, Episode
from receiver.journal import Tx, View
from receiver.plaintext import plain
from receiver.policy.guard import UnsafeFileError, check_command
from receiver.policy.model import Check, RollbackAction
from receiver.run import rundir, runs
from receiver.run.commands import Answer, ask
from receiver.run.rundir import Order, RunDirectoryError
from receiver.steps import Step

CLAIM_POLL_S = 0.02
VERIFY_POLL_S = 1.0
"""Seconds before the receiver asks again whether a rollback is done."""

ATTEMPTS_MAX = 5
"""After so many attempts whose command never ran (the runner could not start), the receiver waits longer."""


async def perform(context: Context, _service: str, actions: Sequence[Action]) -> None:
    """Carry a service's rollbacks as far as possible, one after the other, oldest first."""
    for action in actions:
        await _perform_one(context, action)


async def _perform_one(context: Context, action: Action) -> None:
    episode = await context.journal.read(lambda journal: journal.episode(action.episode))
    spec = _spec(context, episode, action)
    if episode is None or spec is None:
        return
    job = _Job(context, episode, spec)
    if action.state is ActionState.PENDING:
        await job.start(action)
    elif action.state in {ActionState.STARTING, ActionState.RUNNING} and context.leading.is_foreign(action.lease_owner):
        await job.take_over(action)
    elif action.state is ActionState.STARTING:
        await job.recover_starting(action)
    elif action.state is ActionState.RUNNING:
        await job.follow(action)
    elif action.state in {ActionState.TIMED_OUT, ActionState.INTERRUPTED, ActionState.VERIFYING}:
        await job.verify(action)


def _spec(context: Context, episode: Episode | None, action: Action) -> RollbackAction | None:
    """The action's settings. An undo runs as a rollback whose command is the undo command."""
    policy = context.policy_of(episode) if episode else None
    found = policy.actions.get(action.name) if policy else None
    if not isinstance(found, RollbackAction):
        return None
    if action.type is ActionType.UNDO:
        check = found.undo.check if found.undo else None
        if check is None:
            return None
        return replace(
            found, command=check.command, timeout_s=check.timeout_s, verify=None, release=None, once_per="episode"
        )
    return found


class _Job:
    """One rollback in progress."""

    def __init__(self, context: Context, episode: Episode, spec: RollbackAction) -> None:
        self._context = context
        self._episode = episode
        self._spec = spec
        self._record = Recorder(context, episode, spec)

    # PENDING

    async def start(self, action: Action) -> None:
        """Start a pending rollback when its flags are on disk and no rule forbids the start."""
        context = self._context
        if not await context.journal.read(lambda journal: rules.frozen(journal.freeze_reasons(episode=action.episode))):
            return
        release = await self._read_release(action)
        context.reached(Step.ROLLBACK_RELEASE_READ)
        skip = await context.journal.read(lambda journal: self._objection(journal, action, release))
        attempt = action.attempt + 1
        problem = "" if skip else await asyncio.to_thread(self._prepare, action, attempt, release)
        context.reached(Step.ROLLBACK_PREPARED)
        started = await context.journal.write(lambda tx: self._claim(tx, action, release, problem))
        if started.state is not ActionState.STARTING:
            return
        context.reached(Step.ROLLBACK_STARTING)
        for freeze_reason in await context.journal.read(lambda journal: journal.freeze_reasons(episode=action.episode)):
            await freeze.name_rollbacks(context, freeze_reason.flag)
        run = runs.locate(context.runs_dir, started.id, started.attempt)
        context.leading.require()
        await asyncio.to_thread(runs.spawn, run)
        context.reached(Step.ROLLBACK_SPAWNED)
        await self._until_running(started, run)

    async def _read_release(self, action: Action) -> str:
        """Name of the release to roll back; "" if the release is unknown."""
        named = action.payload.get("release", "")
        if named and action.payload.get("rollout"):
            return named  # The rollout knows which release it shipped.
        if action.type is ActionType.UNDO:
            return named  # The release whose rollback is undone.
        if self._spec.release is None:
            return ""
        answer = await self._ask(self._spec.release, action)
        return plain(answer.output.strip().partition("\n")[0], 200) if answer.ok else ""

    async def _ask(self, check: Check, action: Action) -> Answer:
        try:
            check_command(check.command[0])
        except UnsafeFileError as error:
            return Answer(code=None, output="", why=str(error))
        env = command_environment(
            self._episode, self._spec.env, action=action.id, release=action.payload.get("release", "")
        )
        return await ask(check.command, timeout_s=check.timeout_s, env=env, cwd=self._spec.cwd)

    def _objection(self, journal: View, action: Action, release: str) -> Skip | None:
        if action.type is ActionType.UNDO:
            return None
        now = self._context.clock()
        return rules.objection(
            action,
            self._spec,
            release=release,
            same_release=journal.action_by_key(_key(action, release)) if release else None,
            earlier=journal.rollbacks_started(action.service, now - rules.lookback(self._spec)),
            now=now,
        )

    def _prepare(self, action: Action, attempt: int, release: str) -> str:
        """Write the run's directory. The answer says why that failed; "" for success."""
        try:
            check_command(self._spec.command[0])
            order = Order(
                argv=self._spec.command,
                cwd=self._spec.cwd,
                env=command_environment(self._episode, self._spec.env, action=action.id, release=release),
                timeout_s=self._spec.timeout_s,
                grace_s=self._spec.grace_s,
                output_max_bytes=self._spec.output_max_bytes,
                nonce=secrets.token_hex(16),
            )
            runs.prepare(self._context.runs_dir, action.id, attempt, order)
        except (UnsafeFileError, runs.RunClaimedError, RunDirectoryError, OSError, ValueError) as error:
            return f"the run could not be prepared: {error}"
        return ""

    def _claim(self, tx: Tx, action: Action, release: str, problem: str) -> Action:
        """In one transaction: check again that no rule forbids the start, and claim the release for this attempt."""
        self._context.leading.require_in(tx.leader)
        current = tx.action(action.id)
        if current is None or current.state is not ActionState.PENDING:
            return current or action
        skip = self._objection(tx, current, release)
        if skip is not None:
            return self._record.skipped(tx, current, skip)
        if problem:
            return self._record.not_prepared(tx, current, problem)
        key = current.key
        if release and self._spec.once_per == "release":
            key = _key(current, release)
        sentence = f"{current.type.value} of {current.service} starts: {release or 'release unknown'}"
        tx.note(Decision(kind="starting", sentence=sentence, episode=current.episode, action=current.id))
        return tx.move(
            current,
            ActionState.STARTING,
            key=key,
            attempt=current.attempt + 1,
            fence=current.fence + 1,
            lease_owner=self._context.owner,
            payload={**current.payload, "release": release},
        )

    # STARTING and RUNNING

    async def recover_starting(self, action: Action) -> None:
        """After a restart: find out whether the attempt's command ever ran."""
        run = runs.locate(self._context.runs_dir, action.id, action.attempt)
        found = await asyncio.to_thread(runs.recover, run)
        if isinstance(found, runs.Alive):
            await self._until_running(action, run)
        elif isinstance(found, runs.Finished):
            await self._ended(await self._record.running(action), found)
        elif isinstance(found, runs.NeverRan):
            await self._record.never_ran(action, attempts_max=ATTEMPTS_MAX)
        else:
            await self._ended(action, found)

    async def take_over(self, action: Action) -> None:
        """Of a rollback that began at another place: never start it again, and only ask whether it is done."""
        place = action.lease_owner.partition("#")[0]
        await self._ended(action, runs.Interrupted(reason=f"it began on {place}, which leads no longer"))

    async def _until_running(self, action: Action, run: runs.RunDir) -> None:
        """Wait for the runner's claim, then follow the run to its end."""
        claimed = await _until(lambda: _claimed(run), limit_s=runs.START_LIMIT_S)
        if claimed:
            await self.follow(await self._record.running(action))
        else:
            await self.recover_starting(action)

    async def follow(self, action: Action) -> None:
        """Wait for a running command's end and record the end."""
        self._context.reached(Step.ROLLBACK_RUNNING)
        run = runs.locate(self._context.runs_dir, action.id, action.attempt)
        found = await runs.wait(run)
        self._context.reached(Step.ROLLBACK_ENDED)
        await self._ended(action, found)

    async def _ended(self, action: Action, found: runs.RunState) -> None:
        after = await self._record.ended(action, found)
        self._context.reached(Step.ROLLBACK_VERIFYING)
        if after.state is ActionState.VERIFYING:
            await self.verify(after)

    # VERIFYING

    async def verify(self, action: Action) -> None:
        """Ask whether the rollback is done, until the answer is yes or the time for verification is over."""
        verify = self._spec.verify
        if verify is None:
            await self._record.unverifiable(action)
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + verify.check.timeout_s
        while True:
            left = end - loop.time()
            answer = await self._ask(replace(verify.check, timeout_s=max(left, 0.1)), action)
            done = answer.code in verify.done
            if done or loop.time() + VERIFY_POLL_S >= end:
                break
            await asyncio.sleep(VERIFY_POLL_S)
        self._context.reached(Step.ROLLBACK_VERIFIED)
        await self._record.verified(action, done=done, why=answer.why)
        self._context.reached(Step.ROLLBACK_RECORDED)


def _key(action: Action, release: str) -> str:
    return rules.release_key(action.service, release, again=action.payload.get("again", ""))


def _claimed(run: runs.RunDir) -> bool:
    """Whether a runner has claimed the run. `recover` settles the case of an unreadable directory."""
    try:
        with rundir.opened(run.path) as dir_fd:
            return rundir.exists(dir_fd, rundir.CLAIM)
    except RunDirectoryError:
        return True


async def _until(cond: Callable[[], bool], *, limit_s: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    while not cond():
        if loop.time() >= end:
            return False
        await asyncio.sleep(CLAIM_POLL_S)
    return True
