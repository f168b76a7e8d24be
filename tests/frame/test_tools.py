"""The tools that tests use are real, and the servers they start are gone afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import NAMES, ROOT, Generation, alertmanager_server, generations, prometheus_server
from tests.waiting import wait_until

EVERY_SECOND = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
"""
ALWAYS = """
groups: [{name: g, rules: [{alert: Always, expr: vector(1), labels: {severity: info}}]}]
"""
TO_NOBODY = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


@pytest.mark.parametrize("name", ["promtool", "prometheus", "alertmanager", "amtool"])
def test_each_binary_says_its_version(generation: Generation, name: str) -> None:
    """Every binary of a generation runs and names its version, old below 3 and current from 3 on."""
    output = subprocess.run(
        [getattr(generation, name), "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    assert f"{name}, version " in output.stdout + output.stderr


@pytest.mark.acceptance
def test_prometheus_runs_until_the_block_ends(generation: Generation, tmp_path: Path) -> None:
    """A server answers queries and evaluates rules while the block runs, and has ended after it."""
    (tmp_path / "rules.yml").write_text(ALWAYS)
    with prometheus_server(generation, tmp_path, EVERY_SECOND) as server:
        wait_until(server.alerts, 20, "the alert fires")
        assert [alert["labels"]["alertname"] for alert in server.alerts()] == ["Always"]
        assert server.query("vector(2)")[0]["value"][1] == "2"
        server.reload()
    assert server.process.returncode is not None


@pytest.mark.acceptance
def test_alertmanager_takes_alerts(generation: Generation, tmp_path: Path) -> None:
    """Debian's build too, whose templates lie elsewhere than it was built for."""
    with alertmanager_server(generation, tmp_path, TO_NOBODY) as server:
        server.post_alerts([{"labels": {"alertname": "A"}}])
        wait_until(server.alerts, 10, "the alert is held")
        server.reload()
    assert server.process.returncode is not None


IN_A_PROCESS_OF_ITS_OWN = """
import pathlib, sys, time
from tests.tools import generations, prometheus_server
with prometheus_server(generations()[0], pathlib.Path(sys.argv[1]), "global: {}") as server:
    print(server.process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.acceptance
def test_a_killed_test_leaves_no_server_behind(tmp_path: Path) -> None:
    """Even where nothing could be cleaned up."""
    if not generations():
        pytest.skip("no Prometheus here (./dev tools --all fetches it)")
    command = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout is not None
        status = Path(f"/proc/{int(test.stdout.readline())}/status")
        test.kill()
    wait_until(lambda: not status.exists() or "State:\tZ" in status.read_text(), 20, "the server is gone")


def test_generations_are_complete(generation: Generation) -> None:
    """A generation is listed only with all of its binaries."""
    assert {path.name for path in generation[1:] if path.is_file()} == set(NAMES)
