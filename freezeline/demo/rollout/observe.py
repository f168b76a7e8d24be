"""Watches every part of the rollouts from outside, and records each step when it is seen."""

import asyncio
import contextlib
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
from msgspec import Struct, field

from freezeline.demo.observe import watch_episodes, watch_file
from freezeline.demo.programs import DemoError
from freezeline.demo.rollout.machines import Machine
from freezeline.demo.rollout.record import Record, Step
from release.canary.state import Phase
from release.store.database import Database, Rollout, StoreError
from release.traffic.adapter import TrafficError
from release.traffic.haproxy import Haproxy

LOOK_S = 0.1
ALERT = "ShopErrors"


class Balancer(Struct, kw_only=True):
    """The canary's share and sessions, read from HAProxy again and again."""

    haproxy: Haproxy
    record: Record
    share: Decimal = field(default_factory=Decimal)
    emptying: bool = False

    async def watch(self) -> None:
        """Record each change. Raises DemoError if HAProxy does not answer."""
        while True:
            try:
                share, sessions = await self.haproxy.read(), await self.haproxy.sessions()
            except TrafficError as error:
                raise DemoError(f"HAProxy does not answer: {error}") from error
            self._see(share, sessions, time.time())
            await asyncio.sleep(LOOK_S)

    def _see(self, share: Decimal, sessions: int, at: float) -> None:
        if share != self.share:
            self.emptying = share == 0
            self.record.saw(Step.TRAFFIC if share else Step.NO_TRAFFIC, at, f"{share:.0%}".replace("%", " %"))
        if self.emptying and sessions == 0:
            self.emptying = False
            self.record.saw(Step.NO_SESSIONS, at, "")
        self.share = share


def newest(path: Path) -> Rollout | None:
    """The newest rollout of the engine's database; None before the first one."""
    if not path.exists():
        return None
    try:
        database = Database(path, writes=False)
    except StoreError:  # the engine has not made the tables yet
        return None
    with contextlib.closing(database):
        return next(iter(database.rollouts(1)), None)


async def watch_engine(path: Path, record: Record) -> None:
    """Record when the engine decides to take a release back, at the time that its database says."""
    known: set[str] = set()
    while True:
        found = newest(path)
        if found is not None and found.id not in known and found.state.phase in {Phase.ABORTING, Phase.ROLLED_BACK}:
            known.add(found.id)
            with contextlib.closing(Database(path, writes=False)) as database:
                at = next(one.at for one in database.steps(found.id) if one.phase == Phase.ABORTING.value)
            record.saw(Step.TAKEN_BACK, at, found.state.why)
        await asyncio.sleep(LOOK_S)


async def watch_canary(machine: Machine, record: Record) -> None:
    """Record what the canary's machine runs: the release that is rolled out, or again another one."""
    before = machine.running
    while True:
        now = machine.running
        if now and now != before:
            step = Step.DEPLOYED if now == record.release else Step.ROLLED_BACK
            record.saw(step, time.time(), now)
            before = now
        await asyncio.sleep(LOOK_S)


async def watch_flag(flag: Path, record: Record) -> None:
    """Record when the flag file appears, and when it is gone."""
    await watch_file(
        flag,
        lambda at: record.saw(Step.FROZEN, at, flag.name),
        lambda at: record.saw(Step.UNFROZEN, at, flag.name),
    )


async def watch_receiver(http: aiohttp.ClientSession, url: str, token: str, record: Record) -> None:
    """Record each episode that the receiver opens for the alert: Prometheus and Alertmanager brought it there."""
    await watch_episodes(http, url, token, ALERT, lambda at, _: record.saw(Step.ALERT, at, ALERT))
