"""Receivers of two versions with one journal: an upgrade host by host, and back.

The later version is this checkout with more migrations. A receiver of this version is therefore the earlier one.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import pytest

from receiver.journal.postgres_shapes import known
from receiver.policy import formats
from tests import journals
from tests.acceptance.postgres.hosts import FROZEN, LEASE_S, Hosts
from tests.acceptance.postgres.versions import later
from tests.acceptance.receiver.harness import Receiver, Site, body
from tests.fakes.http import SlackFake
from tests.postgres import Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0


def shape(hosts: Hosts) -> tuple[int, int]:
    """The journal's shape, and the shape that a version must know."""
    ((found, needs),) = hosts.rows("SELECT (SELECT value FROM meta WHERE key = 'shape'), needs FROM chain_head")
    return int(found), int(needs)


def earlier_policy(site: Site) -> None:
    """Give a host the same policy in the format before, with a rollback that may take longer."""
    policy = json.loads(json.dumps(site.policy))
    policy["format"] = formats.FIRST
    for rule in policy["rules"]:
        rule["release"] = rule.pop("unfreeze")
    del policy["actions"]["fallback"]
    policy["rules"][0]["do"].remove("fallback")
    tell = policy["actions"]["tell"]
    tell["moments"] = ["released" if event == "unfrozen" else event for event in tell.pop("events")]
    policy["actions"]["rollback"]["timeout_s"] = 60
    site.policy = policy
    site.write()


class Senders:
    """Alertmanagers that send different bodies about an alert, one after the other, until a receiver says 200."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.up: list[Receiver] = []
        self.random = Random(10)
        self.sent = 0

    async def send(self, data: bytes) -> None:
        """Send a body to one receiver after the other until one of them says 200."""
        while True:
            for server in self.random.sample(self.up, len(self.up)):
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    if await self.hosts.post(server, data) == 200:
                        self.sent += 1
                        return
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def sending(self, name: str) -> AsyncIterator[None]:
        """Send all the time."""
        raw = json.loads(body("0.34.2", name))

        async def work() -> None:
            while True:
                await self.send(json.dumps({**raw, "groupKey": str(self.random.random())}).encode())
                await asyncio.sleep(0.02)

        task = asyncio.create_task(work())
        try:
            yield
        finally:
            before = self.sent
            await until(lambda: self.sent > before or task.done(), WAIT_S, "one more webhook is taken")
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def host(senders: Senders, number: int, env: dict[str, str] | None = None) -> AsyncIterator[Receiver]:
    """The receiver of a host, to which the senders send until it is stopped in the ordinary way."""
    async with senders.hosts.running(number, env=env) as server:
        senders.up.append(server)
        try:
            yield server
            assert await server.stop() == 0
        finally:
            senders.up.remove(server)


async def test_an_upgrade_host_by_host_and_back(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """The tables change while an earlier receiver leads and runs a rollback by a policy of the later one."""
    hosts = Hosts.made(tmp_path, server.database(), slack, rollback="sleep 3")
    newer = later(tmp_path / "later", "pre_")
    earlier_policy(hosts.sites[0])
    senders = Senders(hosts)
    async with host(senders, 0):
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the earlier receiver leads")
        assert shape(hosts)[0] == known()
        async with host(senders, 1, newer) as second:
            assert shape(hosts)[0] == known() + 1
            assert await hosts.post(second, FIRING) == 200
            await until(lambda: hosts.starts() == 1 and hosts.frozen(), WAIT_S, "the earlier receiver rolls back")
            assert hosts.leader() == "host-0"
            async with senders.sending("firing"):
                await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is done")
        await until(lambda: hosts.heard(FROZEN), WAIT_S, "people are told")
    async with host(senders, 1, newer):
        await until(lambda: hosts.leader() == "host-1", WAIT_S, "the later receiver leads")
        async with host(senders, 0), senders.sending("resolved"):
            await until(hosts.unfrozen, WAIT_S, "the earlier receiver follows the later one")
        await until(hosts.heard, WAIT_S, "people are told")
    assert shape(hosts)[0] == known() + 1
    assert senders.sent >= 2
    hosts.check_end()


async def test_a_migration_that_only_a_later_version_understands_waits_for_the_end_of_earlier_ones(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """The later receiver refuses to start, then migrates. The earlier one is refused from then on."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    newest = later(tmp_path / "later", "")
    async with hosts.running(0) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the earlier receiver leads")
        code, said = await asyncio.to_thread(refused, hosts, 1, newest)
        assert (code, "Stop them first: they cannot use shape" in said, "host-0 (version" in said) == (3, True, True)
        assert shape(hosts)[0] == known()
        assert await hosts.post(first, FIRING) == 200
        await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the earlier receiver goes on")
        assert await first.stop() == 0
    async with hosts.running(1, env=newest) as second:
        assert shape(hosts) == (known() + 1, known() + 1)
        code, said = await asyncio.to_thread(refused, hosts, 0, {})
        assert (code, f"this version knows shapes up to {known()}" in said) == (3, True)
        assert await hosts.post(second, RESOLVED) == 200
        await until(lambda: hosts.flags()[1] is None, WAIT_S, "the later receiver unfreezes")
        await until(hosts.heard, WAIT_S, "people are told")
        hosts.check_end(without=[0])


@pytest.mark.soak
async def test_what_the_earlier_version_needs_goes_with_its_last_receiver(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """The later receiver runs beside it. An earlier one that stood still meanwhile stores and does nothing more."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    newest = later(tmp_path / "later", "pre_", "post_")
    async with hosts.running(0) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the earlier receiver leads")
        async with hosts.running(1, env=newest) as second:
            assert shape(hosts)[0] == known() + 1
            assert await hosts.post(second, FIRING) == 200
            await until(hosts.frozen, WAIT_S, "both hosts have the flag")
            await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is done")
            assert await second.stop() == 0
        first.process.send_signal(signal.SIGSTOP)
        gone = f"SELECT count(*) FROM receiver WHERE seen_at > clock_timestamp() - interval '{LEASE_S} s'"
        await until(lambda: hosts.rows(gone) == [(0,)], WAIT_S, "the earlier receiver gives no sign")
        async with hosts.running(1, env=newest) as second:
            assert shape(hosts) == (known() + 2, known() + 2)
            first.process.send_signal(signal.SIGCONT)
            assert await hosts.post(first, FIRING) == 503
            assert "Start a newer version" in str(await first.get("/health/detailed"))
            assert await hosts.post(second, RESOLVED) == 200
            await until(hosts.unfrozen, WAIT_S, "the later receiver unfreezes, and the earlier one follows")
            await until(hosts.heard, WAIT_S, "people are told")
            hosts.check_end()


def refused(hosts: Hosts, number: int, version: dict[str, str]) -> tuple[int, str]:
    """Start a receiver that is expected to refuse: its exit code, and what it says."""
    site = hosts.sites[number]
    words = ["serve", "--policy", str(site.root / "policy"), "--config", str(site.root / "receiver.yaml")]
    env = {
        **os.environ,
        journals.SERVER: hosts.dsn,
        "FREEZELINE_JOURNAL_REQUIRE_STANDBY": "false",
        "FREEZELINE_JOURNAL_LEASE_S": LEASE_S,
        "FREEZELINE_HOST": f"host-{number}",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        **version,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "freezeline", *words, "--state", str(site.state), "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        cwd=site.root,
        env=env,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stderr
