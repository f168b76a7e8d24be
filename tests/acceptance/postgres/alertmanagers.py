"""Three real Alertmanagers in a cluster, which a supervisor starts again, and Prometheus' part: posting alerts."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import aiohttp

from tests.balancers import free_ports
from tests.tools import START_DEADLINE_S, AlertmanagerServer, Generation, alertmanager_server
from tests.waiting import until

COUNT = 3
AGAIN_S = 0.5
"""How often Prometheus sends its alerts again. Prometheus's own default is a minute."""

QUICK = ("--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=1s", "--cluster.peer-timeout=1s")
"""A test has no time to wait 15 s for each peer before an Alertmanager sends too."""


class Alertmanagers:
    """`up` holds those that run now, by number."""

    def __init__(self, generation: Generation, folder: Path, config: str, ports: Sequence[int]) -> None:
        self.up: dict[int, AlertmanagerServer] = {}
        self.alerts: Sequence[Mapping[str, Any]] = ()
        """What Prometheus knows: firing alerts, and those that have ended."""
        self._generation = generation
        self._folder = folder
        self._config = config
        self._web = ports
        self._ports = free_ports(COUNT)
        self._over = threading.Event()

    def running(self, number: int) -> AlertmanagerServer | None:
        """One of them, if it runs now."""
        server = self.up.get(number)
        return None if server is None or server.process.poll() is not None else server

    def all_run(self) -> bool:
        """Whether all run, and know each other."""
        return all(map(self.running, range(COUNT)))

    def joined(self) -> bool:
        """Whether each knows all others."""
        return all(len(one.get("/api/v2/status")["cluster"]["peers"]) == COUNT for one in self.up.values())

    def _server(self, number: int) -> AbstractContextManager[AlertmanagerServer]:
        peers = [f"--cluster.peer=127.0.0.1:{port}" for port in self._ports]
        own = [f"--cluster.listen-address=127.0.0.1:{self._ports[number]}", f"--cluster.peer-name=am-{number}"]
        folder = self._folder / f"am-{number}"
        flags = [*own, *peers, *QUICK]
        return alertmanager_server(self._generation, folder, self._config, flags=flags, port=self._web[number])

    def keep_up(self, number: int) -> None:
        """Start one again whenever it ends. Runs in a thread."""
        while not self._over.is_set():
            with contextlib.suppress(AssertionError, OSError, HTTPException), self._server(number) as server:
                self.up[number] = server
                if self._over.is_set():  # it was starting while the others were ended
                    server.process.kill()
                server.process.wait()
            self.up.pop(number, None)

    async def be_prometheus(self) -> None:
        """Send all alerts to every Alertmanager, again and again. Prometheus gives up on one that does not answer."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while True:
                await asyncio.gather(*(self._send(http, one.url) for one in list(self.up.values()) if self.alerts))
                await asyncio.sleep(AGAIN_S)

    async def _send(self, http: aiohttp.ClientSession, url: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with http.post(f"{url}/api/v2/alerts", json=list(self.alerts)) as answer:
                assert answer.status == 200, await answer.text()

    def end(self) -> None:
        """Start none any more, and end all."""
        self._over.set()
        for one in list(self.up.values()):
            with contextlib.suppress(ProcessLookupError):
                one.process.send_signal(signal.SIGKILL)


def alert(labels: Mapping[str, str], annotations: Mapping[str, str], since: datetime, *, ended: bool) -> dict[str, Any]:
    """An alert as Prometheus sends it."""
    now = datetime.now(UTC)
    return {
        "labels": dict(labels),
        "annotations": dict(annotations),
        "startsAt": since.isoformat(),
        "endsAt": (now if ended else now + timedelta(minutes=4)).isoformat(),
        "generatorURL": "http://127.0.0.1:9090/graph",
    }


@contextlib.asynccontextmanager
async def alertmanagers(
    generation: Generation, folder: Path, config: str, ports: Sequence[int]
) -> AsyncIterator[Alertmanagers]:
    """Three that know each other, each on its port, and a Prometheus that has no alerts yet."""
    made = Alertmanagers(generation, folder, config, ports)
    threads = [threading.Thread(target=made.keep_up, args=[number]) for number in range(COUNT)]
    for thread in threads:
        thread.start()
    sender = asyncio.create_task(made.be_prometheus())
    try:
        await until(made.all_run, START_DEADLINE_S, "every Alertmanager runs")
        await until(lambda: asyncio.to_thread(made.joined), START_DEADLINE_S, "every Alertmanager knows the others")
        yield made
    finally:
        sender.cancel()
        made.end()
        await asyncio.gather(sender, return_exceptions=True)
        for thread in threads:
            await asyncio.to_thread(thread.join)
