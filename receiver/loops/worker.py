"""The worker: hands due actions to their lanes, woken by commits and by time. Nothing is polled.

A lane is a flag, a service's rollbacks, or a channel. One task at a time works on a lane, so the lane's actions keep
their order. Lanes do not wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from typing import Any

from receiver.act import ACTIONS, Performer, freeze, lane_name, lane_of
from receiver.act.notices import Deliverer, interrupted
from receiver.context import Context
from receiver.decide.model import Action, ActionState, ActionType, FlagView
from receiver.journal import Tx, View
from receiver.loops.policies import learn
from receiver.loops.supervise import LOOP, failed, succeeded, supervise

RETRY_LANE_S = 1.0
"""How long a lane rests after an unexpected error, such as a full disk."""

LOOK_MAX = 1000
"""The most due actions in one look; the next look takes the others."""

CHANNEL = "channel:"
LANE = "lane "
"""What the name of a lane's faults begins with."""

_WAITING = {ActionState.PENDING, ActionState.RETRY_WAIT}


class Worker:
    """Starts with `start`. `stop` lets running actions finish."""

    def __init__(self, context: Context, deliverer: Deliverer) -> None:
        self._context = context
        self._deliverer = deliverer
        self._wake = asyncio.Event()
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._held_again: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Take up what an earlier process left, then wait for work. Raises JournalError."""
        await self._resume_notices(mine=False)
        self._context.journal.on_commit(self._on_commit)
        self._context.journal.on_held(self._on_held)
        work = supervise(self._context, "worker", self._look, self._rest, stopping=lambda: self._stopping)
        self._task = asyncio.create_task(work, name="worker")
        self._wake.set()

    def check_flag(self, flag: str) -> None:
        """Compare a flag on disk with the journal, in the flag's own lane. A busy lane needs no comparison."""
        lane = f"flag:{flag}"
        if lane not in self._lanes and not self._stopping:
            self._start(lane, freeze.repair(self._context, flag))

    async def _resume_notices(self, *, mine: bool, channel: str | None = None) -> None:
        """Notices cut off while they were sent go again, marked as repeats.

        At the start these are notices of an earlier process (not `mine`). The lock on the state directory proves that
        no other receiver runs with this journal. Later these are notices of this receiver itself, of one channel.
        """

        def repeat(tx: Tx) -> None:
            for action in tx.unfinished_actions():
                cut_off = action.type is ActionType.NOTIFY and action.state is ActionState.RUNNING
                is_mine = action.lease_owner == self._context.owner
                if cut_off and is_mine == mine and channel in {None, action.name}:
                    interrupted(tx, action)

        await self._context.journal.write(repeat)

    async def stop(self, *, wait_s: float) -> None:
        """Start nothing more, and give running actions `wait_s` seconds. Runner processes continue by themselves."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        running = list(self._lanes.values())
        if running:
            _, late = await asyncio.wait(running, timeout=wait_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def busy(self) -> int:
        """How many lanes are at work."""
        return len(self._lanes)

    def _on_commit(self, _head: int, acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        if acted:
            self._wake.set()

    def _on_held(self, view: FlagView) -> None:
        """A flag got a freeze reason: write the flag now, without asking what else is due."""
        lane = f"flag:{view.path}"
        if lane in self._lanes:
            self._held_again.add(lane)
        elif not self._stopping:
            self._start(lane, freeze.bring_into_line(self._context, view))

    async def _look(self) -> datetime | None:
        """Hand due actions to their lanes. Returns the time of the next due action."""
        self._wake.clear()
        self._context.leading.require()
        await learn(self._context)
        busy = set(self._lanes)
        due, next_due = await self._context.journal.read(self._due(self._context.clock()))
        if len(due) < LOOK_MAX:
            self._end_faults(busy.union(map(lane_of, due)))
        if self._dispatch(due) and len(due) == LOOK_MAX:
            self._wake.set()
        return next_due

    def _end_faults(self, at_work: Collection[str]) -> None:
        """A lane that failed and has nothing left to do has no fault: its commit happened, or others did its work."""
        for name in self._context.faults.of(LOOP):
            lane = name.removeprefix(LANE)
            if lane != name and lane not in at_work and lane not in self._lanes:
                succeeded(self._context, name)

    def _due(self, now: datetime) -> Callable[[View], tuple[list[Action], datetime | None]]:
        """The question for due actions. A busy channel has its notices already, and is not asked about again."""
        busy = [lane_name(lane) for lane in self._lanes if lane.startswith(CHANNEL)]
        return lambda journal: journal.due_actions(now, but_channels=busy, limit=LOOK_MAX)

    async def _rest(self, next_due: datetime | None) -> None:
        timeout = None
        if next_due is not None:
            timeout = max((next_due - self._context.clock()).total_seconds(), 0.001)
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return

    def _dispatch(self, actions: Sequence[Action]) -> bool:
        """Hand due actions to idle lanes. Returns whether a lane began to work."""
        due: dict[str, list[Action]] = {}
        began = False
        for action in actions:
            if self._is_due(action):
                due.setdefault(lane_of(action), []).append(action)
        for lane, those in due.items():
            if lane in self._lanes:
                self._dirty.add(lane)
            elif not self._stopping:
                self._start_lane(lane, those)
                began = True
        return began

    def _is_due(self, action: Action) -> bool:
        """Whether a lane may take an action: the action waits, or an earlier process left it unfinished."""
        return action.state in _WAITING or action.type in {ActionType.ROLLBACK, ActionType.UNDO}

    def _start_lane(self, lane: str, actions: Sequence[Action]) -> None:
        kind = actions[0].type
        performer: Performer = self._deliverer.perform if kind is ActionType.NOTIFY else ACTIONS[kind]
        self._start(lane, performer(self._context, lane_name(lane), actions))

    def _start(self, lane: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._work(lane, work), name=lane)
        self._lanes[lane] = task
        task.add_done_callback(lambda done: self._lane_done(lane, done))

    async def _work(self, lane: str, work: Coroutine[Any, Any, None]) -> None:
        """Work on a lane. After an unexpected error, rest, and leave the lane's actions ready for another try."""
        done = False
        try:
            await work
            done = True
        finally:
            if not done and not self._stopping:
                await asyncio.sleep(RETRY_LANE_S)
                if lane.startswith(CHANNEL):
                    await self._resume_notices(mine=True, channel=lane_name(lane))

    def _lane_done(self, lane: str, task: asyncio.Task[None]) -> None:
        del self._lanes[lane]
        held_again = lane in self._held_again
        self._held_again.discard(lane)
        if task.cancelled():
            return
        if held_again and not self._stopping:
            # The view of the flag may be old by now, so `perform` reads the flag again.
            self._start(lane, freeze.perform(self._context, lane_name(lane), ()))
        error = task.exception()
        if isinstance(error, Exception):
            failed(self._context, f"{LANE}{lane}", error)
        else:
            succeeded(self._context, f"{LANE}{lane}")
        if error is not None or lane in self._dirty or lane.startswith(CHANNEL):
            self._wake.set()
        self._dirty.discard(lane)
