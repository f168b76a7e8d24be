"""`./dev workload` starts everything, says where to look, shows every panel, and leaves nothing behind."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.workload.panels import own_questions, without_value
from tests.acceptance.workload.whole import Whole, whole
from tests.tools import Generation, request
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("workload"), pytest.mark.timeout(400)]

JOBS = ("assistant", "freezeline", "generation", "probes", "scripts")


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


def up(found: Whole) -> dict[str, int]:
    """Job → how many of its targets Prometheus scrapes."""
    result = found.prometheus.query("count by (job) (up == 1)")
    return {one["metric"]["job"]: int(one["value"][1]) for one in result}


def ready(found: Whole) -> None:
    """Health, targets and policies."""
    health = json.loads(request("GET", found.addresses["assistant"]))
    assert health["components"]["session_manager"]["status"] == "healthy"
    assert json.loads(request("GET", found.addresses["generation"]))["status"] == "healthy"
    assert json.loads(request("GET", found.addresses["scripts"]))["version"] == "good"
    wait_until(lambda: up(found) == dict(zip(JOBS, (2, 1, 2, 1, 2), strict=True)), 60, "every process is scraped")
    loaded = found.prometheus.query("freezeline_policy_load_ok")
    assert [one["value"][1] for one in loaded] == ["1"]


def deploys(found: Whole, service: str) -> None:
    """The scripts of the canary deploy and take back."""
    address = found.addresses[{"assistant": "treatment", "scripts": "new"}[service]].replace("/metrics", "/health")

    def rolled_back() -> bool:
        return subprocess.run([found.root / service / "is-rolled-back.sh"], check=False).returncode == 0

    bad = {"assistant": "slow", "scripts": "refuses"}[service]
    found.deploy(service, bad)
    assert (json.loads(request("GET", address))["version"], rolled_back()) == (bad, False)
    subprocess.run([found.root / service / "rollback.sh"], check=True, timeout=60)
    assert (json.loads(request("GET", address))["version"], rolled_back()) == ("good", True)


def every_panel_has_a_number(found: Whole, name: str, engine: Path) -> None:
    """The workload's own series are in the ten panels that the spec lists."""
    waiting = own_questions(name)
    assert len(waiting) >= 10

    def shown() -> bool:
        waiting[:] = without_value(found.prometheus, waiting)
        return not waiting

    try:
        wait_until(shown, 120, f"every panel of {name} has a number")
    except AssertionError as error:
        error.add_note("\n".join(f"{one.place}: {one.expr}" for one in waiting))
        error.add_note(engine.read_text())
        raise


def test_everything_starts_shows_its_panels_and_ends(generation: Generation, tmp_path: Path) -> None:
    """All services, their rollouts' scripts, and a number in every panel of D and E; Ctrl-C ends all of it."""
    if generation.label == "old":
        pytest.skip("one generation is enough")
    with whole(generation, tmp_path, "--per-second", "40") as found:
        ready(found)
        for service in ("assistant", "scripts"):
            deploys(found, service)
        found.deploy("assistant", "good-2")
        with found.rollout("good-2") as engine:
            for name in ("generation-service", "assistant-phase4"):
                every_panel_has_a_number(found, name, engine)
        assert found.end() == 0, found.log.read_text()
    assert "everything has ended" in found.log.read_text()
    assert not found.root.exists()
    assert left_behind(str(found.root)) == []
