"""Begins a rollout, or goes on with the one that a killed engine left; a new release replaces a running one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from freezeline.problems import Problems, render
from receiver.decide.model import new_id
from receiver.plaintext import plain
from receiver.run.commands import ask
from release.canary.plan import plan_of
from release.canary.state import FINAL, NewRelease, Phase, State
from release.engine.engine import Engine, Reached, pass_by
from release.engine.fill import check_name
from release.engine.lock import LockedError, locked
from release.engine.outside import Outside
from release.engine.readings import Tracks
from release.policy.canary import Canary
from release.policy.read import ReleasePolicy, parse
from release.store.database import Database, Rollout

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


MakeOutside = Callable[[ReleasePolicy, Canary, Tracks, Database], Awaitable[Outside]]


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
    names = await _names(wanted, canary, command_environment)
    path = database_path(wanted.state_dir, policy.policy.service)
    while True:
        try:
            with locked(path.with_suffix(".lock")):
                database = Database(path)
                try:
                    return await _locked(
                        database, wanted, names, make_outside, clock=clock, new_rollout=new_rollout, reached=reached
                    )
                finally:
                    database.close()
        except LockedError:
            await _make_way(path, names[0], clock)
            await asyncio.sleep(WAIT_FOR_LOCK_S)


async def _names(wanted: Wanted, canary: Canary, environment: dict[str, str]) -> tuple[str, str]:
    """The new release and the stable release. Raises UnusableError."""
    current = ""
    if canary.release is not None and not (wanted.release and wanted.stable):
        answer = await ask(canary.release.command, timeout_s=canary.release.timeout_s, env=environment)
        if not answer.ok and not wanted.release:
            raise UnusableError(f"the release command does not name the release: {answer.why}; write --release ID")
        current = answer.output.strip().partition("\n")[0] if answer.ok else ""
    release, stable = wanted.release or current, wanted.stable or current
    if not release:
        raise UnusableError("nobody says which release: write --release ID")
    if canary.tracks is None and (not stable or stable == release):
        raise UnusableError("nobody says which release is stable: write --stable ID, or `tracks:` in the spec's canary")
    try:
        for name in (release, stable or "stable"):
            check_name(name)
    except ValueError as error:
        raise UnusableError(plain(str(error), 300)) from error
    return release, stable or "stable"


async def _make_way(path: Path, release: str, clock: Callable[[], float]) -> None:
    """Ask the running engine to take its release off for this one. Raises RefusedError for the same release."""
    database = Database(path)
    try:
        running = database.running()
        if running is None:
            return
        if running.release == release:
            raise RefusedError(f"a rollout of {release} runs already ({running.id})")
        asked = any(f'"{NewRelease.__name__}"' in order.body for order in database.open_orders())
        if not asked and running.state.phase is not Phase.SUPERSEDING:
            database.ask(NewRelease(release=release), at=clock())
    finally:
        database.close()


async def _locked(
    database: Database,
    wanted: Wanted,
    names: tuple[str, str],
    make_outside: MakeOutside,
    *,
    clock: Callable[[], float],
    new_rollout: Callable[[], str],
    reached: Reached,
) -> State:
    left = database.running()
    if left is not None:
        if left.release != names[0]:
            database.ask(NewRelease(release=names[0]), at=clock())
        ended = await _engine(database, left, make_outside, reached=reached)
        if left.release == names[0]:
            return ended
    tried = [one for one in database.of_release(names[0]) if one.state.phase in TRIED]
    if tried and not wanted.again:
        end = tried[0].state.phase.value.replace("_", " ")
        raise RefusedError(
            f"{names[0]} was rolled out before and ended {end} ({tried[0].id}); write --again to try again"
        )
    _, canary = parsed(wanted.policy_text, wanted.policy_file)
    database.begin(
        State(rollout=new_rollout(), release=names[0], stable=names[1]),
        policy=wanted.policy_text,
        every_s=canary.every_s,
        speed=wanted.speed,
        again=bool(tried),
        at=clock(),
    )
    begun = database.running()
    if begun is None:
        raise RefusedError("the rollout was not stored")
    return await _engine(database, begun, make_outside, reached=reached)


async def _engine(database: Database, rollout: Rollout, make_outside: MakeOutside, *, reached: Reached) -> State:
    """Run one stored rollout by the policy that the rollout began with."""
    policy, canary = parsed(rollout.policy, f"the policy of rollout {rollout.id}")
    tracks = Tracks(
        canary=canary.tracks.canary if canary.tracks else rollout.state.release,
        stable=canary.tracks.stable if canary.tracks else rollout.state.stable,
    )
    outside = await make_outside(policy, canary, tracks, database)
    plan = plan_of(canary, speed=rollout.speed)
    return await Engine(database, rollout, plan, outside, reached=reached).run()


__all__ = ["FINAL", "RefusedError", "UnusableError", "Wanted", "database_path", "new_id", "parsed", "run"]
