"""Starts Redis, both tracks, HAProxy and the servers that watch, and stops everything in the reverse order."""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from examples.workload.run.stage import Configurations
from examples.workload.run.tracks import Track, track
from freezeline.demo import parts
from freezeline.demo.lifetime import in_background
from freezeline.demo.programs import DemoError, Program, find, started, tail
from freezeline.demo.rollout.servers import socket_path
from freezeline.demo.stage import Stage

TRACKS = ("control", "treatment")
FIRST = "good"
READY_LIMIT_S = 60.0
POLL_S = 0.1
REDIS_READY = re.compile(r"(Ready) to accept connections")


class Servers(Struct, frozen=True, kw_only=True):
    """Everything that runs. `front` is HAProxy's address."""

    front: str
    redis: str
    tracks: tuple[Track, ...]
    control: parts.Control

    def addresses(self) -> dict[str, str]:
        """The addresses by name, for people."""
        return {
            "assistant": f"{self.front}/health/detailed",
            **{one.name: f"http://127.0.0.1:{one.port}/metrics" for one in self.tracks},
            "redis": self.redis,
            "prometheus": f"{self.control.prometheus}/alerts",
            "alertmanager": self.control.alertmanager,
            "receiver": self.control.receiver,
        }


@asynccontextmanager
async def running(stage: Stage, http: aiohttp.ClientSession, ratings: Path | None) -> AsyncIterator[Servers]:
    """Everything, ready on entry and gone on exit. Raises DemoError."""
    socket_path(stage)  # HAProxy alone would say much less about a path that is too long
    front, redis_port, *ports = _free_ports(2 + len(TRACKS))
    redis = f"redis://127.0.0.1:{redis_port}/0"
    arguments = ("--redis", redis, *(("--ratings", str(ratings)) if ratings else ()))
    tracks = tuple(
        track(stage.root, name, port, release=FIRST, arguments=arguments)
        for name, port in zip(TRACKS, ports, strict=True)
    )
    targets = [{"targets": [f"127.0.0.1:{one.port}"], "labels": {"track": one.name}} for one in tracks]
    scrapes = [{"job_name": "assistant", "static_configs": targets}]
    async with AsyncExitStack() as stack:
        argv = [find("redis-server"), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""]
        await stack.enter_async_context(started("redis", argv, stage.root, REDIS_READY))
        await stack.enter_async_context(in_background(*(one.run() for one in tracks)))
        await _until_running(tracks)
        await stack.enter_async_context(_haproxy(stage, http, front, tracks))
        configurations = Configurations(stage=stage, scrapes=scrapes)
        control = await parts.control(stack, stage, http, configurations=configurations)
        yield Servers(front=f"http://127.0.0.1:{front}", redis=redis, tracks=tracks, control=control)


@asynccontextmanager
async def _haproxy(
    stage: Stage, http: aiohttp.ClientSession, front: int, tracks: tuple[Track, ...]
) -> AsyncIterator[Program]:
    more = {f"{one.name.upper()}_PORT": str(one.port) for one in tracks} | {"FRONT_PORT": str(front)}
    argv = [find("haproxy"), "-db", "-f", str(stage.root / "haproxy.cfg")]
    async with started("haproxy", argv, stage.root, ready=None, more=more) as program:
        end = time.monotonic() + READY_LIMIT_S
        while not await _answers(http, f"http://127.0.0.1:{front}/health"):
            if program.process.poll() is not None or time.monotonic() > end:
                raise DemoError(f"haproxy does not answer:\n{tail(program.log)}")
            await asyncio.sleep(POLL_S)
        yield program


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _until_running(tracks: tuple[Track, ...]) -> None:
    end = time.monotonic() + READY_LIMIT_S
    while not all(one.running for one in tracks):
        if time.monotonic() > end:
            raise DemoError(f"the assistants do not answer: see {tracks[0].folder.parent}/assistant-*.log")
        await asyncio.sleep(POLL_S)


def _free_ports(number: int) -> list[int]:
    """Loopback ports that were free a moment ago: the files of the run must name them."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
