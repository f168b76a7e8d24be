"""`freezeline drill recovery` of SQLite and Redis: RTO, RPO and integrity, in the history and before the gate."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from release.drill.backups import MANIFEST, Manifest
from release.drill.sqlite_store import FILE
from tests.acceptance.receiver.harness import Site
from tests.redis_server import RedisServer, redis_server
from tests.tools import ROOT, program

pytestmark = [pytest.mark.acceptance]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with some sessions."""
    with redis_server(tmp_path / "live") as found:
        found.client.mset({f"session {number}": number for number in range(100)})
        yield found


def freezeline(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line with Redis on PATH."""
    path = os.pathsep.join((str(program("redis-server").parent), os.environ["PATH"]))
    argv = [sys.executable, "-m", "freezeline", *map(str, arguments)]
    env = {**os.environ, "PATH": path}
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT, env=env)


def drill(site: Site, live: RedisServer, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the line of the history."""
    done = freezeline(
        *("drill", "recovery", site.root / "policy" / "gateway.policy.json", "--state", site.state, "--json"),
        *("--backups", site.root / "backups", "--redis", f"sessions={live.url}"),
        *("--sqlite", f"jobs={site.root / 'jobs.sqlite'}", *options),
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def gate(site: Site) -> tuple[str, str]:
    """Verdict and reason of a gate that demands a fresh rehearsal of recovery."""
    limits = {"rto_at_most_s": 300, "rpo_at_most_s": 3600, "integrity": True}
    check = {"id": "recovery", "kind": "rehearsed", "rehearsal": "recovery", "max_age_s": 604800, **limits}
    policy = site.root / "gate.policy.json"
    policy.write_text(json.dumps({**site.policy, "gate": {"checks": [check]}}))
    policy.chmod(0o644)
    ran = freezeline("gate", policy, "--json", "--rehearsals", site.state / "rehearsals.jsonl")
    found = json.loads(ran.stdout)
    return found["verdict"], found["checks"][0]["reason"]


def age(backups: Path, by: timedelta) -> None:
    """Let the newest backup of each store have been taken earlier."""
    for store in backups.iterdir():
        path = max(store.iterdir()) / MANIFEST
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        path.write_bytes(msgspec.json.encode(replace(manifest, taken_at=manifest.taken_at - by)))


def test_recovery_of_both_stores(tmp_path: Path, live: RedisServer) -> None:
    """The first drill takes its backups itself. The second restores what it left, and its age is the RPO."""
    site = Site(root=tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as db:
        db.executescript("CREATE TABLE job (id INTEGER PRIMARY KEY, body); INSERT INTO job (body) VALUES ('a'), (2.5)")
        assert gate(site)[0] == "CANNOT_TELL"
        code, first = drill(site, live)
        assert (code, first["ok"], first["integrity"], first["succeeded"]) == (0, True, True, 2), first
        live.client.flushall()
        db.executescript("DELETE FROM job")
        age(tmp_path / "backups", timedelta(minutes=20))
        code, second = drill(site, live)
        assert (code, second["integrity"]) == (0, True), second
        assert 0 < second["rto_s"] < 300
        assert 0 < first["rpo_s"] < 300
        assert 1200 < second["rpo_s"] < 1500
        assert gate(site) == ("GO", f"rehearsed at {_ended(second)}")


def _ended(line: dict[str, Any]) -> str:
    return str(line["ended_at"]).replace("Z", "+00:00")


def test_a_corrupted_backup(tmp_path: Path, live: RedisServer) -> None:
    """One row of the backup was changed: no integrity, no RTO, and NO-GO."""
    site = Site(root=tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as db:
        db.executescript("CREATE TABLE job (id INTEGER PRIMARY KEY, body); INSERT INTO job (body) VALUES ('marker')")
    assert drill(site, live)[0] == 0
    file = max((tmp_path / "backups" / "jobs").iterdir()) / FILE
    file.write_bytes(file.read_bytes().replace(b"marker", b"Marker"))
    code, line = drill(site, live)
    assert (code, line["integrity"], "rto_s" in line) == (1, False, False)
    assert line["why"] == ["restore of jobs: what was restored is not whole: table job has other contents"]
    verdict, reason = gate(site)
    assert verdict == "NO_GO"
    assert "did not prove the integrity" in reason
