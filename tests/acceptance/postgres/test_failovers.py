"""The primary fails receivers in an incident: a commit that is cancelled, a standby that lags, a primary that returns.

`test_durability` looks at each failure in the journal alone.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.postgres.hosts import FIRING, RESOLVED, WAIT_S, Hosts
from tests.acceptance.postgres.supervised import supervised
from tests.fakes.http import SlackFake
from tests.postgres import Cluster, either, pair
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
DELIVERIES = "SELECT count(*) FROM delivery"
LOSSES = "SELECT count(*) FROM decision WHERE kind = 'decisions_lost'"


@pytest.fixture
def servers() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary whose commits wait for its standby."""
    with pair() as found:
        yield found


def database(hosts: Hosts) -> str:
    """The name of the journal's database."""
    return str(conninfo_to_dict(hosts.dsn)["dbname"])


def caught_up(primary: Cluster) -> bool:
    """Whether the standby has written everything that the primary has."""
    return primary.ask("SELECT bool_and(flush_lsn = pg_current_wal_lsn()) FROM pg_stat_replication") == [(True,)]


async def test_a_cancelled_commit_gets_no_200(
    servers: tuple[Cluster, Cluster], slack: SlackFake, tmp_path: Path
) -> None:
    """The primary reports success and shows the row, which no standby has. The sender sends again, and all is well."""
    primary, standby = servers
    hosts = Hosts.made(tmp_path, either(primary.database(), *servers), slack)
    async with supervised(hosts) as supervisor:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        standby.stop()
        answer = asyncio.create_task(hosts.post(supervisor.up[1], FIRING))

        def cancelled() -> bool:
            primary.ask(CANCEL)
            return answer.done()

        await until(cancelled, WAIT_S, "the sender has an answer")
        assert await answer == 503
        assert primary.ask(DELIVERIES, database(hosts)) == [(1,)]
        standby.start()
        await hosts.through_an_incident(supervisor.up.values())


@pytest.mark.soak
async def test_a_failover_that_loses_decisions_says_so(
    servers: tuple[Cluster, Cluster], slack: SlackFake, tmp_path: Path
) -> None:
    """Without a required standby, the end of a freeze is lost. The freeze is back until the sender sends again."""
    primary, standby = servers
    primary.require("")
    hosts = Hosts.made(tmp_path, either(primary.database(), *servers), slack)
    async with hosts.running(0) as first, hosts.running(1) as second:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        assert await hosts.post(first, FIRING) == 200
        await until(hosts.frozen, WAIT_S, "both hosts have the flag")
        await hosts.told_of_rollback()
        await until(lambda: caught_up(primary), WAIT_S, "the standby has everything")
        standby.stop()
        assert await hosts.post(second, RESOLVED) == 200
        await until(hosts.unfrozen, WAIT_S, "no host has the flag")
        await until(hosts.heard, WAIT_S, "people are told")
        primary.kill()
        standby.start()
        standby.promote()
        await until(lambda: hosts.rows(LOSSES) != [(0,)], WAIT_S, "the loss is reported")
        await until(hosts.frozen, WAIT_S, "both hosts have the flag again")

        async def taken() -> bool:
            return await hosts.post(second, RESOLVED) == 200

        await until(taken, WAIT_S, "the sender sends again")
        await until(hosts.unfrozen, WAIT_S, "no host has the flag")
        unfrozen = "gateway is unfrozen"
        await until(lambda: hosts.told().count(unfrozen) == 2, WAIT_S, "people are told again")
        assert any("journal.lost" in one.log.read_text() for one in (first, second))
        hosts.check_end(again=[unfrozen])


@pytest.mark.soak
async def test_an_old_primary_that_takes_writes_gets_none(
    servers: tuple[Cluster, Cluster], slack: SlackFake, tmp_path: Path
) -> None:
    """It comes first in the list. Receivers stop rather than write there, and go on with the new one."""
    primary, standby = servers
    primary.require("")
    hosts = Hosts.made(tmp_path, either(primary.database(), *servers), slack)
    async with hosts.running(0) as first, hosts.running(1) as second:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        await until(lambda: caught_up(primary), WAIT_S, "the standby has everything")
        primary.kill()
        standby.promote()

        async def taken() -> bool:
            return await hosts.post(first, FIRING) == 200

        await until(taken, WAIT_S, "the new primary takes the webhook")
        await until(hosts.frozen, WAIT_S, "both hosts have the flag")
        primary.start()
        old = primary.ask("SELECT seq FROM chain_head", database(hosts))
        standby.kill()
        assert [await hosts.post(one, RESOLVED) for one in (first, second)] == [503, 503]
        assert "old primary" in str(await first.get("/health/detailed"))
        assert primary.ask("SELECT seq FROM chain_head", database(hosts)) == old
        standby.start()
        await hosts.through_an_incident((first, second))
