"""A receiver that no webhook reaches: health, metrics, status and page say that the receiver is deaf, and why."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.input.test_openapi import session_of
from tests.acceptance.receiver.harness import Receiver, Site, body, receiver
from tests.waiting import until

pytestmark = [pytest.mark.acceptance]

SAID = "no webhook of Alertmanager has arrived since the start"


async def told(server: Receiver) -> dict[str, Any]:
    """What each place says about the webhooks."""
    health = await server.get("/health/detailed")
    command = [sys.executable, "-m", "freezeline", "status", "--state", str(server.site.state)]
    status = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    cookie = {"Cookie": f"freezeline={await session_of(server)}"}
    async with server.http.get(server.url + "/", headers=cookie) as response:
        page = await response.text()
    return {
        "status": health["status"],
        "health": health["components"]["webhooks"]["why"] or "",
        "brief": (await server.get("/health"))["components"]["webhooks"],
        "metric": 'freezeline_component_ok{component="webhooks"} 0.0' in await server.get("/metrics"),
        "command": SAID in status.stdout,
        "page": SAID in page,
    }


async def test_a_receiver_that_nobody_reaches_says_so(tmp_path: Path) -> None:
    """Here after a second, by the settings; in production after five minutes."""
    site = Site(root=tmp_path)
    site.settings |= {"alertmanagers": ["http://127.0.0.1:9"], "deaf_after_s": 1}
    site.write()
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing"), token="wrong-wrong-wrong-wrong") == 401
        await until(lambda: deaf(server), 30, "health knows")
        said = await told(server)
        assert said["status"] in {"degraded", "failing"}
        assert said["health"].startswith(SAID)
        assert said["health"].endswith(
            "1 came without the token in tokens/webhook. Give Alertmanager a copy of this file"
        )
        assert {said["metric"], said["command"], said["page"]} == {True}
        assert said["brief"] == "failing"
        assert await server.post(body("0.34.2", "firing")) == 200
        said = await told(server)
        assert said["health"] == ""
        assert {said["metric"], said["command"], said["page"]} == {False}


async def deaf(server: Receiver) -> bool:
    """Whether health says so."""
    return bool((await server.get("/health"))["components"]["webhooks"] == "failing")
