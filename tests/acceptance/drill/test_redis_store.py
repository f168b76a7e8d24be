"""Redis' backups with a real Redis: every type of value, keys that expire, and a backup that is not whole."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release.drill.backups import Contents, differences, take
from release.drill.experiment import DrillError
from release.drill.redis_store import FILE, RedisStore
from tests.redis_server import RedisServer, redis_server
from tests.tools import program

pytestmark = [pytest.mark.acceptance]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with every type of value, in two databases."""
    with redis_server(tmp_path / "live") as found:
        client = found.client
        client.set("text", b"\xff\x00 bytes")
        client.rpush("list", *range(300))
        client.hset("hash", mapping={f"field {number}": number for number in range(300)})
        client.sadd("set", *range(300))
        client.zadd("zset", {f"member {number}": number / 3 for number in range(300)})
        client.xadd("stream", {"event": "began"}, id="1-1")
        client.set("session", "kept", px=3_600_000)
        client.set("short", "gone soon", px=200)
        client.select(3)
        client.set("other", "database")
        client.select(0)
        yield found


def store(live: RedisServer) -> RedisStore:
    """The Redis of these tests."""
    programs = str(program("redis-server")), str(program("redis-check-rdb"))
    return RedisStore(name="sessions", url=live.url, server=programs[0], check_rdb=programs[1])


def backed_up(live: RedisServer, root: Path) -> tuple[Path, Contents]:
    """The folder of a backup, and what is in it."""
    backup = take(store(live), root / "backups", clock=lambda: datetime.now(UTC), keep=3)
    return backup.folder, backup.manifest.contents


def restored(live: RedisServer, folder: Path, scratch: Path) -> Contents:
    """What a restore finds."""
    scratch.mkdir()
    return store(live).restore(folder, scratch).contents


def test_everything_is_restored(live: RedisServer, tmp_path: Path) -> None:
    """Each type in each database; a key that has expired since is not missed, and one that expires later is."""
    folder, contents = backed_up(live, tmp_path)
    live.client.flushall()
    found = restored(live, folder, tmp_path / "scratch")
    assert differences(contents, found, now=time.time()) == []
    assert (contents["database 0"].count, contents["database 3"].count) == (6, 1)
    later = [name for name, part in contents.items() if part.gone_from and part.gone_from > time.time()]
    assert len(later) == 1
    assert differences(contents, {name: found[name] for name in found if name != later[0]}, now=time.time()) == [
        f"{later[0]} is missing"
    ]


def test_a_snapshot_of_another_state_is_refused(live: RedisServer, tmp_path: Path) -> None:
    """One value differs: the digest tells."""
    folder, contents = backed_up(live, tmp_path)
    live.client.hset("hash", "field 7", "changed")
    other, _ = backed_up(live, tmp_path)
    (folder / FILE).write_bytes((other / FILE).read_bytes())
    found = restored(live, folder, tmp_path / "scratch")
    assert differences(contents, found, now=time.time()) == ["database 0 has other contents"]


@pytest.mark.parametrize("damage", ["a byte", "the end", "everything"])
def test_a_corrupted_snapshot_is_not_whole(live: RedisServer, tmp_path: Path, damage: str) -> None:
    """redis-check-rdb finds a flipped byte by its checksum, a lost end, and a file of something else."""
    folder, _ = backed_up(live, tmp_path)
    data = bytearray((folder / FILE).read_bytes())
    if damage == "a byte":
        data[len(data) // 2] ^= 0x10
    elif damage == "the end":
        del data[len(data) // 2 :]
    else:
        data[:] = b"not a snapshot"
    (folder / FILE).write_bytes(data)
    with pytest.raises(DrillError, match="redis-check-rdb: "):
        restored(live, folder, tmp_path / "scratch")


def test_a_save_that_fails(live: RedisServer, tmp_path: Path) -> None:
    """The directory of the snapshot is gone: no backup, and nothing is left of it."""
    shutil.rmtree(live.directory)
    with pytest.raises(DrillError, match="BGSAVE"):
        backed_up(live, tmp_path)
    assert list((tmp_path / "backups" / "sessions").iterdir()) == []
