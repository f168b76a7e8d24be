"""A running receiver whose journal another process writes too: this test writes deliveries past the receiver."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freezeline.problems import Problems
from receiver.decide.model import NO_TRACE, new_id
from receiver.journal import Journal, SqliteStore, View, open_view, verify
from receiver.policy.directory import read_directory
from receiver.policy.model import Policies
from receiver.steps import pass_by
from receiver.webhook.process import Processing
from tests.acceptance.receiver.harness import Site, body, receiver
from tests.acceptance.receiver.test_kill_points import final
from tests.acceptance.receiver.test_loop import DEADLINE_S, events, frozen
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("shared")]


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Other:
    """A second writer of a receiver's journal, with the same policies."""

    def __init__(self, site: Site) -> None:
        problems = Problems()
        loaded = read_directory(site.root / "policy", channels=site.settings["channels"], problems=problems)
        assert not problems.errors
        in_force = tuple(policy for policy, _ in loaded.policies.values())
        self.policies = Policies(in_force=in_force, by_sha256={policy.sha256: policy for policy in in_force})
        self.journal = Journal(SqliteStore(site.state / "journal.db", exclusive=False), clock=now, reached=pass_by)

    async def process(self, data: bytes) -> int:
        """Process a delivery as a receiver does, without one; how many decisions it brought."""
        processing = Processing(data, self.policies, ids=new_id, trace=NO_TRACE, at=now())
        return (await self.journal.write(processing.process, prepare=processing.parse)).decided


@contextlib.asynccontextmanager
async def other_writer(site: Site) -> AsyncIterator[Other]:
    """A second writer, closed afterwards."""
    other = Other(site)
    other.journal.start()
    try:
        yield other
    finally:
        await other.journal.close()


def shared_site(root: Path) -> Site:
    """A site whose receiver keeps nothing in memory, and hears of no news but by its journal."""
    channels = {"log": {"type": "log"}, "toast": {"type": "toast"}}
    settings = {"channels": channels, "journal": {"exclusive": False}, "reconcile_every_s": 60}
    return Site(root=root, settings=settings)


async def test_what_another_process_decides_is_carried_out(tmp_path: Path) -> None:
    """The other writer opens an episode: the receiver writes the flag, rolls back, tells, and unfreezes later."""
    site = shared_site(tmp_path)
    async with receiver(site) as server, other_writer(site) as other:
        assert await other.process(body("0.34.2", "firing")) == 1
        await until(lambda: frozen(site), DEADLINE_S, "the flag is there")
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert site.lines("rollbacks") == ["v2"]
        assert await server.post(body("0.34.2", "firing")) == 200
        told = [data["event"] for name, _, data in await events(server, "?after=0", 4) if name == "notice"]
        assert told == ["frozen", "rollback_started", "rollback_done"]
        assert site.rows("SELECT count FROM delivery") == [(2,)]
        assert await other.process(body("0.34.2", "resolved")) > 0
        await until(lambda: not frozen(site) and final(site), DEADLINE_S, "unfrozen")
        state = await server.get("/api/v1/state")
        assert [service["frozen"] for service in state["services"]] == [False]
        assert await server.stop() == 0


async def test_a_follower_hears_of_the_other_writers_notices(tmp_path: Path) -> None:
    """A stream that is open gets the notice, and a number that only the other writer gave is no reset."""
    site = shared_site(tmp_path)
    async with receiver(site) as server, other_writer(site) as other:
        following = asyncio.create_task(events(server, "?after=0", 2))
        await other.process(body("0.34.2", "firing"))
        found = await asyncio.wait_for(following, DEADLINE_S)
        assert {name for name, _, _ in found} <= {"notice", "state"}
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        last = await other.journal.read(lambda view: view.head()[0])
        ((name, _, _),) = await events(server, f"?after={last}", 1)
        assert name == "state"


async def test_deliveries_at_both_writers_at_once_are_one_story(tmp_path: Path) -> None:
    """Two hundred messages, half of them past the receiver: each is there once and counted, and the chain holds."""
    site = shared_site(tmp_path)
    raw = json.loads(body("0.34.2", "firing"))
    bodies = [json.dumps({**raw, "groupKey": str(number)}).encode() for number in range(50)]
    async with receiver(site) as server, other_writer(site) as other:
        answers = await asyncio.gather(
            *(server.post(data) for data in bodies * 2), *(other.process(data) for data in bodies * 2)
        )
        assert answers[:100] == [200] * 100
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert site.rows("SELECT count(*), min(count), max(count) FROM delivery") == [(50, 4, 4)]
        assert site.rows("SELECT count(*) FROM episode") == [(1,)]
        assert site.lines("rollbacks") == ["v2"]
        assert site.lines("freezer") == ["on"]
        assert await server.stop() == 0
    view: View
    view, connection = open_view(site.state / "journal.db")
    with contextlib.closing(connection):
        assert verify(view.all_decisions()).broken_at is None
