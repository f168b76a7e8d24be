"""`freezeline drill fallback` with services that have a chain of two providers: one falls back, others do not."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from release.drill.fallback import scenarios
from release.drill.provider_faults import ABOUT, Fault
from tests.acceptance.receiver.harness import Site
from tests.balancers import free_ports
from tests.tools import ROOT

pytestmark = [pytest.mark.acceptance]

PATIENCE_S = 1.5
"""Longer than a machine stands still that has other guests: the providers that work must not be given up."""


async def provider(_request: web.Request) -> web.Response:
    """A provider that works."""
    return web.json_response({"text": "an answer " * 400})


class Service:
    """Asks its providers in turn. `notices` says of an answer whether the next provider must be asked."""

    def __init__(self, ports: list[int], notices: Callable[[int, str], bool], local: str = "") -> None:
        self.ports, self.notices, self.local = ports, notices, local

    async def handle(self, _request: web.Request) -> web.Response:
        """A user's request."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for port in self.ports:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.post(f"http://127.0.0.1:{port}/v1/text", json={"prompt": "x"}) as answer:
                        text = await answer.text()
                        if self.notices(answer.status, text):
                            continue
                        return web.json_response(json.loads(text))
        return web.Response(text=self.local, status=200 if self.local else 502)


def everything(status: int, text: str) -> bool:
    """A service that notices every fault."""
    try:
        json.loads(text)
    except ValueError:
        return True
    return status != 200


def only_the_status(status: int, _text: str) -> bool:
    """A service that believes whatever comes with 200."""
    return status != 200


@contextlib.asynccontextmanager
async def serving(handler: Any, port: int) -> AsyncIterator[None]:
    """A server on the loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def drill(root: Path, notices: Callable[[int, str], bool], *options: str, local: str = "") -> tuple[int, Any]:
    """Exit code and line of a drill with such a service."""
    site = Site(root=root)
    first, second, upstream, front = free_ports(4)
    url = f"http://127.0.0.1:{upstream}"
    argv = ["-m", "freezeline", "drill", "fallback", str(root / "policy" / "gateway.policy.json"), "--json"]
    argv += ["--state", str(site.state), "--requests", "2", "--limit", "5"]
    argv += [] if "--command" in options else ["--probe", f"http://127.0.0.1:{front}/"]
    argv += ["--provider", f"first={first}={url}", "--provider", f"second={second}={url}", *options]
    service = Service([first, second], notices, local)
    async with serving(provider, upstream), serving(service.handle, front):
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, said = await asyncio.wait_for(process.communicate(), 90)
    assert output, said.decode()
    return int(process.returncode or 0), json.loads(output)


async def test_a_chain_that_falls_back(tmp_path: Path) -> None:
    """Each fault of the first provider: every request is answered by the second."""
    code, line = await drill(tmp_path, everything)
    assert (code, line["ok"], line["succeeded"]) == (0, True, len(Fault)), line
    assert list(line["legs"]) == [f"{fault}: first" for fault in Fault]
    assert PATIENCE_S <= line["legs"]["slow: first"] < 5


async def test_the_local_answer(tmp_path: Path) -> None:
    """With an answer of its own, the service survives the loss of every provider."""
    code, line = await drill(tmp_path, everything, "--local", "--fault", "dead", local="sorry")
    assert (code, list(line["legs"])) == (0, ["dead: first", "dead: first, second"])
    code, line = await drill(tmp_path, everything, "--local", "--fault", "dead")
    assert (code, line["why"]) == (1, ["dead: first, second: 2 of 2 requests failed: answered 502:"])


async def test_a_chain_that_believes_every_200(tmp_path: Path) -> None:
    """Half of a JSON object is an answer for this service: the drill finds the user's failed request."""
    code, line = await drill(tmp_path, only_the_status, "--fault", "error", "--fault", "garbled")
    assert (code, line.get("ok", False), line["succeeded"]) == (1, False, 1)
    assert line["why"][0].startswith("garbled: first: 2 of 2 requests failed: answered 500")


async def test_a_service_that_asks_somebody_else(tmp_path: Path) -> None:
    """No request reaches a stand-in: nothing would be rehearsed, and the drill says so."""
    code, line = await drill(tmp_path, everything, "--fault", "dead", "--command", "true")
    assert code == 1
    assert line["why"] == [
        "requests succeed: the request reached no stand-in: tell the service their addresses",
    ]


def test_every_scenario_leaves_one_provider() -> None:
    """Unless the service has an answer of its own."""
    found = scenarios(["a", "b", "c"], [Fault.DEAD, Fault.SLOW], local=False)
    assert [one.title for one in found] == ["dead: a", "dead: a, b", "slow: a", "slow: a, b"]
    assert scenarios(["a"], [Fault.DEAD], local=True)[-1].broken == ("a",)
    assert set(ABOUT) == set(Fault)
