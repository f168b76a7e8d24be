"""The engine: feeds events to the state machine, stores each step, and only then obeys the commands.

A killed engine begins again with `Started`, from the stored state. Slow commands run beside the looks, so that the
gates are judged while a gate is asked or a deployment runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from receiver.sources.asking import SourceError
from release.canary.machine import step
from release.canary.plan import Plan
from release.canary.state import (
    FINAL,
    WATCHED,
    AbJudged,
    AbortAsked,
    Approved,
    Command,
    Deploy,
    Event,
    NewRelease,
    NotNow,
    Paused,
    Phase,
    Promoted,
    Resumed,
    RollBack,
    Started,
    State,
    Tell,
    Tick,
)
from release.canary.verdict import Measured
from release.engine.obey import SLOW, obey
from release.engine.outside import Outside
from release.engine.readings import Pushed, measure
from release.engine.telling import Telling
from release.store.database import Database, Rollout
from release.traffic.adapter import Reached, TrafficError, pass_by

log = logging.getLogger(__name__)

ORDERS_EVERY_S = 0.25
ORDERS: Mapping[str, type[Event]] = {
    kind.__name__: kind for kind in (Approved, Paused, Resumed, Promoted, AbortAsked, NewRelease)
}


class Engine:
    """Runs one rollout to its end. One task; everything that waits long is a task of its own."""

    def __init__(
        self, database: Database, rollout: Rollout, plan: Plan, outside: Outside, *, reached: Reached = pass_by
    ) -> None:
        self._database = database
        self._rollout = rollout
        self._plan = plan
        self._outside = outside
        self._reached = reached
        self._telling = Telling(database, outside)
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._slow: dict[type[Command], asyncio.Task[None]] = {}
        self.state = rollout.state

    async def run(self) -> State:
        """Until the rollout has ended. Raises StoreError or sqlite3.Error where the database cannot be used."""
        telling = asyncio.create_task(self._telling.run(), name="telling")
        try:
            weight, _ = await self._weight()
            await self._take(Started(at=self._outside.clock(), weight=weight))
            await self._loop(telling)
        finally:
            for task in (telling, *self._slow.values()):
                task.cancel()
            await asyncio.gather(telling, *self._slow.values(), return_exceptions=True)
        await self._telling.last_words()
        return self.state

    async def _loop(self, telling: asyncio.Task[None]) -> None:
        clock = asyncio.get_running_loop().time
        next_look = clock()
        while self.state.phase not in FINAL:
            if telling.done():
                telling.result()
            if clock() >= next_look:
                next_look = max(next_look + self._plan.every_s, clock())
                await self._take(await self._look())
                await self._judge_ab()
            await self._orders()
            event = await self._next(max(0.0, min(ORDERS_EVERY_S, next_look - clock())))
            if event is not None:
                await self._take(event)

    async def _next(self, wait_s: float) -> Event | None:
        """The next answer of a slow command; None if there is none for so long."""
        try:
            async with asyncio.timeout(wait_s):
                return await self._events.get()
        except TimeoutError:
            return None

    # steps

    async def _take(self, event: Event, *, order: int | None = None) -> None:
        """Step, store, obey; and the same for each event that a quick command answers with. Raises NotNow."""
        waiting = [event]
        while waiting:
            waiting += await self._take_one(waiting.pop(0), order)
            order = None

    async def _take_one(self, event: Event, order: int | None) -> list[Event]:
        state, commands = step(self._plan, self.state, event)
        told = [one for one in commands if isinstance(one, Tell)]
        self._reached(f"before:{type(event).__name__}:{state.phase.value}")
        self._database.save(event, state, told, at=self._outside.clock(), order=order)
        self._reached(f"stored:{type(event).__name__}:{state.phase.value}")
        self._note(event, state)
        self.state = state
        if told:
            self._telling.wake()
        self._end_what_is_over()
        answers = []
        for command in commands:
            if isinstance(command, SLOW):
                self._start(command)
            elif not isinstance(command, Tell):
                answers.append(await self._obey(command))
                self._reached(f"obeyed:{type(command).__name__}:{state.phase.value}")
        return [one for one in answers if one is not None]

    def _note(self, event: Event, state: State) -> None:
        if (state.phase, state.stage, state.holds) != (self.state.phase, self.state.stage, self.state.holds):
            fields = {"event": type(event).__name__, "phase": state.phase.value, "stage": state.stage + 1}
            log.info("canary.step", extra={**fields, "holds": list(state.holds.values()), "why": state.why})

    async def _obey(self, command: Command) -> Event | None:
        return await obey(command, self._outside, self._plan, self.state, again=self._rollout.again)

    def _start(self, command: Command) -> None:
        """Obey beside the looks. The same command is not obeyed twice at once."""
        running = self._slow.get(type(command))
        if running is not None and not running.done():
            return

        async def run() -> None:
            event = await self._obey(command)
            if event is not None:
                self._events.put_nowait(event)

        self._slow[type(command)] = asyncio.create_task(run(), name=type(command).__name__)

    def _end_what_is_over(self) -> None:
        """End a deployment whose rollout is taken back; raise what a task raised."""
        for kind, task in list(self._slow.items()):
            if task.done():
                del self._slow[kind]
                task.result()
            elif (kind is Deploy and self.state.phase is not Phase.DEPLOY) or (
                kind is RollBack and self.state.phase in FINAL
            ):
                task.cancel()

    # looks

    async def _weight(self) -> tuple[Decimal | None, str]:
        try:
            return await self._outside.traffic.read(), ""
        except TrafficError as error:
            return None, str(error)

    async def _look(self) -> Tick:
        """One look at the proxy, the gates, the alerts and the freeze. What does not answer is named, never raised."""
        outside, state = self._outside, self.state
        weight, away = await self._weight()
        measured: tuple[Measured, ...] = ()
        firing: tuple[str, ...] = ()
        if state.weight > 0 and state.phase in {*WATCHED, Phase.SHIFT}:
            try:
                measured = await measure(outside.canary, outside.tracks, outside.prometheus, self._pushed())
                firing = await outside.firing(state.traffic_since)
            except SourceError as error:
                away = away or str(error)
        frozen, why = await outside.frozen() if state.phase in {*WATCHED, Phase.SHIFT} else (False, "")
        if frozen is None:
            away = away or why
        return Tick(at=outside.clock(), weight=weight, measured=measured, firing=firing, away=away, frozen=frozen)

    def _pushed(self) -> dict[str, Pushed]:
        newest = self._database.pushed(self._outside.clock() - 2 * self._plan.every_s)
        return {gate: Pushed(value=value, count=count) for gate, (value, count) in newest.items()}

    async def _judge_ab(self) -> None:
        """Ask for the A/B test's outcome where the stage has one; without a judge, a person must decide."""
        stage = self._plan.stages[self.state.stage]
        if not stage.needs_ab or self.state.phase not in {Phase.BAKE, Phase.EVALUATE}:
            return
        if self._outside.ab is None:
            if self.state.phase is Phase.EVALUATE and not self.state.answers.ab:
                await self._take(AbJudged(outcome="cannot_tell", why="this engine judges no A/B tests"))
            return
        try:
            judged = await self._outside.ab(self.state)
        except SourceError as error:
            log.warning("canary.ab", extra={"error": str(error)})
            return
        if judged is not None:
            await self._take(judged)

    # orders of people

    async def _orders(self) -> None:
        """Take what people asked, each once, and answer."""
        for order in self._database.open_orders():
            try:
                raw = json.loads(order.body)
                event: Event = msgspec.convert(raw["body"], ORDERS[raw["kind"]])
                await self._take(event, order=order.id)
            except NotNow as error:
                self._database.refuse(order.id, str(error), at=self._outside.clock())
            except (KeyError, TypeError, ValueError) as error:
                self._database.refuse(order.id, f"no such order: {error}", at=self._outside.clock())
