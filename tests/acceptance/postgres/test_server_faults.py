"""What a fault of the database does to receivers: 503 while nothing can be stored, and then all as if it had not been.

`test_durability` looks at each fault in the journal alone; here receivers meet the fault in an incident.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.acceptance.postgres.hosts import FIRING, WAIT_S, Hosts
from tests.fakes.http import SlackFake
from tests.postgres import Bouncer, Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.xdist_group("postgres")]

RAISE = """
CREATE SEQUENCE faults;
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('faults') <= {times} THEN  -- a rollback does not undo nextval
    RAISE EXCEPTION 'injected' USING ERRCODE = '{code}';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fault BEFORE INSERT ON decision FOR EACH ROW EXECUTE FUNCTION fault()
"""
END_FAULT = "DROP TRIGGER fault ON decision"
ALWAYS = 10**9


@contextlib.contextmanager
def raising(server: Cluster, database: str, code: str, times: int) -> Iterator[None]:
    """Every new decision, or the first ones, fail with this SQLSTATE."""
    server.run(RAISE.format(code=code, times=times), database)
    try:
        yield
    finally:
        server.run(END_FAULT, database)


@contextlib.contextmanager
def full_disk(server: Cluster, database: str) -> Iterator[None]:
    """The disk has no room for a decision."""
    with raising(server, database, "53100", ALWAYS):
        yield


@contextlib.contextmanager
def no_connections(server: Cluster, _database: str) -> Iterator[None]:
    """The receivers have lost their connections, and others hold all there are."""
    with server.full():
        yield


Fault = Callable[[Cluster, str], contextlib.AbstractContextManager[None]]


@pytest.mark.parametrize("fault", [full_disk, no_connections])
async def test_nothing_is_acknowledged_while_nothing_can_be_stored(
    server: Cluster, slack: SlackFake, tmp_path: Path, fault: Fault
) -> None:
    """Alertmanager gets 503 and sends again; the incident then takes its course on both hosts."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    async with hosts.running(0) as first, hosts.running(1) as second:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        with fault(server, str(conninfo_to_dict(hosts.dsn)["dbname"])):
            assert [await hosts.post(one, FIRING) for one in (first, second)] == [503, 503]
            assert (await first.get("/health"))["status"] != "ok"
        await hosts.through_an_incident((first, second))


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_alertmanager_does_not_hear_of_a_transaction_that_was_undone(
    server: Cluster, slack: SlackFake, tmp_path: Path, code: str
) -> None:
    """The receiver does the work again."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    async with hosts.running(0) as first, hosts.running(1) as second:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        with raising(server, str(conninfo_to_dict(hosts.dsn)["dbname"]), code, 3):
            assert await hosts.post(first, FIRING) == 200
        await hosts.through_an_incident((first, second))


async def test_a_pooler_that_passes_no_notifications(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """One receiver behind pgbouncer in transaction mode, and one beside it."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    bouncer = Bouncer(server).start()
    try:
        behind = {"FREEZELINE_JOURNAL_POSTGRES": make_conninfo(hosts.dsn, port=bouncer.port)}
        async with hosts.running(0) as first, hosts.running(1, env=behind) as second:
            await until(hosts.leader, WAIT_S, "a receiver leads")
            await until(lambda: "journal.deaf" in second.log.read_text(), WAIT_S, "the receiver warns")
            assert await hosts.post(first, FIRING) == 200
            await hosts.through_an_incident((first, second))
    finally:
        bouncer.stop()
