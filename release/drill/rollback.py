"""The drill of rollbacks: many with injected faults on a stand-in service, or the policy's own, taken back."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from receiver.policy.guard import UnsafeFileError, check_command
from receiver.policy.model import Check, Policy, RollbackAction, Undo, Verify
from receiver.run import runs
from receiver.run.commands import ask
from receiver.run.run_environment import child_environment
from receiver.run.rundir import Order, Outcome
from receiver.run.runs import Finished
from release.drill import policy as drill_policy
from release.drill.experiment import DrillError, Experiment, Step
from release.drill.faults import KILLED_WITHIN_S, Fault, Rolled, chosen, roll_back

AT_LEAST = Decimal("0.95")
"""The share of rollbacks that must succeed."""

OVERDUE_S = 60.0


class Verdict(Struct, frozen=True, kw_only=True):
    """What many rollbacks say: how many succeeded, what went wrong, and the mean and the longest time of a success."""

    runs: int
    succeeded: int
    faults: tuple[str, ...]
    why: tuple[str, ...]
    mean_s: float | None
    longest_s: float | None

    @property
    def ok(self) -> bool:
        """Whether enough rollbacks succeeded, and no promise was broken."""
        return not self.why


async def rehearse(
    directory: Path,
    faults: Sequence[Fault],
    *,
    count: int,
    seed: int,
    at_once: int,
    told: Callable[[int, Rolled], None],
) -> list[Rolled]:
    """Roll `count` stand-in services back below `directory`, some at a time. `told` hears of each that ended."""
    places, chance = asyncio.Semaphore(at_once), random.Random(seed)  # noqa: S311 - to be repeated, not a secret

    async def one(number: int, fault: Fault, killed_after_s: float) -> Rolled:
        async with places:
            done = await roll_back(directory / str(number), fault, killed_after_s=killed_after_s)
            told(number, done)
            return done

    planned = [(fault, chance.uniform(0.02, KILLED_WITHIN_S)) for fault in chosen(faults, count, seed)]
    return await asyncio.gather(*(one(number, *plan) for number, plan in enumerate(planned)))


def verdict(rolled: Sequence[Rolled], at_least: Decimal = AT_LEAST) -> Verdict:
    """Judge the rollbacks. A broken promise fails the drill, whatever the share."""
    done = [one.done_s for one in rolled if one.ok]
    why = [f"fault {one.fault}: {one.wrong}" for one in rolled if one.wrong]
    if not rolled or Decimal(len(done)) < at_least * len(rolled):
        lost = Counter(one.fault.value for one in rolled if not one.ok)
        named = ", ".join(f"{fault} × {count}" for fault, count in sorted(lost.items()))
        why.append(
            f"{len(done)} of {len(rolled)} rollbacks succeeded, fewer than {at_least:.0%}: {named or 'none ran'}"
        )
    return Verdict(
        runs=len(rolled),
        succeeded=len(done),
        faults=tuple(sorted({one.fault.value for one in rolled} - {Fault.NONE.value})),
        why=tuple(why),
        mean_s=sum(done) / len(done) if done else None,
        longest_s=max(done, default=None),
    )


class Real(Struct, kw_only=True):
    """One real rollback of the live release, which the policy's undo command takes back."""

    policy: Policy
    action: RollbackAction
    verify: Verify
    undo: Check
    release: str
    runs_dir: Path
    began: bool = False

    def experiment(self) -> Experiment:
        """The release is live before and after; between, it is rolled back."""
        limit_s = self.action.timeout_s + self.action.grace_s + OVERDUE_S
        return Experiment(
            steady_state=(Step(title="the release is not rolled back", do=self._is_live, limit_s=OVERDUE_S),),
            method=(
                Step(title="rollback", do=self._roll_back, limit_s=limit_s),
                Step(title="verification", do=self._is_rolled_back, limit_s=self.verify.check.timeout_s + OVERDUE_S),
            ),
            rollbacks=(Step(title="undo", do=self._undo, limit_s=self.undo.timeout_s + OVERDUE_S),),
        )

    async def _is_live(self) -> None:
        if await self._answer() not in self.verify.not_done:
            raise DrillError("the verification does not say that the release is live")

    async def _is_rolled_back(self) -> None:
        if await self._answer() not in self.verify.done:
            raise DrillError("the verification does not say that the release is rolled back")

    async def _answer(self) -> int | None:
        _check(self.verify.check.command)
        check = self.verify.check
        answer = await ask(check.command, timeout_s=check.timeout_s, env=self._env(), cwd=self.action.cwd)
        return answer.code

    async def _roll_back(self) -> None:
        self.began = True
        await self._carry_out("rollback", self.action.command, self.action.timeout_s)

    async def _undo(self) -> None:
        if self.began:
            await self._carry_out("undo", self.undo.command, self.undo.timeout_s)

    async def _carry_out(self, name: str, command: Sequence[str], timeout_s: float) -> None:
        _check(command)
        order = Order(
            argv=tuple(command),
            cwd=self.action.cwd,
            env=self._env(),
            timeout_s=timeout_s,
            grace_s=self.action.grace_s,
            output_max_bytes=self.action.output_max_bytes,
            nonce=secrets.token_hex(16),
        )
        run = await asyncio.to_thread(runs.prepare, self.runs_dir, name, 1, order)
        await asyncio.to_thread(runs.spawn, run)
        state = await runs.wait(run)
        if not isinstance(state, Finished) or state.result.outcome is not Outcome.EXITED or state.result.code != 0:
            tail = await asyncio.to_thread(runs.read_output_tail, run, 300)
            said = state.result.outcome.value if isinstance(state, Finished) else type(state).__name__
            raise DrillError(f"the {name} command did not succeed ({said}): {tail.strip()}")

    def _env(self) -> dict[str, str]:
        facts = {
            "ALERT": drill_policy.ALERT,
            "SERVICE": self.policy.service,
            "SPEC": self.policy.spec,
            "RELEASE": self.release,
        }
        return child_environment(facts, self.action.env, own=os.environ)


def real(policy: Policy, release: str, runs_dir: Path) -> Real:
    """The policy's own rollback as a drill. Raises DrillError where the policy cannot verify or undo the rollback."""
    action = next((one for one in policy.actions.values() if isinstance(one, RollbackAction)), None)
    if action is None:
        raise DrillError("the policy has no rollback action")
    undo = action.undo or Undo(within_s=0, check=None)
    if action.verify is None or undo.check is None:
        raise DrillError("a real rollback needs `verify` and `undo` with a command: add both to the spec's rollback")
    return Real(policy=policy, action=action, verify=action.verify, undo=undo.check, release=release, runs_dir=runs_dir)


def _check(command: Sequence[str]) -> None:
    try:
        check_command(command[0])
    except UnsafeFileError as error:
        raise DrillError(str(error)) from error
