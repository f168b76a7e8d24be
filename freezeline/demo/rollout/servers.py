"""Starts the machines, HAProxy and the servers that watch, and stops everything in the reverse order."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import aiohttp
from msgspec import Struct

from freezeline.demo import parts
from freezeline.demo.lifetime import in_background
from freezeline.demo.programs import DemoError, Program, find, started, tail
from freezeline.demo.rollout.acts import FIRST, PROGRAMS
from freezeline.demo.rollout.machines import Command, Commands, Machine, machine
from freezeline.demo.stage import Configurations, Stage
from release.traffic.adapter import TrafficError
from release.traffic.haproxy import Haproxy
from release.traffic.runtime_socket import unix_socket

BACKEND = "shop"
READY_LIMIT_S = 30.0
POLL_S = 0.1

SOCKET_PATH_MAX = 92
"""Bytes. Linux allows 107, others 103; HAProxy first makes the socket under a name with a suffix."""


class Servers(Struct, frozen=True, kw_only=True):
    """Everything that runs but the engine, the load and Slack."""

    shop: str
    stable: Machine
    canary: Machine
    haproxy: Haproxy
    proxy: Program
    control: parts.Control

    def addresses(self) -> dict[str, str]:
        """The addresses by name, for people."""
        return {
            "shop": f"{self.shop}/order",
            "stable": f"http://127.0.0.1:{self.stable.port}/metrics",
            "canary": f"http://127.0.0.1:{self.canary.port}/metrics",
            "prometheus": self.control.prometheus,
            "alertmanager": self.control.alertmanager,
            "receiver": self.control.receiver,
        }


@asynccontextmanager
async def running(stage: Stage, http: aiohttp.ClientSession, slack: str) -> AsyncIterator[Servers]:
    """Everything, ready on entry and gone on exit. Raises DemoError."""
    front, metrics, *ports = _free_ports(4)
    commands = shop_releases(PROGRAMS)
    stable, canary = (
        machine(stage.root, name, port, commands, release=FIRST)
        for name, port in zip(("stable", "canary"), ports, strict=True)
    )
    haproxy = Haproxy(unix_socket(socket_path(stage)), backend=BACKEND, stable=["stable"], canary=["canary"])
    scrapes = [
        {"job_name": name, "static_configs": [{"targets": targets}]}
        for name, targets in {
            "shop": [f"127.0.0.1:{stable.port}", f"127.0.0.1:{canary.port}"],
            "haproxy": [f"127.0.0.1:{metrics}"],
        }.items()
    ]
    environment = {
        "STABLE_PORT": str(stable.port),
        "CANARY_PORT": str(canary.port),
        "FRONT_PORT": str(front),
        "METRICS_PORT": str(metrics),
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(in_background(stable.run(), canary.run()))
        argv = [find("haproxy"), "-db", "-f", str(stage.root / "haproxy.cfg")]
        proxy = await stack.enter_async_context(started("haproxy", argv, stage.root, ready=None, more=environment))
        await until_up(haproxy, proxy)
        configurations = Configurations(stage=stage, scrapes=scrapes, slack=slack)
        control = await parts.control(stack, stage, http, configurations=configurations)
        yield Servers(
            shop=f"http://127.0.0.1:{front}",
            stable=stable,
            canary=canary,
            haproxy=haproxy,
            proxy=proxy,
            control=control,
        )


def shop_releases(programs: Mapping[str, Sequence[str]]) -> Commands:
    """The shop's releases. `programs` has the options of each."""

    def command(release: str) -> Command:
        if release not in programs:
            raise DemoError(f"there is no release {release}")
        argv = [sys.executable, "-m", "freezeline.demo.rollout.service", "--release", release, *programs[release]]
        return Command(argv=argv)

    return command


async def until_up(haproxy: Haproxy, proxy: Program) -> None:
    """Wait until HAProxy sees both machines. Raises DemoError."""
    end = time.monotonic() + READY_LIMIT_S
    while True:
        try:
            reasons = await haproxy.check()
        except TrafficError as error:
            reasons = (str(error),)
        if not reasons:
            return
        if proxy.process.poll() is not None:
            raise DemoError(f"haproxy ended with exit code {proxy.process.returncode}:\n{tail(proxy.log)}")
        if time.monotonic() >= end:
            raise DemoError(f"HAProxy is not ready after {READY_LIMIT_S:g} s: {'; '.join(reasons)}")
        await asyncio.sleep(POLL_S)


def socket_path(stage: Stage) -> str:
    """The path of HAProxy's socket. Raises DemoError if the system allows no path of this length."""
    path = str(stage.root / "haproxy.sock")
    if len(path.encode()) > SOCKET_PATH_MAX:
        raise DemoError(f"{path} is too long for a socket; set TMPDIR to a directory with a shorter path")
    return path


def _free_ports(number: int) -> list[int]:
    """Loopback ports that were free a moment ago: HAProxy's file must name its ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
