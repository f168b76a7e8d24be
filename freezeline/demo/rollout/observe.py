"""Watches every part of the rollouts from outside, and records each step when it is seen."""

import asyncio
import contextlib
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
from msgspec import Struct, field

from freezeline.demo.observe import written_at
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
    """Record when the flag file appears (by its own time), and when it is gone."""
    there = False
    while True:
        appeared_at = written_at(flag)
        if appeared_at is not None and not there:
            record.saw(Step.FROZEN, appeared_at, flag.name)
        elif appeared_at is None and there:
            record.saw(Step.UNFROZEN, time.time(), flag.name)
        there = appeared_at is not None
        await asyncio.sleep(LOOK_S / 2)


async def watch_receiver(http: aiohttp.ClientSession, url: str, token: str, record: Record) -> None:
    """Record each episode that the receiver opens for the alert: Prometheus and Alertmanager brought it there."""
    known: set[str] = set()
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        async with http.get(f"{url}/api/v1/state", headers=headers, raise_for_status=True) as answer:
            state = await answer.json()
        for episode in state["episodes"]:
            if episode["alert"] == ALERT and episode["id"] not in known:
                known.add(episode["id"])
                record.saw(Step.ALERT, datetime.fromisoformat(episode["opened_at"]).timestamp(), ALERT)
        await asyncio.sleep(LOOK_S)
