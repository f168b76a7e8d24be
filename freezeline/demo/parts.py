"""The servers that both demos need: Prometheus, Alertmanager and the receiver."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import aiohttp
from msgspec import Struct

from freezeline.demo.programs import PROMETHEUS_LISTENING, DemoError, Program, find, started
from freezeline.demo.stage import Stage
from receiver.run import runs

RUNS_LIMIT_S = 45.0
READY_LIMIT_S = 30.0
POLL_S = 0.1


class Control(Struct, frozen=True, kw_only=True):
    """The addresses of the servers that watch a service and act."""

    prometheus: str
    alertmanager: str
    receiver: str


class Configurations(Protocol):
    """Writes the files that the servers read; URLs have no slash at the end. `stage.Configurations` is the demo's."""

    def idle_prometheus(self) -> Path:
        """A configuration for the start, before every part has an address."""

    def idle_alertmanager(self) -> Path:
        """As `idle_prometheus`, for Alertmanager."""

    def prometheus(self, *, alertmanager: str, receiver: str) -> Path:
        """Prometheus' configuration."""

    def alertmanager(self, *, receiver: str) -> Path:
        """Alertmanager's configuration."""

    def receiver(self, *, prometheus: str, alertmanager: str) -> Path:
        """The receiver's settings."""


async def control(
    stack: AsyncExitStack, stage: Stage, http: aiohttp.ClientSession, *, configurations: Configurations
) -> Control:
    """Start Prometheus, Alertmanager and the receiver, and show them to each other. Raises DemoError."""
    alertmanager = (await _alertmanager(stack, stage, configurations.idle_alertmanager())).url
    prometheus = (await _prometheus(stack, stage, configurations.idle_prometheus())).url
    await _ready(http, alertmanager, "alertmanager")
    await _ready(http, prometheus, "prometheus")
    settings = configurations.receiver(prometheus=prometheus, alertmanager=alertmanager)
    stack.push_async_callback(_settle_runs, stage)
    receiver = (await _receiver(stack, stage, settings)).url
    configurations.alertmanager(receiver=receiver)
    await _reload(http, alertmanager, "alertmanager")
    configurations.prometheus(alertmanager=alertmanager, receiver=receiver)
    await _reload(http, prometheus, "prometheus")
    return Control(prometheus=prometheus, alertmanager=alertmanager, receiver=receiver)


async def _alertmanager(stack: AsyncExitStack, stage: Stage, config: Path) -> Program:
    argv = [
        find("alertmanager"),
        f"--config.file={config}",
        f"--storage.path={stage.root / 'alertmanager-data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    return await stack.enter_async_context(started("alertmanager", argv, stage.root, PROMETHEUS_LISTENING))


async def _prometheus(stack: AsyncExitStack, stage: Stage, config: Path) -> Program:
    argv = [
        find("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={stage.root / 'prometheus-data'}",
        "--web.listen-address=127.0.0.1:0",
        "--web.enable-lifecycle",
    ]
    return await stack.enter_async_context(started("prometheus", argv, stage.root, PROMETHEUS_LISTENING))


async def _receiver(stack: AsyncExitStack, stage: Stage, settings: Path) -> Program:
    argv = [sys.executable, "-m", "freezeline", "serve"]
    argv += ["--policy", str(stage.policies), "--state", str(stage.state)]
    argv += ["--config", str(settings), "--listen", "127.0.0.1:0"]
    return await stack.enter_async_context(started("receiver", argv, stage.root))


async def _ready(http: aiohttp.ClientSession, url: str, name: str) -> None:
    end = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < end:
        async with http.get(f"{url}/-/ready") as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(POLL_S)
    raise DemoError(f"{name} is not ready after {READY_LIMIT_S:g} s")


async def _reload(http: aiohttp.ClientSession, url: str, name: str) -> None:
    async with http.post(f"{url}/-/reload") as answer:
        if answer.status != 200:
            raise DemoError(f"{name} refuses its configuration: {(await answer.text()).strip()}")


async def _settle_runs(stage: Stage) -> None:
    """After the receiver has ended, end the runs that outlive it: no process may stay behind."""
    directory = stage.state / "runs"
    left = [runs.RunDir(path) for path in directory.iterdir()] if directory.is_dir() else []
    for run in left:
        if isinstance(runs.recover(run), runs.Alive):
            runs.request_cancel(run, "the demo ends")
            await asyncio.wait_for(runs.wait(run), RUNS_LIMIT_S)
