"""Random bad days of three receivers on three hosts and two databases, by a seed.

Receivers die or stand still, and the primary dies while its standby takes over. At the end every 200 is in the journal,
the chain holds, the rollback was started once, no notice is lost, and each host's flag is right. The report goes to
tests/data/crash-report-postgres.txt.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import pytest
from psycopg.conninfo import make_conninfo

from receiver.journal import open_view, verify
from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.receiver.harness import Receiver, body
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.postgres import START_DEADLINE_S, Cluster, pair
from tests.tools import ROOT
from tests.waiting import until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.xdist_group("postgres"),
]

SEEDS = int(os.environ.get("FREEZELINE_CRASH_SEEDS", "5"))
MISCHIEFS = 6
REPORT = ROOT / "tests" / "data" / "crash-report-postgres.txt"
COUNT = 3
WAIT_S = 120.0
EXPECTED = {"gateway is frozen", "gateway: rollback started", "gateway: rollback done", "gateway is unfrozen"}


class BadDay:
    """One seed: the servers, the hosts, and the senders, who send again until somebody says 200."""

    def __init__(self, hosts: Hosts, servers: tuple[Cluster, Cluster], random: Random) -> None:
        self.hosts = hosts
        self.primary, self.standby = servers
        self.random = random
        self.up: dict[int, Receiver] = {}
        self.done: dict[str, int] = {}
        self.acknowledged: set[str] = set()
        self.over = False

    async def keep_up(self, number: int) -> None:
        """Start a receiver again whenever it ends, as a supervisor does."""
        while not self.over:
            with contextlib.suppress(AssertionError, OSError):
                async with self.hosts.running(number, env={"FREEZELINE_JOURNAL_REQUIRE_STANDBY": "true"}) as server:
                    self.up[number] = server
                    await until(lambda: server.process.poll() is not None, 3600, "the end")
            self.up.pop(number, None)

    async def send(self, data: bytes) -> None:
        """Send one body to one receiver after the other until one of them says 200."""
        while True:
            for server in list(self.up.values()):
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    if await server.post(data) == 200:
                        self.acknowledged.add(hashlib.sha256(data).hexdigest())
                        return
            await asyncio.sleep(0.1)

    async def storm(self, name: str) -> None:
        """Twenty different bodies about the same alerts, at once."""
        raw = json.loads(body("0.34.2", name))
        keys = [str(self.random.random()) for _ in range(20)]
        await asyncio.gather(*(self.send(json.dumps({**raw, "groupKey": key}).encode()) for key in keys))

    async def mischief(self) -> None:
        """One bad thing."""
        which = self.random.choice(("kill", "kill", "stop", "failover"))
        self.done[which] = self.done.get(which, 0) + 1
        if which == "failover":
            await asyncio.to_thread(self.fail_over)
            return
        number = self.random.randrange(COUNT)
        server = self.up.get(number)
        if server is None or server.process.poll() is not None:
            return
        if which == "kill":
            server.process.kill()
            return
        server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.random.uniform(0.5, 6))
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGCONT)

    def fail_over(self) -> None:
        """The primary dies at some moment of its commits. Its standby takes over, and gets a standby of its own."""
        self.primary.kill()
        self.standby.promote()
        fresh = self.standby.standby(f"standby{self.done['failover']}", port=self.primary.port)
        fresh.start()
        self.standby.require(fresh.name)
        self.primary, self.standby = self.standby, fresh


@contextlib.asynccontextmanager
async def bad_day(root: Path, seed: int) -> AsyncIterator[BadDay]:
    """Servers, receivers and Slack of one seed."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        with pair() as servers:
            dsn = make_conninfo(
                servers[0].database(),
                host="127.0.0.1,127.0.0.1",
                port=",".join(str(server.port) for server in servers),
            )
            hosts = Hosts.made(root, dsn, slack, count=COUNT, rollback="sleep 1")
            day = BadDay(hosts, servers, Random(seed))
            keepers = [asyncio.create_task(day.keep_up(number)) for number in range(COUNT)]
            try:
                await until(lambda: len(day.up) == COUNT, START_DEADLINE_S, "every receiver answers")
                yield day
            finally:
                day.over = True
                for server in day.up.values():
                    with contextlib.suppress(ProcessLookupError):
                        server.process.send_signal(signal.SIGCONT)
                        server.process.kill()
                await asyncio.gather(*keepers, return_exceptions=True)
                for cluster in (day.primary, day.standby):
                    cluster.stop()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_bad_days_lose_nothing_and_repeat_nothing(seed: int, tmp_path: Path) -> None:
    """Storms of firing and resolved alerts while receivers and databases die."""
    async with bad_day(tmp_path, seed) as day:
        hosts = day.hosts
        for name, settled in (("firing", hosts.frozen), ("resolved", hosts.unfrozen)):
            storms = asyncio.gather(*(day.storm(name) for _ in range(3)))
            for _ in range(MISCHIEFS // 2):
                await asyncio.sleep(day.random.uniform(0.1, 2))
                await day.mischief()
            await storms
            await until(lambda: len(day.up) == COUNT, WAIT_S, "every receiver runs")
            await until(settled, WAIT_S, f"the flags after {name}")
            await until(lambda: set(hosts.rollbacks()) == {"SUCCEEDED"}, WAIT_S, "the rollback is done")
        await until(lambda: heard(hosts) >= EXPECTED, WAIT_S, "people are told")
        assert hosts.starts() == 1
        view, connection = open_view(tmp_path, postgres=hosts.dsn)
        with contextlib.closing(connection):
            verdict = verify(view.all_decisions())
        assert verdict.broken_at is None
        kept = {sha256 for (sha256,) in hosts.rows("SELECT sha256 FROM delivery")}
        assert day.acknowledged - kept == set()
        repeats = [text for text in hosts.told() if text.startswith("(repeat)")]
        assert len(hosts.told()) - len(repeats) <= len(EXPECTED)
        report(seed, day, verdict.rows, len(repeats))


def heard(hosts: Hosts) -> set[str]:
    """What people were told, marks of repeats left out."""
    return {text.removeprefix("(repeat) ") for text in hosts.told()}


def report(seed: int, day: BadDay, decisions: int, repeats: int) -> None:
    """Write the seed's line. The first seed begins the report anew."""
    done = ", ".join(f"{which} {count}" for which, count in sorted(day.done.items()))
    line = (
        f"seed {seed}: {done}; acknowledged {len(day.acknowledged)}, lost 0, rollback starts 1, "
        f"decisions {decisions}, notices lost 0, marked as repeats {repeats}\n"
    )
    head = "Three receivers, two databases; kills, standstills and failovers by a seed.\n\n"
    before = REPORT.read_text() if seed and REPORT.exists() else head
    REPORT.write_text(before + line)
