"""`freezeline drill recovery` of SQLite, Redis and ChromaDB together: RTO, RPO, integrity, and corrupted backups."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from release.drill.chroma_store import RECORDS
from release.drill.redis_store import FILE as SNAPSHOT
from release.drill.sqlite_store import FILE
from tests.acceptance.drill.chroma import filled, installed
from tests.acceptance.drill.test_chroma_store import damage_index, lose_index
from tests.acceptance.receiver.harness import Site
from tests.redis_server import RedisServer, redis_server
from tests.tools import ROOT, program

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(1800)]


class Stores(Struct, frozen=True, kw_only=True):
    """All three stores, live, and the site whose drill restores them."""

    site: Site
    redis: RedisServer
    python: Path

    def drill(self) -> tuple[int, dict[str, Any]]:
        """Exit code, and the line of the history."""
        root = self.site.root
        argv = ["drill", "recovery", root / "policy" / "gateway.policy.json", "--state", self.site.state, "--json"]
        argv += ["--backups", root / "backups", "--sqlite", f"jobs={root / 'jobs.sqlite'}"]
        argv += ["--redis", f"sessions={self.redis.url}"]
        argv += ["--chromadb", f"memory={root / 'chroma'}", "--chromadb-python", self.python]
        env = {**os.environ, "PATH": os.pathsep.join((str(program("redis-server").parent), os.environ["PATH"]))}
        ran = subprocess.run(
            [sys.executable, "-m", "freezeline", *map(str, argv)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=ROOT,
            env=env,
        )
        assert ran.stdout, ran.stderr
        print(ran.stdout)
        return ran.returncode, json.loads(ran.stdout)

    def newest(self, store: str) -> Path:
        """The folder of a store's newest backup."""
        return max((self.site.root / "backups" / store).iterdir())


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Jobs, sessions and records."""
    python = installed()
    filled(python, tmp_path / "chroma")
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as db:
        db.executescript("CREATE TABLE job (id INTEGER PRIMARY KEY, body); INSERT INTO job (body) VALUES ('marker')")
    with redis_server(tmp_path / "live") as live:
        live.client.mset({f"session {number}": number for number in range(1000)})
        yield Stores(site=Site(root=tmp_path), redis=live, python=python)


def change_a_row(stores: Stores) -> None:
    """SQLite itself finds nothing wrong."""
    file = stores.newest("jobs") / FILE
    file.write_bytes(file.read_bytes().replace(b"marker", b"Marker"))


def flip_a_byte(stores: Stores) -> None:
    """In Redis' snapshot."""
    file = stores.newest("sessions") / SNAPSHOT
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


def change_copy_and_export(stores: Stores) -> None:
    """ChromaDB's index is lost, and one digit of its export is another."""
    folder = stores.newest("memory")
    lose_index(folder)
    records = folder / RECORDS
    text = records.read_text()
    place = text.rindex("0.7")
    records.write_text(text[:place] + "0.6" + text[place + 3 :])


def test_all_three_stores_are_whole(stores: Stores) -> None:
    """RTO at most 300 s, RPO at most 60 min, integrity by digests, although the live stores were changed since."""
    assert stores.drill()[0] == 0
    stores.redis.client.flushall()
    code, line = stores.drill()
    assert (code, line["ok"], line["integrity"], line["runs"], line["succeeded"]) == (0, True, True, 3, 3), line
    assert 0 < line["rto_s"] <= 300
    assert 0 < line["rpo_s"] <= 3600
    assert "notes" not in line


@pytest.mark.parametrize(
    "damage,store", [(change_a_row, "jobs"), (flip_a_byte, "sessions"), (change_copy_and_export, "memory")]
)
def test_a_corrupted_backup_is_not_called_whole(stores: Stores, damage: Callable[[Stores], None], store: str) -> None:
    """Whichever store it is of: no integrity, no RTO, and the reason names the store."""
    assert stores.drill()[0] == 0
    damage(stores)
    code, line = stores.drill()
    assert (code, line["integrity"], "rto_s" in line) == (1, False, False), line
    assert [why for why in line["why"] if store in why] == line["why"]


def test_a_corrupted_index_is_rebuilt_and_told(stores: Stores) -> None:
    """The copy is not called whole: its index is built anew from the export, and the note says so."""
    assert stores.drill()[0] == 0
    damage_index(stores.newest("memory"))
    code, line = stores.drill()
    assert (code, line["integrity"]) == (0, True), line
    assert line["notes"][0].startswith("memory: rebuilt from its export: ")
