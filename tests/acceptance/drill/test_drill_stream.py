"""`freezeline drill stream` with the workload's script generation: a good version, a slow one, one that refuses."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.receiver.harness import Site
from tests.tools import ROOT
from tests.workload import service

pytestmark = [pytest.mark.acceptance]


def drill(root: Path, fault: str, *options: str) -> tuple[int, Any]:
    """Exit code and line of a drill with this version of the service."""
    site = Site(root=root)
    with (
        service(root, "providers", "providers") as providers,
        service(root, "scripts", "scripts", ["--providers", providers.url], scripts_fault=fault) as scripts,
    ):
        argv = ["-m", "freezeline", "drill", "stream", str(root / "policy" / "gateway.policy.json"), "--json"]
        argv += ["--state", str(site.state), "--probe", f"{scripts.url}/api/v1/scripts", "--body", '{"topic": "ice"}']
        argv += ["--streams", "20", "--event", "token", *options]
        ran = subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout, ran.stderr
    line = json.loads(ran.stdout)
    assert (site.state / "rehearsals.jsonl").read_text() == ran.stdout
    return ran.returncode, line


def test_a_good_version(tmp_path: Path) -> None:
    """Every stream is answered, the first word at once. A busy machine may be late once, hardly three times."""
    for attempt in ("1", "2", "3"):
        (tmp_path / attempt).mkdir()
        code, line = drill(tmp_path / attempt, "none")
        if code == 0:
            break
    assert (code, line["ok"], line["runs"], line["succeeded"], line["connected"]) == (0, True, 20, 20, 1.0), line
    assert 0 < line["first_event_s"] < 0.5


def test_a_slow_first_event(tmp_path: Path) -> None:
    """The first word comes after 1.2 s: the drill fails, and says the percentile."""
    code, line = drill(tmp_path, "slow-first-event", "--at-once", "20")
    assert (code, line["connected"]) == (1, 1.0)
    assert line["first_event_s"] >= 1.2
    assert line["why"][0].startswith("first event: 95 % of the first events came within 1.")


def test_refused_connections(tmp_path: Path) -> None:
    """Every fourth connection is closed before its first event."""
    code, line = drill(tmp_path, "refuses")
    assert (code, line["succeeded"]) == (1, 15)
    assert line["why"][0].startswith("connections: 75.0% of 20 streams were answered, less than 95.0%: ")


def test_an_event_that_never_comes(tmp_path: Path) -> None:
    """A stream without the event that users wait for is not answered."""
    code, line = drill(tmp_path, "none", "--event", "applause")
    assert (code, line["runs"]) == (1, 0)
    assert line["why"] == ["a stream is answered: the stream ended without such an event"]
