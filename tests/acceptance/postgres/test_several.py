"""Several receivers, each on a host of its own, with one journal: every host freezes, and one receiver acts."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from receiver.journal.postgres import ANSWER_S
from tests.acceptance.postgres.hosts import TOLD, Hosts
from tests.acceptance.receiver.harness import body
from tests.fakes.http import SlackFake
from tests.postgres import Cluster, pair
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0


async def test_every_host_freezes_and_one_receiver_acts(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """Whichever receiver has the webhook: one rollback, each notice once, and the same answers everywhere."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    async with hosts.running(0) as first, hosts.running(1) as second:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        answers = await asyncio.gather(*(hosts.post(one, FIRING) for one in (second, first, second)))
        assert set(answers) == {200}
        await until(hosts.frozen, WAIT_S, "both hosts have the flag")
        await hosts.to_the_end(second)
        assert sorted(hosts.told()) == sorted(TOLD)
        hosts.check_end()
        assert [(await one.get("/health/detailed"))["leads"] for one in (first, second)].count(True) == 1
        states = [await one.get("/api/v1/state") for one in (first, second)]
        assert states[0]["services"] == states[1]["services"]


async def test_another_receiver_takes_over_and_never_starts_a_rollback_again(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """The leader dies while its rollback runs. The other one verifies the rollback, and unfreezes both hosts' flags."""
    hosts = Hosts.made(tmp_path, server.database(), slack, rollback="sleep 4")
    async with hosts.running(0) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(1) as second:
            assert await hosts.post(first, FIRING) == 200
            await until(lambda: hosts.starts() == 1 and hosts.frozen(), WAIT_S, "the rollback runs")
            first.process.kill()
            await until(lambda: hosts.leader() == "host-1", WAIT_S, "the second receiver leads")
            await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is verified")
            assert hosts.starts() == 1
            assert await hosts.post(second, RESOLVED) == 200
            await until(lambda: hosts.flags()[1] is None, WAIT_S, "the second host is unfrozen")
            assert hosts.flags()[0] is not None
            async with hosts.running(0):
                await until(hosts.unfrozen, WAIT_S, "the host that was away drops its flag")
                assert hosts.leader() == "host-1"
                await until(hosts.heard, WAIT_S, "people are told")
                hosts.check_end()


async def test_a_leader_that_stood_still_acts_no_more(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """SIGSTOP past the lease, in a rollback; after SIGCONT the receiver finds another leader, and ends."""
    hosts = Hosts.made(tmp_path, server.database(), slack, rollback="sleep 2")
    async with hosts.running(0) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(1) as second:
            assert await hosts.post(first, FIRING) == 200
            await until(lambda: hosts.starts() == 1, WAIT_S, "the rollback runs")
            first.process.send_signal(signal.SIGSTOP)
            await until(lambda: hosts.leader() == "host-1", WAIT_S, "the second receiver leads")
            first.process.send_signal(signal.SIGCONT)
            assert await first.died() == 3
            assert "another receiver leads now" in first.log.read_text()
            await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is verified")
            assert hosts.leader() == "host-1"
            async with hosts.running(0):  # as a supervisor does
                assert await hosts.post(second, RESOLVED) == 200
                await until(hosts.unfrozen, WAIT_S, "no host has the flag")
            await until(hosts.heard, WAIT_S, "people are told")
            hosts.check_end()


@pytest.mark.soak
async def test_a_flag_that_somebody_removes_comes_back_on_every_host(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """On the leader's host and on the other one."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    async with hosts.running(0) as first, hosts.running(1):
        assert await hosts.post(first, FIRING) == 200
        await until(hosts.frozen, WAIT_S, "both hosts have the flag")
        for site in hosts.sites:
            site.flag.unlink()
        await until(hosts.frozen, WAIT_S, "both hosts have the flag again")


@pytest.mark.soak
@pytest.mark.timed
async def test_without_a_standby_alertmanager_is_told_to_send_again(slack: SlackFake, tmp_path: Path) -> None:
    """503 and a failing health, until a standby is back."""
    with pair() as (primary, standby):
        hosts = Hosts.made(tmp_path, primary.database(), slack, count=1)
        async with hosts.running(0, env={"FREEZELINE_JOURNAL_REQUIRE_STANDBY": "true"}) as server:
            await until(hosts.leader, WAIT_S, "the receiver leads")
            standby.stop()
            begun = time.monotonic()
            assert await hosts.post(server, FIRING) == 503
            # The webhook may wait behind a renewal of the lead, whose commit waits as long.
            assert ANSWER_S - 1 < time.monotonic() - begun < 2 * ANSWER_S + 3
            assert (await server.get("/health"))["status"] == "failing"
            standby.start()

            async def taken() -> bool:
                return await hosts.post(server, FIRING) == 200

            await until(taken, WAIT_S, "a webhook is taken")
            await until(hosts.frozen, WAIT_S, "the host has the flag")
            await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is done")
            assert await hosts.post(server, RESOLVED) == 200
            await until(hosts.unfrozen, WAIT_S, "the host is unfrozen")
            await until(hosts.heard, WAIT_S, "people are told")
            hosts.check_end()
