"""Receivers that a supervisor starts again whenever they end, as on real hosts."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping

from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.receiver.harness import Receiver
from tests.postgres import START_DEADLINE_S
from tests.waiting import until

FOREVER_S = 3600.0
REQUIRED = {"FREEZELINE_JOURNAL_REQUIRE_STANDBY": "true"}


class Supervisor:
    """`up` holds the receivers that run now, by their host."""

    def __init__(self, hosts: Hosts, env: Mapping[str, str]) -> None:
        self.hosts = hosts
        self.up: dict[int, Receiver] = {}
        self._env = env
        self._over = False

    def running(self, number: int) -> Receiver | None:
        """The receiver of a host, if it runs now."""
        server = self.up.get(number)
        return None if server is None or server.process.poll() is not None else server

    def all_run(self) -> bool:
        """Whether every host has its receiver."""
        return all(self.running(number) for number in range(len(self.hosts.sites)))

    async def keep_up(self, number: int) -> None:
        """Start a receiver again whenever it ends."""
        while not self._over:
            with contextlib.suppress(AssertionError, OSError):
                async with self.hosts.running(number, env=self._env) as server:
                    self.up[number] = server
                    await until(lambda: server.process.poll() is not None or self._over, FOREVER_S, "the end")
            self.up.pop(number, None)

    def end(self) -> None:
        """Start no receiver any more, and end all."""
        self._over = True
        for server in self.up.values():
            with contextlib.suppress(ProcessLookupError):
                server.process.send_signal(signal.SIGCONT)
                server.process.kill()


@contextlib.asynccontextmanager
async def supervised(hosts: Hosts, *, env: Mapping[str, str] = REQUIRED) -> AsyncIterator[Supervisor]:
    """The receivers of all hosts."""
    supervisor = Supervisor(hosts, env)
    keepers = [asyncio.create_task(supervisor.keep_up(number)) for number in range(len(hosts.sites))]
    try:
        await until(supervisor.all_run, START_DEADLINE_S, "every receiver answers")
        yield supervisor
    finally:
        supervisor.end()
        await asyncio.gather(*keepers, return_exceptions=True)
