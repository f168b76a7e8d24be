"""Watches the rollouts' engines: pages where nobody looks at a canary, and closes aborts that froze nothing."""

from __future__ import annotations

import asyncio
import logging
import math

from receiver.context import Context
from receiver.decide import plan
from receiver.decide.model import NO_TRACE, ActionState, ActionType, Episode, EpisodeState
from receiver.decide.notice import Event
from receiver.journal import Tx, View
from receiver.journal.record import record
from receiver.journal.rollout import tell_in
from receiver.loops.supervise import supervise
from receiver.rollouts import Rollout

log = logging.getLogger(__name__)

EVERY_S = 1.0
SOON_S = 0.05
AGAIN_S = 1800.0
"""While a rollout stays silent, people hear again after so long."""

CURED = frozenset({ActionState.SUCCEEDED, ActionState.SKIPPED})


class RolloutWatch:
    """Starts with `start`, ends with `stop`."""

    def __init__(self, context: Context, *, every_s: float = EVERY_S) -> None:
        self._context = context
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        work = supervise(self._context, "rollouts", self.look, self._rest)
        self._task = asyncio.create_task(work, name="rollouts")

    async def stop(self) -> None:
        """End. A write that has begun is finished."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _rest(self, due_in_s: float) -> None:
        await asyncio.sleep(min(self._every_s, max(SOON_S, due_in_s)))

    async def look(self) -> float:
        """One look at every rollout; gives the seconds until the next rollout counts as silent.

        Raises JournalError or RolloutsError.
        """
        now = self._context.host_clock().timestamp()
        rollouts = await asyncio.to_thread(self._context.rollouts.newest)
        for one in rollouts:
            if one.silent(now):
                await asyncio.shield(self._page(one, now))
        if await self._context.journal.read(aborts):
            await asyncio.shield(self._context.journal.write(self._close))
        return min((one.silent_at - now for one in rollouts if one.runs and not one.silent(now)), default=math.inf)

    async def _page(self, silent: Rollout, now: float) -> None:
        """Tell people once per silence, and again while the silence lasts."""
        context = self._context
        policies = [one for one in context.box.policies.of_service(silent.service) if one.rollouts is not None]
        if not policies:
            return
        age_s = now - silent.looked_at
        text = (
            f"nobody has looked at {silent.release} for {age_s:.0f} s, which has {silent.weight:.0%} of the traffic:"
            " start `freezeline canary run` again, or take the traffic away by hand"
        )
        which = f"{silent.id}:silent:{silent.looked_at:.0f}:{int(age_s // AGAIN_S)}"

        def work(tx: Tx) -> int:
            return tell_in(
                tx,
                policies[0],
                silent.id,
                Event.CANARY_SILENT,
                text,
                which=which,
                page=True,
                ids=context.ids,
                trace=NO_TRACE,
            )

        if await context.journal.write(work):
            log.error("rollouts.silent", extra={"rollout": silent.id, "age_s": round(age_s)})

    def _close(self, tx: Tx) -> None:
        """Close aborts that hold no freeze, once the rollback is done or somebody has acknowledged."""
        context = self._context
        for episode in aborts(tx):
            if tx.freeze_reasons(episode=episode.id):
                continue
            rollbacks = tx.actions(episode=episode.id, type=ActionType.ROLLBACK)
            if all(one.state in CURED for one in rollbacks) or episode.acked_at is not None:
                sentence = f"The aborted rollout of {episode.service} is over"
                moved = plan.Moved(episode=episode, to=EpisodeState.CLOSED, sentence=sentence)
                record(tx, [moved], context.box.policies, ids=context.ids, trace=NO_TRACE)


def aborts(view: View) -> list[Episode]:
    """The live episodes of aborted rollouts."""
    return view.live_episodes(policy=plan.OPERATOR_POLICY, rule=plan.ABORT_RULE)
