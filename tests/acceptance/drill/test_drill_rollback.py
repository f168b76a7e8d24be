"""`freezeline drill rollback`: every fault that a rollback survives, one that it does not, and the real command."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.rehearsals import read
from release.drill.faults import SURVIVED, Fault
from tests.acceptance.receiver.harness import Site
from tests.tools import ROOT

pytestmark = [pytest.mark.acceptance]


def drill(site: Site, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, line of the history, and what the drill said."""
    policy = site.root / "policy" / "gateway.policy.json"
    argv = [sys.executable, "-m", "freezeline", "drill", "rollback", str(policy), "--state", str(site.state), "--json"]
    done = subprocess.run([*argv, *options], capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_every_fault_that_a_rollback_survives(tmp_path: Path) -> None:
    """One of each: all succeed, nothing of the real service is touched, and the history has the line."""
    site = Site(root=tmp_path)
    code, line, said = drill(site, "--runs", str(len(SURVIVED)), "--at-once", "3")
    assert (code, line["ok"], line["runs"], line["succeeded"]) == (0, True, len(SURVIVED), len(SURVIVED)), said
    assert set(line["faults"]) == {fault.value for fault in SURVIVED} - {"none"}
    assert 0 < line["mttr_s"] <= line["rollback_s"]
    assert (site.lines("rollbacks"), site.lines("current")) == ([], ["v2"])
    assert [one.kind for one in read((site.state / "rehearsals.jsonl").read_bytes())] == ["rollback"]


def test_a_script_that_does_nothing(tmp_path: Path) -> None:
    """Too few succeed: exit code 1, and the reason names the fault."""
    code, line, _ = drill(Site(root=tmp_path), "--runs", "3", "--fault", Fault.FAILS, "--fault", Fault.NONE)
    assert (code, line.get("ok", False)) == (1, False)
    assert line["why"] == ["1 of 3 rollbacks succeeded, fewer than 95%: fails × 2"]


def site_with_undo(root: Path) -> Site:
    """A service whose rollback can be undone."""
    site = Site(root=root)
    undo = root / "service" / "undo.sh"
    undo.write_text(f"#!/bin/sh\necho undone >> {root}/service/undone\necho v2 > {root}/service/current\n")
    undo.chmod(0o755)
    site.policy["actions"]["rollback"]["undo"] = {"within_s": 60, "command": [str(undo)]}
    site.write()
    return site


def test_the_real_rollback_is_undone(tmp_path: Path) -> None:
    """Only with --really: the live release is rolled back, verified, and deployed again."""
    site = site_with_undo(tmp_path)
    code, line, said = drill(site, "--really")
    assert (code, line["ok"], line["release"]) == (0, True, "v2"), said
    assert (site.lines("rollbacks"), site.lines("undone"), site.lines("current")) == (["v2"], ["undone"], ["v2"])
    assert line["mttr_s"] >= 0.2


def test_a_real_rollback_that_fails_is_undone_too(tmp_path: Path) -> None:
    """The script fails half-way; the undo command runs all the same."""
    site = site_with_undo(tmp_path)
    (tmp_path / "service" / "rollback.sh").write_text(f"#!/bin/sh\necho v1.5 > {tmp_path}/service/current\nexit 7\n")
    code, line, _ = drill(site, "--really")
    assert code == 1
    assert "rollback: the rollback command did not succeed" in line["why"][0]
    assert (site.lines("undone"), site.lines("current")) == (["undone"], ["v2"])


def test_no_real_rollback_without_undo(tmp_path: Path) -> None:
    """Nothing could take the rollback back: nothing is done."""
    site = Site(root=tmp_path)
    code, _, said = drill(site, "--really")
    assert code == 3
    assert "a real rollback needs `verify` and `undo`" in said
    assert site.lines("rollbacks") == []
