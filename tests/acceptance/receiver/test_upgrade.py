"""A receiver takes over from one of an earlier version: its journal, flags, policies and the runs that it left."""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from receiver.journal import shapes
from tests.acceptance.receiver.harness import Receiver, Site, receiver, script
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.tools import ROOT
from tests.waiting import until

pytestmark = pytest.mark.acceptance

DATA = ROOT / "tests" / "data" / "journal" / "shape-1"
PLACE = "/srv/shop"
"""Where the earlier receiver lived."""

DEADLINE_S = 30.0
FINAL = "('SUCCEEDED', 'SKIPPED', 'CANCELLED', 'DEAD')"


def left_behind(root: Path, slack_url: str = "http://127.0.0.1:9/") -> Site:
    """All that the earlier receiver left, moved to `root`: only paths change, and so the hashes of policies."""
    site = Site(root=root)
    shutil.rmtree(root / "policy")
    for name in ("flags", "policy"):
        shutil.copytree(DATA / name, root / name)
    (root / "flags").chmod(0o755)
    shutil.copytree(DATA / "runs", site.state / "runs")
    for path in (site.state / "runs", *(site.state / "runs").iterdir()):
        path.chmod(0o700)
    settings = json.loads((DATA / "receiver.yaml").read_text())
    (root / "receiver.yaml").write_text(json.dumps({**settings, "reconcile_every_s": 1}))
    for path in (root / "receiver.yaml", *root.glob("policy/*"), *root.glob("state/runs/*/order.json")):
        path.write_text(path.read_text().replace(PLACE, str(root)))
        path.chmod(0o600)
    for path in root.glob("flags/*"):
        path.chmod(0o755)
    for name in ("slack", "slack-lead", "slack-night", "slack-busy"):
        (root / f"{name}-url").write_text(slack_url)
        (root / f"{name}-url").chmod(0o600)
    for service in ("gateway", "checkout"):
        place = root / "service" / service
        place.mkdir()
        (place / "current").write_text("v1\n")
        script(place / "current.sh", f"cat {place}/current")
        script(place / "verify.sh", f'test "$(cat {place}/current)" = v1')
        script(place / "rollback.sh", f"echo started >> {place}/rollbacks")
        script(place / "undo.sh", "exit 0")
    shutil.copy(DATA / "journal.db", site.state)
    move_journal(site.state / "journal.db", str(root))
    return site


def move_journal(path: Path, root: str) -> None:
    """Write the new place into everything but decisions, which are chained."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table, column in (
            ("action", "key"),
            ("action", "payload"),
            ("hold", "flag"),
            ("flag_file", "path"),
            ("policy", "body"),
        ):
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (PLACE, root))
        for sha256, body in connection.execute("SELECT sha256, body FROM policy").fetchall():
            new = hashlib.sha256(body.encode()).hexdigest()
            for table, column in (("policy", "sha256"), ("policy_in_force", "sha256"), ("episode", "policy_sha256")):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, sha256))
        connection.commit()


def flag(site: Site, service: str) -> Path:
    """The flag of a service."""
    return site.root / "flags" / service / "FREEZE.FLAG"


def delivered(site: Site, fingerprint: str) -> bytes:
    """The first webhook about an alert that the earlier receiver took."""
    sql = "SELECT body FROM delivery WHERE instr(CAST(body AS TEXT), ?) ORDER BY id LIMIT 1"
    ((data,),) = site.rows(sql, fingerprint)
    return bytes(data)


def over(site: Site, where: str) -> bool:
    """Whether every action of this kind is over."""
    return site.rows(f"SELECT count(*) FROM action WHERE {where} AND state NOT IN {FINAL}") == [(0,)]


def frozen(state: dict[str, Any]) -> set[str]:
    """Services that are frozen."""
    return {service["service"] for service in state["services"] if service["frozen"]}


def command(site: Site, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of Freezeline on the state directory."""
    line = [sys.executable, "-m", "freezeline", *words, "--state", str(site.state)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        line, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=site.root, **more
    )


async def test_the_next_version_goes_on_where_the_earlier_one_was_killed(tmp_path: Path) -> None:
    """Freezes stay in force, what was begun is finished, nothing is done twice; then all of it ends as usual."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        site = left_behind(tmp_path, slack.url)
        billing = flag(site, "billing").read_text()
        before = site.rows("SELECT count(*) FROM decision")[0][0]
        async with receiver(site) as server:
            await until(lambda: over(site, "1"), DEADLINE_S, "everything that was begun is over")
            assert frozen(await server.get("/api/v1/state")) == {"billing", "checkout", "gateway"}
            assert not flag(site, "search").exists()
            assert flag(site, "billing").read_text() == billing
            check_finished(site)
            check_told(slack)
            await repeat(server)
            await end(server, slack)
            assert await server.stop() == 0
        verified = command(site, "journal", "--verify")
        assert verified.returncode == 0, verified.stdout
        assert int(verified.stdout.split()[0]) > before
        shown = command(site, "journal", "--last", "1000").stdout
        assert {"released", "thawed", "unfrozen", "flag_removed"} <= {line.split()[2] for line in shown.splitlines()}


def check_finished(site: Site) -> None:
    """The rollback ended while no receiver ran: it is verified, not started again. No flag was taken for edited."""
    sql = "SELECT state, attempt, json_extract(result, '$.sentence') FROM action WHERE type = 'rollback'"
    assert site.rows(sql) == [("SUCCEEDED", 1, "verified as done")] * 2
    assert not (site.root / "service" / "checkout" / "rollbacks").exists()
    assert site.rows("SELECT count(*) FROM decision WHERE kind = 'flag_restored'") == [(0,)]
    assert site.rows("SELECT count(*) FROM action WHERE type = 'unfreeze' AND state = 'SUCCEEDED'") == [(3,)]
    assert site.rows("SELECT key, value FROM meta") == [("version", version("freezeline"))]


def check_told(slack: SlackFake) -> None:
    """Notices that were waiting or being sent have arrived, with today's words; the one cut off is marked."""
    told = Counter(message["text"] for message in slack.received)
    expected = (
        "checkout is frozen",
        "(repeat) checkout: ErrorRateHigh",
        "search is unfrozen",
        "checkout: rollback done",
    )
    assert {title: told[title] for title in expected} == {
        "checkout is frozen": 2,
        "(repeat) checkout: ErrorRateHigh": 1,
        "search is unfrozen": 2,
        "checkout: rollback done": 2,
    }
    assert "released" not in json.dumps(slack.received).lower()


async def repeat(server: Receiver) -> None:
    """An alert that is sent again changes nothing: no second episode, no second rollback."""
    site = server.site
    counts = site.rows("SELECT (SELECT count(*) FROM episode), (SELECT count(*) FROM action WHERE type = 'rollback')")
    assert await server.post(delivered(site, "c4ec000000000001")) == 200
    after = site.rows("SELECT (SELECT count(*) FROM episode), (SELECT count(*) FROM action WHERE type = 'rollback')")
    assert after == counts


async def end(server: Receiver, slack: SlackFake) -> None:
    """A flag of format 1 that goes comes back in format 2; unfreezing, resolving and resending work."""
    site = server.site
    assert json.loads(flag(site, "gateway").read_text())["format"] == "freezeline.flag/1"
    flag(site, "gateway").unlink()
    await until(flag(site, "gateway").exists, DEADLINE_S, "the flag is restored")
    restored = json.loads(flag(site, "gateway").read_text())
    assert (restored["format"], "unfreeze_when" in restored["reasons"][0]) == ("freezeline.flag/2", True)
    assert await server.operate("unfreeze", service="billing", reason="done", by="bob") == 202
    await until(lambda: not flag(site, "billing").exists(), DEADLINE_S, "billing is unfrozen")
    resolved = json.loads(delivered(site, "c4ec000000000001"))
    for alert in (resolved, resolved["alerts"][0]):
        alert["status"] = "resolved"
    resolved["alerts"][0]["endsAt"] = "2026-11-27T09:00:00Z"
    assert await server.post(json.dumps(resolved).encode()) == 200
    await until(lambda: not flag(site, "checkout").exists(), DEADLINE_S, "checkout is unfrozen")
    ((letter,),) = site.rows("SELECT id FROM action WHERE state = 'DEAD' AND key LIKE '%:unfrozen#again'")
    assert await server.operate("dlq", action=letter) == 202
    await until(lambda: over(site, "1"), DEADLINE_S, "all is over")
    assert "gateway is unfrozen" in {message["text"] for message in slack.received}
    assert frozen(await server.get("/api/v1/state")) == {"gateway"}


def serve(site: Site, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a receiver that is expected to refuse at its start."""
    words = ("serve", "--policy", str(site.root / "policy"), "--config", str(site.root / "receiver.yaml"))
    return command(site, *words, "--listen", "127.0.0.1:0", **more)


def dump(path: Path) -> list[str]:
    """All that is in a journal."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_journal_that_cannot_be_copied_is_not_migrated(tmp_path: Path) -> None:
    """The disk takes no file as large as the journal: exit code 3, what to do, and everything as before."""
    site = left_behind(tmp_path)
    path = site.state / "journal.db"
    before, size = dump(path), path.stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    refused = serve(site, preexec_fn=limit)
    assert refused.returncode == 3, refused.stderr
    assert f"could not be migrated from shape 1 to {shapes.newest()}" in refused.stderr
    assert "1 MB of free space. Then start the receiver again. The journal is as before" in refused.stderr
    assert dump(path) == before
    assert list(site.state.glob("journal.db.*")) == []


def test_a_journal_of_a_newer_shape_is_refused(tmp_path: Path) -> None:
    """By the receiver and by the commands that read the file, with exit code 3."""
    site = left_behind(tmp_path)
    with contextlib.closing(sqlite3.connect(site.state / "journal.db")) as connection:
        connection.execute("INSERT INTO meta VALUES ('version', '7.5.0')")
        connection.execute(f"PRAGMA user_version = {shapes.newest() + 1}")
        connection.commit()
    body = tmp_path / "webhook.json"
    body.write_bytes(delivered(site, "c4ec000000000001"))
    replay = ("replay", str(body), "--policy", str(tmp_path / "policy"), "--config", str(tmp_path / "receiver.yaml"))
    for ran in (serve(site), command(site, "journal", "--verify"), command(site, *replay)):
        assert ran.returncode == 3, ran.stderr
        assert "last used by version 7.5.0" in ran.stderr
        assert "Start that version or a newer one, or restore the copy" in ran.stderr


def test_commands_read_a_journal_that_was_not_migrated_yet(tmp_path: Path) -> None:
    """`journal` reads it as it is; `replay` needs a migrated one, and says who migrates."""
    site = left_behind(tmp_path)
    path = site.state / "journal.db"
    before = path.read_bytes()
    body = tmp_path / "webhook.json"
    body.write_bytes(delivered(site, "c4ec000000000001"))
    assert command(site, "journal", "--verify").returncode == 0
    assert " thawed " in command(site, "journal").stdout + command(site, "journal", "--after", "1").stdout
    replay = ("replay", str(body), "--policy", str(tmp_path / "policy"), "--config", str(tmp_path / "receiver.yaml"))
    refused = command(site, *replay)
    assert refused.returncode == 3
    assert "`freezeline serve` of this version migrates the journal when it starts" in refused.stderr
    assert path.read_bytes() == before


async def test_policies_with_problems_leave_those_of_the_earlier_version_in_force(tmp_path: Path) -> None:
    """The last good ones are read from a journal that was not migrated yet."""
    site = left_behind(tmp_path)
    (site.root / "policy" / "failure-budget.policy.json").write_text("{")
    async with receiver(site) as server:
        services = {service["service"] for service in (await server.get("/api/v1/state"))["services"]}
        assert services == {"billing", "checkout", "gateway", "search"}
        assert b"the last good ones are in force" in server.log.read_bytes()
        assert await server.stop() == 0
