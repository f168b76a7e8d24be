"""`freezeline demo --canary` with real HAProxy, Prometheus, Alertmanager, receiver and engine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from freezeline.demo import stage
from freezeline.demo.rollout.acts import BAD, GOOD, Fault
from freezeline.demo.rollout.record import Step
from tests.acceptance.demo.played import demo, environment, left_running, says
from tests.tools import Generation, program
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(240)]

WHOLE_S = 240
PLAY_ROLLOUTS = Path(__file__).with_name("play_rollouts.py")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for all temporary files of one demo, with a path that leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="fz-") as folder:
        directory = Path(folder) / "place"
        directory.mkdir()
        yield directory


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """HAProxy is on PATH; the test is skipped where the program cannot be had."""
    folder = program("haproxy").parent
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))


def played(current: Generation, place: Path, *options: str) -> Any:
    """The outcome of a demo that went as said, and left nothing behind."""
    with demo(current, place, "--canary", "--json", *options) as process:
        code = process.wait(WHOLE_S)
    spoken = place.with_suffix(".err").read_text()
    assert code == 0, spoken
    assert (left_running(place), list(place.iterdir())) == ([], [])
    return json.loads(place.with_suffix(".out").read_text())


def test_a_good_release_and_a_bad_one(current: Generation, place: Path) -> None:
    """The good release gets all traffic without a failed request; the one that errs is taken back, once."""
    outcome = played(current, place, "--bad", "errors")
    assert [one["release"] for one in outcome["releases"]] == ["v2", "v3"]
    check_good(outcome["releases"][0])
    check_taken_back(outcome["releases"][1])


@pytest.mark.soak
@pytest.mark.timed
def test_the_whole_demo(current: Generation, place: Path) -> None:
    """Errors, slowness and a leak are each taken back; all in at most four minutes."""
    begun = time.monotonic()
    outcome = played(current, place)
    assert time.monotonic() - begun < WHOLE_S
    good, *bad = outcome["releases"]
    check_good(good)
    assert [one["fault"] for one in bad] == [Fault.ERRORS, Fault.SLOW, Fault.LEAK]
    for one in bad:
        check_taken_back(one)


def check_good(found: Any) -> None:
    """All traffic, stage by stage; clients noticed nothing."""
    assert (found["release"], found["wrong"], found["outcome"]["phase"]) == (GOOD, [], "done")
    assert [one["detail"] for one in found["steps"] if one["step"] == Step.TRAFFIC] == ["10 %", "50 %", "100 %"]
    assert (found["outcome"]["failed"], found["outcome"]["rollback_starts"]) == (0, 0)
    assert found["outcome"]["sent"] > 1000


def check_taken_back(found: Any) -> None:
    """Traffic, then none, no session, a freeze, one rollback, and people who know."""
    act = next(one for one in BAD if one.release == found["release"])
    outcome = found["outcome"]
    assert (found["wrong"], outcome["phase"], outcome["exit_code"]) == ([], "rolled_back", 1)
    assert outcome["why"].startswith(f"gate {act.gate}: ")
    assert outcome["rollback_starts"] == 1
    at = {one["step"]: one["at"] for one in found["steps"]}
    for cause, effect in pairwise([Step.BEGIN, Step.TRAFFIC, Step.NO_TRAFFIC, Step.ROLLED_BACK, Step.UNFROZEN]):
        assert at[cause] < at[effect], (cause, effect)
    told = [one["detail"] for one in found["steps"] if one["step"] == Step.TOLD]
    assert (told.count("shop: CANARY ABORTED"), told.count("shop: canary rolled back")) == (1, 1)


def test_ctrl_c_in_a_rollout_cleans_up(current: Generation, place: Path) -> None:
    """Interrupted with traffic on the canary: the engine, HAProxy and both machines stop, too."""
    with demo(current, place, "--canary") as process:
        out = place.with_suffix(".out")
        wait_until(lambda: says(process, out, "10 % of the traffic"), 90, "the canary has traffic")
        assert left_running(place) != []
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert (code, left_running(place), list(place.iterdir())) == (130, [], [])


@pytest.mark.soak
def test_a_rollout_that_does_not_end_is_not_called_good(current: Generation, place: Path, tmp_path: Path) -> None:
    """With a bake of an hour, no release is done in time: the exit code is 1, and the outcome says so."""
    example = Path(shutil.copytree(stage.committed_example("demo-canary"), tmp_path / "example"))
    spec = example / "slo.yaml"
    spec.write_text(spec.read_text().replace("bake: 4s", "bake: 1h"))
    argv = [sys.executable, str(PLAY_ROLLOUTS), str(example), "8"]
    done = subprocess.run(
        argv, env=environment(current, place), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, left_running(place), list(place.iterdir())) == (1, [], []), done.stderr
    outcome = json.loads(done.stdout)
    assert [one["release"] for one in outcome["releases"]] == ["v2", "v3", "v4", "v5"]
    assert all(one["wrong"] == ["the rollout did not end in time"] for one in outcome["releases"])


def test_without_haproxy_the_demo_says_what_to_install(current: Generation, place: Path, tmp_path: Path) -> None:
    """Exit code 3, before anything is made."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in (current.prometheus, current.alertmanager):
        (tools / tool.name).symlink_to(tool)
    lines = "from freezeline.demo import programs; programs.DAEMONS = (); from freezeline.cli import main; import sys\n"
    argv = [sys.executable, "-c", f"{lines}sys.exit(main(['demo', '--canary']))"]
    clean = {**os.environ, "PATH": str(tools), "TMPDIR": str(place)}
    done = subprocess.run(argv, env=clean, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, left_running(place), list(place.iterdir())) == (3, [], [])
    assert done.stderr == (
        "freezeline demo: haproxy is not on PATH; install it (Debian: apt install haproxy), or run "
        "./dev demo --canary, which fetches it\n"
    )


def test_a_long_temporary_directory_is_refused(current: Generation, tmp_path: Path) -> None:
    """A socket's path has a limit: the exit code is 3, and the message says what to set."""
    place = tmp_path / ("x" * 80)
    place.mkdir()
    argv = [sys.executable, "-m", "freezeline", "demo", "--canary"]
    done = subprocess.run(
        argv, env=environment(current, place), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, left_running(place), list(place.iterdir())) == (3, [], [])
    assert "is too long for a socket; set TMPDIR to a directory with a shorter path" in done.stderr
