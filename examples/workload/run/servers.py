"""Starts Redis, the vendors' stand-ins, the services, HAProxy and what watches, and stops all in the reverse order."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from examples.workload.run import releases
from examples.workload.run.ports import free_ports
from examples.workload.run.services import STARTERS, Ground, Part
from examples.workload.run.stage import SERVICES, Configurations
from freezeline.demo import parts
from freezeline.demo.lifetime import in_background
from freezeline.demo.programs import DemoError, Program, find, started, tail
from freezeline.demo.rollout.servers import socket_path
from freezeline.demo.stage import Stage

READY_LIMIT_S = 60.0
POLL_S = 0.1
REDIS_READY = re.compile(r"(Ready) to accept connections")


class Servers(Struct, frozen=True, kw_only=True):
    """Everything that runs: the chosen services by name, what they stand on, and what watches them."""

    services: Mapping[str, Part]
    redis: str
    providers: str
    control: parts.Control

    def addresses(self) -> dict[str, str]:
        """The addresses by name, for people."""
        found = {name: url for part in self.services.values() for name, url in part.addresses.items()}
        return {
            **found,
            **({"providers": f"{self.providers}/faults"} if self.providers else {}),
            **({"redis": self.redis} if self.redis else {}),
            "prometheus": f"{self.control.prometheus}/alerts",
            "alertmanager": self.control.alertmanager,
            "receiver": self.control.receiver,
        }


@asynccontextmanager
async def running(
    stage: Stage,
    http: aiohttp.ClientSession,
    names: Sequence[str],
    *,
    ratings: Path | None = None,
    per_second: float,
) -> AsyncIterator[Servers]:
    """The named services under load, ready on entry and gone on exit. Raises DemoError."""
    socket_path(stage)  # HAProxy alone would say much less about a path that is too long
    async with AsyncExitStack() as stack:
        needed = {need for name in names for need in SERVICES[name].needs}
        redis = await _redis(stack, stage) if "redis" in needed else ""
        providers = await _providers(stack, stage) if "providers" in needed else ""
        ground = Ground(
            stage=stage, http=http, redis=redis, providers=providers, ratings=ratings, per_second=per_second
        )
        services = {name: await STARTERS[name](stack, ground) for name in names}
        await _until_running(stage, services.values())
        if any(part.balancer for part in services.values()):
            await _haproxy(stack, ground, services)
        scrapes = [scrape for part in services.values() for scrape in part.scrapes]
        control = await parts.control(stack, stage, http, configurations=Configurations(stage=stage, scrapes=scrapes))
        await stack.enter_async_context(in_background(*(part.load() for part in services.values())))
        yield Servers(services=services, redis=redis, providers=providers, control=control)


async def _redis(stack: AsyncExitStack, stage: Stage) -> str:
    (port,) = free_ports(1)
    argv = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    await stack.enter_async_context(started("redis", argv, stage.root, REDIS_READY))
    return f"redis://127.0.0.1:{port}/0"


async def _providers(stack: AsyncExitStack, stage: Stage) -> str:
    argv = [sys.executable, "-m", "examples.workload.providers"]
    program = started("providers", argv, stage.root, more={"PYTHONPATH": releases.CHECKOUT})
    return (await stack.enter_async_context(program)).url


async def _haproxy(stack: AsyncExitStack, ground: Ground, services: Mapping[str, Part]) -> Program:
    balanced = {name: part for name, part in services.items() if part.balancer}
    root = ground.stage.root
    files = [root / "haproxy.cfg", *(root / f"{name}.cfg" for name in balanced)]
    argv = [find("haproxy"), "-db", *(word for file in files for word in ("-f", str(file)))]
    more = {key: value for part in balanced.values() for key, value in part.balancer.items()}
    program = await stack.enter_async_context(started("haproxy", argv, root, ready=None, more=more))
    end = time.monotonic() + READY_LIMIT_S
    for name, part in balanced.items():
        while not await _answers(ground.http, part.addresses[name]):
            if program.process.poll() is not None or time.monotonic() > end:
                raise DemoError(f"haproxy does not answer for {name}:\n{tail(program.log)}")
            await asyncio.sleep(POLL_S)
    return program


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _until_running(stage: Stage, services: Iterable[Part]) -> None:
    end = time.monotonic() + READY_LIMIT_S
    machines = [one for part in services for one in part.machines]
    while not all(one.running for one in machines):
        if time.monotonic() > end:
            silent = ", ".join(one.name for one in machines if not one.running)
            raise DemoError(f"these do not answer: {silent}; see the logs in {stage.root}")
        await asyncio.sleep(POLL_S)
