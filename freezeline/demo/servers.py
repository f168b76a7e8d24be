"""Starts everything in order, returns the addresses, and stops everything in the reverse order."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from freezeline.demo import parts
from freezeline.demo import stage as files
from freezeline.demo.observe import BAD, GOOD
from freezeline.demo.programs import Program, started
from freezeline.demo.stage import Configurations, Stage

FAILURE_RATIO = 0.2
"""Share of its requests that the bad release fails."""


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
        scraped = [
            {"targets": [files.address(url)], "labels": {"release": release}} for release, url in releases.items()
        ]
        scrapes = [{"job_name": "shop", "static_configs": scraped}]
        configurations = Configurations(stage=stage, scrapes=scrapes, slack=slack)
        control = await parts.control(stack, stage, http, configurations=configurations)
        toast = await _toast(stack, stage, control.receiver)
        yield Servers(
            shop=shop,
            releases=releases,
            prometheus=control.prometheus,
            alertmanager=control.alertmanager,
            receiver=control.receiver,
            toasts=toast.log,
        )


async def _ours(stack: AsyncExitStack, stage: Stage, module: str, name: str, *arguments: str) -> Program:
    argv = [sys.executable, "-m", f"freezeline.demo.{module}", *arguments]
    return await stack.enter_async_context(started(name, argv, stage.root))


async def _toast(stack: AsyncExitStack, stage: Stage, receiver: str) -> Program:
    argv = [sys.executable, "-m", "freezeline", "toast", "--print", "--json", "--url", receiver]
    argv += ["--token-file", str(stage.token("read")), "--seen-file", str(stage.root / "toast-seen"), "--after", "0"]
    return await stack.enter_async_context(started("toast", argv, stage.root, ready=None))
