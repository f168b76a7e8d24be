"""Begins a rollout, or goes on with the one that a killed engine left; a new release replaces a running one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from freezeline.problems import Problems, render
from receiver.plaintext import plain
from receiver.run.commands import ask
from receiver.sources.fill import check_name
from release.canary.plan import plan_of
from release.canary.state import NewRelease, Phase, State
from release.engine.engine import Engine
from release.engine.lock import LockedError, locked
from release.engine.outside import Outside
from release.engine.readings import Tracks
from release.engine.telling import Telling
from release.policy.canary import Canary
from release.policy.read import ReleasePolicy, parse
from release.store.database import Database, Rollout
from release.traffic.adapter import Reached, pass_by

log = logging.getLogger(__name__)

WAIT_FOR_LOCK_S = 0.5
TRIED = frozenset({Phase.DONE, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.SUPERSEDED})
"""Ends after which the same release is not tried again by itself. A refused rollout touched nothing."""


class RefusedError(Exception):
    """The rollout must not begin. The message says why."""


class UnusableError(Exception):
    """The policy or the names do not say enough to begin."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What the command line asks for. An empty `release` or `stable` is read by the policy's release command."""

    policy_text: str
    policy_file: str
    release: str
    stable: str
    again: bool
    speed: float
    state_dir: Path


MakeOutside = Callable[[ReleasePolicy, Canary, Tracks, Database, float], Awaitable[Outside]]
"""Makes what the engine uses. The last argument is the length of a day of this rollout, in seconds."""


def parsed(text: str, file: str) -> tuple[ReleasePolicy, Canary]:
    """The policy and its canary. Raises UnusableError with every problem."""
    problems = Problems()
    policy = parse(text, file=file, problems=problems)
    if policy is None:
        raise UnusableError("\n".join(render(one) for one in problems))
    if policy.canary is None:
        raise UnusableError(f"{file}: the spec has no canary; add `canary:` and generate again")
    return policy, policy.canary


def database_path(state_dir: Path, service: str) -> Path:
    """Where a service's rollouts are kept. The service's name comes from a policy, which allows no slash."""
    if "/" in service or service in {"", ".", ".."}:
        raise UnusableError(f"the service {service!r} cannot name a file")
    return state_dir / "canary" / f"{service}.db"


async def run(
    wanted: Wanted,
    make_outside: MakeOutside,
    *,
    clock: Callable[[], float],
    new_rollout: Callable[[], str],
    command_environment: dict[str, str],
    reached: Reached = pass_by,
) -> State:
    """From the beginning to the end of the wanted release's rollout.

    Raises RefusedError, UnusableError, StoreError or OSError.
    """
    policy, canary = parsed(wanted.policy_text, wanted.policy_file)
    path = database_path(wanted.state_dir, policy.policy.service)
    current = await _current_release(wanted, canary, command_environment)
    release = wanted.release or current
    if not release:
        raise UnusableError("nobody says which release: write --release ID")
    _check_name(release)
    beginning = _Beginning(
        wanted=wanted, release=release, current=current, make_outside=make_outside, clock=clock, reached=reached
    )
    while True:
        try:
            with locked(path.with_suffix(".lock")), contextlib.closing(Database(path)) as database:
                return await beginning.locked(database, canary, new_rollout)
        except LockedError:
            _make_way(path, release, clock)
            await asyncio.sleep(WAIT_FOR_LOCK_S)


async def _current_release(wanted: Wanted, canary: Canary, environment: dict[str, str]) -> str:
    """What the release command prints; "" without such a command. Raises UnusableError where nobody else knows."""
    if canary.release is None:
        return ""
    answer = await ask(canary.release.command, timeout_s=canary.release.timeout_s, env=environment)
    if not answer.ok and not wanted.release:
        raise UnusableError(f"the release command does not name the release: {answer.why}; write --release ID")
    return answer.output.strip().partition("\n")[0] if answer.ok else ""


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise UnusableError(plain(str(error), 300)) from error


def _make_way(path: Path, release: str, clock: Callable[[], float]) -> None:
    """Ask the running engine to take its release off for this one. Raises RefusedError for the same release."""
    with contextlib.closing(Database(path)) as database:
        running = database.running()
        if running is None:
            return
        if running.release == release:
            raise RefusedError(f"a rollout of {release} runs already ({running.id})")
        asked = any(f'"{NewRelease.__name__}"' in order.body for order in database.open_orders())
        if not asked and running.state.phase is not Phase.SUPERSEDING:
            database.ask(NewRelease(release=release), at=clock())


class _Beginning(Struct, frozen=True, kw_only=True):
    """One release's way from the lock to the end. `current` is what the release command printed."""

    wanted: Wanted
    release: str
    current: str
    make_outside: MakeOutside
    clock: Callable[[], float]
    reached: Reached

    async def locked(self, database: Database, canary: Canary, new_rollout: Callable[[], str]) -> State:
        """Go on with what a killed engine left, or begin. No other engine writes to the database."""
        left = database.running()
        if left is not None and left.release == self.release:
            return await self._engine(database, left)
        if left is not None:
            database.ask(NewRelease(release=self.release), at=self.clock())
            await self._engine(database, left)
        tried = [one for one in database.of_release(self.release) if one.state.phase in TRIED]
        if tried and not self.wanted.again:
            await self._last_words(database, tried[0])
            if self._stands(database, tried[0]):
                log.info("canary.done_before", extra={"rollout": tried[0].id, "hint": "write --again to repeat"})
                return tried[0].state
            end = tried[0].state.phase.value.replace("_", " ")
            raise RefusedError(f"{self.release} was rolled out before and ended {end} ({tried[0].id}); write --again")
        database.begin(
            State(rollout=new_rollout(), release=self.release, stable=self._stable(database, canary)),
            policy=self.wanted.policy_text,
            every_s=canary.every_s,
            speed=self.wanted.speed,
            again=bool(tried),
            at=self.clock(),
        )
        begun = database.running()
        if begun is None:
            raise RefusedError("the rollout was not stored")
        return await self._engine(database, begun)

    def _stands(self, database: Database, tried: Rollout) -> bool:
        """Whether this rollout gave its release all traffic, and no other release was begun or deployed since."""
        newest = next(iter(database.rollouts(1)), None)
        is_newest = newest is not None and newest.id == tried.id
        return tried.state.phase is Phase.DONE and is_newest and self.current in ("", self.release)

    def _stable(self, database: Database, canary: Canary) -> str:
        """The stable release's name. A superseded release was deployed, but never became the stable one.

        Raises UnusableError.
        """
        before = next(iter(database.rollouts(1)), None)
        superseded = before is not None and before.state.phase is Phase.SUPERSEDED
        stable = self.wanted.stable or (before.state.stable if before is not None and superseded else self.current)
        if canary.tracks is not None:
            return stable or "stable"
        if not stable or stable == self.release:
            raise UnusableError(
                "nobody says which release is stable: write --stable ID, or `tracks:` in the spec's canary"
            )
        _check_name(stable)
        return stable

    async def _engine(self, database: Database, rollout: Rollout) -> State:
        """Run one stored rollout by the policy that the rollout began with."""
        canary, outside = await self._outside(database, rollout)
        plan = plan_of(canary, speed=rollout.speed)
        return await Engine(database, rollout, plan, outside, reached=self.reached).run()

    async def _last_words(self, database: Database, ended: Rollout) -> None:
        """Deliver what an engine that was killed at the very end has left."""
        if database.undelivered():
            _, outside = await self._outside(database, ended)
            await Telling(database, outside).last_words()

    async def _outside(self, database: Database, rollout: Rollout) -> tuple[Canary, Outside]:
        policy, canary = parsed(rollout.policy, f"the policy of rollout {rollout.id}")
        tracks = Tracks(
            canary=canary.tracks.canary if canary.tracks else rollout.state.release,
            stable=canary.tracks.stable if canary.tracks else rollout.state.stable,
        )
        day_s = plan_of(canary, speed=rollout.speed).day_s
        return canary, await self.make_outside(policy, canary, tracks, database, day_s)
