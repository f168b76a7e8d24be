"""`./dev workload` starts everything, says where to look, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import ROOT, Generation, gone_with_us, program, request, stop
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("workload")]


def left_behind(root: str) -> list[str]:
    """Processes whose command line names the run's directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if root in words:
            found.append(words)
    return found


def test_everything_starts_answers_and_ends(generation: Generation, tmp_path: Path) -> None:
    """The tracks are scraped, users get answers, the script deploys; Ctrl-C ends all of it."""
    if generation.label == "old":
        pytest.skip("one generation is enough")
    folders = {str(path.parent) for path in (generation.prometheus, program("haproxy"), program("redis-server"))}
    env = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], *folders])}
    log = tmp_path / "workload.log"
    argv = [sys.executable, "-m", "examples.workload.run", "--per-second", "50"]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=output, stderr=output, process_group=0)
    with gone_with_us(process):
        try:
            wait_until(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None, 90, "everything is up")
            assert process.poll() is None, log.read_text()
            said = log.read_text()
            root = re.search(r"setting up in (\S+)", said)
            assert root
            addresses = dict(re.findall(r"^  (\w+) +(http\S+)$", said, re.MULTILINE))
            health = json.loads(request("GET", addresses["assistant"]))
            assert health["components"]["session_manager"]["status"] == "healthy"
            query = addresses["prometheus"].replace("/alerts", "/api/v1/query?query=up%7Bjob%3D%22assistant%22%7D")

            def up() -> list[str]:
                result = json.loads(request("GET", query))["data"]["result"]
                return sorted(one["metric"]["track"] for one in result if one["value"][1] == "1")

            wait_until(lambda: up() == ["control", "treatment"], 40, "both tracks are scraped")
            subprocess.run([f"{root[1]}/deploy.sh", "slow"], check=True, timeout=60)
            treatment = addresses["treatment"].replace("/metrics", "/health")
            assert json.loads(request("GET", treatment))["version"] == "slow"
            assert subprocess.run([f"{root[1]}/is-rolled-back.sh"], check=False).returncode == 1
            subprocess.run([f"{root[1]}/rollback.sh"], check=True, timeout=60)
            assert subprocess.run([f"{root[1]}/is-rolled-back.sh"], check=False).returncode == 0
            assert json.loads(request("GET", treatment))["version"] == "good"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, log.read_text()
        finally:
            stop(process)
    assert "everything has ended" in log.read_text()
    assert not Path(root[1]).exists()
    assert left_behind(root[1]) == []
