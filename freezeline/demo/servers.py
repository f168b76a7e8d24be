"""Starts everything in order, returns the addresses, and stops everything in the reverse order."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from freezeline.demo import stage as files
from freezeline.demo.observe import BAD, GOOD
from freezeline.demo.programs import PROMETHEUS_LISTENING, DemoError, Program, find, started
from freezeline.demo.stage import Stage
from receiver.run import runs

FAILURE_RATIO = 0.2
"""Share of its requests that the bad release fails."""

RUNS_LIMIT_S = 45.0
READY_LIMIT_S = 30.0
POLL_S = 0.1


class Servers(Struct, frozen=True, kw_only=True):
    """The addresses of all parts."""

    shop: str
    releases: dict[str, str]
    prometheus: str
    alertmanager: str
    receiver: str
    toasts: Path

    def addresses(self) -> dict[str, str]:
        """The addresses by name, for people."""
        return {
            "shop": f"{self.shop}/order",
            **{f"release {name}": f"{url}/metrics" for name, url in self.releases.items()},
            "prometheus": self.prometheus,
            "alertmanager": self.alertmanager,
            "receiver": self.receiver,
        }


@asynccontextmanager
async def running(stage: Stage, http: aiohttp.ClientSession, slack: str) -> AsyncIterator[Servers]:
    """Everything except the load and Slack: ready on entry, gone on exit. Raises DemoError."""
    async with AsyncExitStack() as stack:
        releases = {
            GOOD: (await _ours(stack, stage, "service", GOOD, "--release", GOOD)).url,
            BAD: (
                await _ours(stack, stage, "service", BAD, "--release", BAD, "--failure-ratio", str(FAILURE_RATIO))
            ).url,
        }
        upstreams = [f"{release}={url}" for release, url in releases.items()]
        shop = (await _ours(stack, stage, "switch", "switch", "--follow", str(stage.release), *upstreams)).url
        alertmanager = (await _alertmanager(stack, stage)).url
        prometheus = (await _prometheus(stack, stage)).url
        await _ready(http, alertmanager, "alertmanager")
        await _ready(http, prometheus, "prometheus")
        files.write_receiver(stage, prometheus=prometheus, alertmanager=alertmanager, slack=slack)
        stack.push_async_callback(_settle_runs, stage)
        receiver = (await _receiver(stack, stage)).url
        files.write_alertmanager(stage, receiver=receiver)
        await _reload(http, alertmanager, "alertmanager")
        files.write_prometheus(stage, releases=releases, alertmanager=alertmanager, receiver=receiver)
        await _reload(http, prometheus, "prometheus")
        toast = await _toast(stack, stage, receiver)
        yield Servers(
            shop=shop,
            releases=releases,
            prometheus=prometheus,
            alertmanager=alertmanager,
            receiver=receiver,
            toasts=toast.log,
        )


async def _ours(stack: AsyncExitStack, stage: Stage, module: str, name: str, *arguments: str) -> Program:
    argv = [sys.executable, "-m", f"freezeline.demo.{module}", *arguments]
    return await stack.enter_async_context(started(name, argv, stage.root))


async def _alertmanager(stack: AsyncExitStack, stage: Stage) -> Program:
    argv = [
        find("alertmanager"),
        f"--config.file={files.write_idle_alertmanager(stage)}",
        f"--storage.path={stage.root / 'alertmanager-data'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    return await stack.enter_async_context(started("alertmanager", argv, stage.root, PROMETHEUS_LISTENING))


async def _prometheus(stack: AsyncExitStack, stage: Stage) -> Program:
    argv = [
        find("prometheus"),
        f"--config.file={files.write_idle_prometheus(stage)}",
        f"--storage.tsdb.path={stage.root / 'prometheus-data'}",
        "--web.listen-address=127.0.0.1:0",
        "--web.enable-lifecycle",
    ]
    return await stack.enter_async_context(started("prometheus", argv, stage.root, PROMETHEUS_LISTENING))


async def _receiver(stack: AsyncExitStack, stage: Stage) -> Program:
    argv = [sys.executable, "-m", "freezeline", "serve"]
    argv += ["--policy", str(stage.policies), "--state", str(stage.state)]
    argv += ["--config", str(stage.root / "receiver.yaml"), "--listen", "127.0.0.1:0"]
    return await stack.enter_async_context(started("receiver", argv, stage.root))


async def _toast(stack: AsyncExitStack, stage: Stage, receiver: str) -> Program:
    argv = [sys.executable, "-m", "freezeline", "toast", "--print", "--json", "--url", receiver]
    argv += ["--token-file", str(stage.token("read")), "--seen-file", str(stage.root / "toast-seen"), "--after", "0"]
    return await stack.enter_async_context(started("toast", argv, stage.root, ready=None))


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
