"""A disk that fills up, turns read-only or loses the journal: 503 while it lasts, and all right again by itself."""

import contextlib
import json
import resource
from collections.abc import Iterator

import aiohttp
import pytest

from tests.acceptance.receiver.harness import Receiver, Site, body, receiver
from tests.acceptance.receiver.test_kill_points import final
from tests.disks import fill, grow, public_directory, small_disk
from tests.waiting import until

pytestmark = pytest.mark.acceptance

DEADLINE_S = 30.0
SECONDS = 8.0
FIRING = body("0.34.2", "firing")


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose flag other users can see."""
    with public_directory() as root:
        yield Site(root=root)


def big(number: int) -> bytes:
    """A webhook of its own with many labels, which fills a journal quickly."""
    raw = json.loads(FIRING)
    raw["alerts"][0]["labels"] = {"alertname": "Other", "n": str(number), "text": "x" * 500}
    raw["alerts"][0]["fingerprint"] = f"{number:016x}"
    return json.dumps(raw).encode()


async def status_of(server: Receiver) -> str:
    """What health says."""
    return str((await server.get("/health"))["status"])


async def fill_journal(server: Receiver) -> None:
    """Send webhooks until the journal takes no more."""
    for number in range(2000):
        if await server.post(big(number)) == 503:
            return
    raise AssertionError("the disk never filled")


async def test_a_full_disk_is_503_while_it_lasts(site: Site) -> None:
    """Also the checkpoint fails meanwhile; then a webhook freezes again, without a restart."""
    with small_disk(site.state, kib=9 * 1024) as disk:
        disk.chmod(0o700)
        async with receiver(site) as server:
            beat = site.flag.parent / "FREEZE.HEARTBEAT"
            # Enough for several checkpoints: the last one finds no space for the database.
            await fill_journal(server)
            ballast = fill(disk)
            assert await server.post(FIRING) == 503
            assert await status_of(server) != "ok"
            before = beat.read_text()
            assert await server.post(FIRING) == 503
            assert beat.read_text() == before
            assert not site.flag.exists()
            ballast.unlink()
            grow(disk, kib=64 * 1024)
            await until(lambda: beat.read_text() != before, SECONDS, "the heart beats again")
            assert await server.post(FIRING) == 200
            await until(site.flag.exists, SECONDS, "frozen")
            await until(lambda: final(site), DEADLINE_S, "everything is over")
            assert server.process.poll() is None
            assert await server.stop() == 0


async def test_a_disk_that_only_reads_is_never_called_well(site: Site) -> None:
    """Every write fails, reading works, and so would an empty commit. Runs where no disk can be mounted, too."""
    async with receiver(site) as server:
        beat = site.flag.parent / "FREEZE.HEARTBEAT"
        assert await status_of(server) == "ok"
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
        assert await server.post(FIRING) == 503
        assert await status_of(server) == "failing"
        before = beat.read_text()
        metrics = await server.get("/metrics")
        assert 'freezeline_component_ok{component="journal"} 0.0' in metrics
        assert await status_of(server) == "failing"
        assert beat.read_text() == before
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        await until(lambda: beat.read_text() != before, SECONDS, "the heart beats again")
        assert await server.post(FIRING) == 200
        await until(site.flag.exists, SECONDS, "frozen")
        assert await status_of(server) == "ok"
        assert await server.stop() == 0


async def test_a_journal_that_is_lost_ends_the_receiver(site: Site) -> None:
    """No webhook is acknowledged into nowhere; the next receiver takes up the freeze."""
    async with receiver(site) as server:
        assert await server.post(FIRING) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        (site.state / "journal.db").unlink()
        with contextlib.suppress(aiohttp.ClientError):
            assert await server.post(body("0.34.2", "group")) == 503
        assert await server.died() == 3
        assert "journal.db is gone" in server.log.read_text()
    for path in site.state.glob("journal.db*"):
        path.unlink()
    async with receiver(site) as server:
        await until(lambda: bool(site.rows("SELECT 1 FROM freeze_reason")), DEADLINE_S, "the freeze is taken up")
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert (await server.get("/api/v1/state"))["services"][0]["on_disk"]
