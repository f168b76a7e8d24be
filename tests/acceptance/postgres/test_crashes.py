"""Random bad days of three receivers on three hosts and two databases, by a seed.

Receivers die or stand still, and the primary dies while its standby takes over. At the end every 200 is in the journal,
the chain holds, the rollback was started once, no notice is lost, and each host's flag is right. The report goes to
tests/data/crash-report-postgres.txt.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.acceptance.postgres.failover import Servers, servers
from tests.acceptance.postgres.hosts import TOLD, Hosts
from tests.acceptance.postgres.supervised import Supervisor, supervised
from tests.acceptance.receiver.harness import body, peers
from tests.fakes.http import SLACK_PATH, SlackFake, running
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
HEAD = (
    "Three receivers, three Alertmanagers, two databases; by a seed, one or two of the receivers and the primary are\n"
    "killed, receivers stand still, and the standby takes over.\n\n"
)
COUNT = 3
WAIT_S = 120.0
PRIMARY = COUNT
"""The number of the primary among the processes of which two die at once; the others are the receivers."""


class BadDay:
    """One seed: the servers, the hosts, and the senders, who send again until somebody says 200."""

    def __init__(self, receivers: Supervisor, databases: Servers, random: Random) -> None:
        self.receivers = receivers
        self.hosts = receivers.hosts
        self.databases = databases
        self.random = random
        self.done: dict[str, int] = {}

    async def send(self, data: bytes) -> None:
        """Send one body to one receiver after the other until one of them says 200."""
        while True:
            for server in list(self.receivers.up.values()):
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    if await self.hosts.post(server, data) == 200:
                        return
            await asyncio.sleep(0.1)

    async def storm(self, name: str) -> None:
        """Twenty different bodies about the same alerts, from each of three Alertmanagers, at once."""
        keys = [str(self.random.random()) for _ in range(20)]
        bodies = [
            json.dumps({**json.loads(one), "groupKey": key}).encode()
            for one in peers(body("0.34.2", name))
            for key in keys
        ]
        await asyncio.gather(*map(self.send, bodies))

    async def mischief(self) -> None:
        """One bad thing."""
        which = self.random.choice(("kill", "kill two", "stop", "failover"))
        self.done[which] = self.done.get(which, 0) + 1
        if which == "failover":
            await asyncio.to_thread(self.databases.fail_over)
        elif which == "kill two":
            await self.kill(*self.random.sample(range(COUNT + 1), 2))
        elif which == "kill":
            await self.kill(self.random.randrange(COUNT))
        elif (server := self.receivers.running(self.random.randrange(COUNT))) is not None:
            server.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.random.uniform(0.5, 6))
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)

    async def kill(self, *numbers: int) -> None:
        """Kill receivers by their host, or the primary, whose standby then takes over."""
        for server in filter(None, map(self.receivers.running, numbers)):
            server.process.kill()
        if PRIMARY in numbers:
            await asyncio.to_thread(self.databases.fail_over)


@contextlib.asynccontextmanager
async def bad_day(root: Path, seed: int) -> AsyncIterator[BadDay]:
    """Servers, receivers and Slack of one seed."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        with servers() as databases:
            hosts = Hosts.made(root, databases.dsn, slack, count=COUNT, rollback="sleep 1")
            async with supervised(hosts) as receivers:
                yield BadDay(receivers, databases, Random(seed))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_bad_days_lose_nothing_and_repeat_nothing(seed: int, tmp_path: Path) -> None:
    """Storms of firing and resolved alerts while receivers and databases die."""
    async with bad_day(tmp_path, seed) as day:
        hosts = day.hosts
        for name, settled in (("firing", hosts.frozen), ("resolved", hosts.unfrozen)):
            storm = asyncio.create_task(day.storm(name))
            for _ in range(MISCHIEFS // 2):
                await asyncio.sleep(day.random.uniform(0.1, 2))
                await day.mischief()
            await storm
            await until(day.receivers.all_run, WAIT_S, "every receiver runs")
            await until(settled, WAIT_S, f"the flags after {name}")
            await until(hosts.known_right, WAIT_S, "the journal knows every host's flag")
            await until(lambda: set(hosts.rollbacks()) == {"SUCCEEDED"}, WAIT_S, "the rollback is done")
        await until(hosts.heard, WAIT_S, "people are told")
        hosts.check_end()
        repeats = [text for text in hosts.told() if text.startswith("(repeat)")]
        assert len(hosts.told()) - len(repeats) <= len(TOLD)
        report(seed, day, hosts.check_kept(), len(repeats))


def report(seed: int, day: BadDay, decisions: int, repeats: int) -> None:
    """Write the seed's line. The first seed begins the report anew."""
    done = ", ".join(f"{which} {count}" for which, count in sorted(day.done.items()))
    line = (
        f"seed {seed}: {done}; acknowledged {len(day.hosts.acknowledged)}, lost 0, rollback starts 1, "
        f"decisions {decisions}, notices lost 0, marked as repeats {repeats}\n"
    )
    before = REPORT.read_text() if seed and REPORT.exists() else HEAD
    REPORT.write_text(before + line)
