"""The drill of a rollout: how long a deployment takes, and how long until a release is taken back.

The times are those that the engine records: the deploy command from `deploy` to `shift`, and the way back from
`aborting` to `rolled_back`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from release.canary.state import AbortAsked, Phase, State
from release.drill.experiment import DrillError, Experiment, Step
from release.store.database import Database, Rollout, StoreError
from release.store.database import Step as Stored

POLL_S = 0.2
WATCHED = frozenset({Phase.SETTLE, Phase.BAKE, Phase.EVALUATE, Phase.SOAK})
"""Phases in which the canary has its share of the traffic."""


class Times(Struct, frozen=True, kw_only=True):
    """What a rollout that was taken back tells, in seconds; None for a part that did not happen."""

    deploy_s: float | None
    rollback_s: float | None


def times(steps: Sequence[Stored]) -> Times:
    """The times of a rollout, by its stored steps."""
    at: dict[str, float] = {}
    for one in steps:
        at.setdefault(one.phase, one.at)
    return Times(
        deploy_s=_between(at, Phase.DEPLOY, Phase.SHIFT), rollback_s=_between(at, Phase.ABORTING, Phase.ROLLED_BACK)
    )


def _between(at: dict[str, float], first: Phase, then: Phase) -> float | None:
    if first.value not in at or then.value not in at:
        return None
    return at[then.value] - at[first.value]


class Real(Struct, kw_only=True):
    """A real rollout that is aborted as soon as the canary has traffic. `engine` runs the rollout to its end."""

    engine: Callable[[], Awaitable[State]]
    database: Path
    deploy_limit_s: float
    rollback_limit_s: float
    task: asyncio.Task[State] | None = None
    found: Times = Times(deploy_s=None, rollback_s=None)

    def experiment(self) -> Experiment:
        """Roll out to the first share, then abort."""
        return Experiment(
            steady_state=(Step(title="no rollout runs", do=self._none_runs),),
            method=(
                Step(title="release gets traffic", do=self._rolled_out, limit_s=self.deploy_limit_s),
                Step(title="release is taken back", do=self._taken_back, limit_s=self.rollback_limit_s),
            ),
            rollbacks=(Step(title="end the rollout", do=self._ended, limit_s=self.rollback_limit_s),),
        )

    def _newest(self) -> Rollout | None:
        if not self.database.exists():
            return None
        with contextlib.suppress(StoreError), contextlib.closing(Database(self.database, writes=False)) as database:
            return next(iter(database.rollouts(1)), None)
        return None

    async def _none_runs(self) -> None:
        newest = self._newest()
        if newest is not None and newest.ended_at is None:
            raise DrillError(f"a rollout of {newest.release} runs: let it end first")

    async def _rolled_out(self) -> None:
        before = self._newest()
        self.task = asyncio.ensure_future(self.engine())
        while True:
            newest = self._newest()
            begun = newest is not None and (before is None or newest.id != before.id)
            if begun and newest is not None and newest.state.phase in WATCHED:
                return
            if self.task.done():
                raise DrillError(f"the rollout ended before the canary had traffic: {_why(self.task)}")
            await asyncio.sleep(POLL_S)

    async def _taken_back(self) -> None:
        self._abort()
        if self.task is not None:
            await asyncio.wait({self.task})
        newest = self._newest()
        if newest is None or newest.state.phase is not Phase.ROLLED_BACK:
            raise DrillError(f"the rollout ended {newest.state.phase.value if newest else 'unseen'}, not rolled back")
        with contextlib.closing(Database(self.database, writes=False)) as database:
            self.found = times(sorted(database.steps(newest.id), key=lambda one: one.seq))

    def _abort(self) -> None:
        with contextlib.closing(Database(self.database)) as database:
            if database.running() is not None:
                database.ask(AbortAsked(by="freezeline drill", reason="a drill"), at=time.time())

    async def _ended(self) -> None:
        """An engine that still runs gets the order to abort, and is waited for."""
        if self.task is None or self.task.done():
            return
        if self.database.exists():
            self._abort()
        await asyncio.wait({self.task})


def _why(task: asyncio.Task[State]) -> str:
    error = task.exception() if not task.cancelled() else None
    if error is not None:
        return str(error)
    return "cancelled" if task.cancelled() else task.result().why
