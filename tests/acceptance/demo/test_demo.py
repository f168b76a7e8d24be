"""`freezeline demo` with real Prometheus, Alertmanager and receiver."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from freezeline.demo import stage
from freezeline.demo.timeline import Step
from tests.acceptance.demo.played import demo, environment, left_running, says
from tests.tools import Generation
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(240)]

AFTER_SET_UP_S = 120
UP = "everything is up"
CAUSES = (Step.BREACH, Step.FAILURE_RATE, Step.PENDING, Step.FIRING, Step.WEBHOOK, Step.FLAG)
CLOCKS_DIFFER_S = 0.01  # a file's time is the kernel's last tick, the journal's is cut to milliseconds
PLAY_EXAMPLE = Path(__file__).with_name("play_example.py")


@pytest.mark.timed
@pytest.mark.old_in_soak
def test_the_loop_closes_with_each_step_once(generation: Generation, place: Path) -> None:
    """From the breach to the release: every step once, in time; afterwards nothing runs and nothing is left.

    With the current tools it is told to stay up: then the addresses that it gives answer until it is stopped.
    """
    kept = generation.label == "current"
    with demo(generation, place, "--json", *(["--keep"] if kept else [])) as process:
        said = place.with_suffix(".err")
        wait_until(lambda: says(process, said, UP), 60, "everything is up")
        up_at = time.monotonic()
        if kept:
            wait_until(lambda: says(process, said, "press Ctrl-C to stop it"), AFTER_SET_UP_S, "the story is over")
            took_s = time.monotonic() - up_at
            check_addresses(json.loads(place.with_suffix(".out").read_text())["addresses"])
            process.terminate()
            code = process.wait(60)
        else:
            code = process.wait(AFTER_SET_UP_S + 30)
            took_s = time.monotonic() - up_at
    outcome = json.loads(place.with_suffix(".out").read_text())
    check_whole(outcome)
    assert code == 0
    assert took_s < AFTER_SET_UP_S
    assert (left_running(place), list(place.iterdir())) == ([], [])


def check_whole(outcome: Any) -> None:
    """Nothing missing, nothing twice, nothing late, and causes before effects."""
    wrong = {key: outcome[key] for key in ("missing", "repeated", "unexpected")}
    assert (outcome["ok"], wrong) == (True, {"missing": [], "repeated": [], "unexpected": []})
    order = [step["step"] for step in outcome["steps"]]
    assert sorted(order) == sorted(Step)
    assert all(limit["ok"] for limit in outcome["limits"])
    at = {step["step"]: step["at"] for step in outcome["steps"]}
    for cause, effect in pairwise([*CAUSES, Step.ROLLBACK, Step.RECOVERY, Step.UNFREEZE]):
        assert at[cause] <= at[effect] + CLOCKS_DIFFER_S, (cause, effect)


def check_addresses(addresses: dict[str, str]) -> None:
    """The shop is served by the good release again, and the servers are ready."""
    with urllib.request.urlopen(addresses["shop"], timeout=5) as answer:
        assert answer.read() == b"thank you, says release v1\n"
    for name in ("prometheus", "alertmanager"):
        with urllib.request.urlopen(f"{addresses[name]}/-/ready", timeout=5) as answer:
            assert answer.status == 200


def test_ctrl_c_cleans_up(current: Generation, place: Path) -> None:
    """Interrupted in the middle, even twice, it stops everything and says so by its exit code."""
    with demo(current, place) as process:
        out = place.with_suffix(".out")
        wait_until(lambda: says(process, out, "alert pending"), 90, "the alert is pending")
        assert left_running(place) != []
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert (code, left_running(place), list(place.iterdir())) == (130, [], [])


def test_without_the_tools_it_says_what_to_install(place: Path) -> None:
    """Where Prometheus is not installed the exit code is 3 and the message helps."""
    environment = {**os.environ, "PATH": "/nonexistent", "TMPDIR": str(place)}
    argv = [sys.executable, "-m", "freezeline", "demo"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, left_running(place), list(place.iterdir())) == (3, [], [])
    assert "prometheus is not on PATH; install it" in done.stderr


def test_a_rollback_that_does_nothing_is_not_called_done(current: Generation, place: Path, tmp_path: Path) -> None:
    """Where the script exits 0 without switching back, nobody is told that it did, the freeze stays, and it exits 1."""
    example = copied_example(tmp_path)
    script = example / "rollback.sh"
    script.write_text(script.read_text().replace('"$here/deploy.sh" v1\n', ""))
    outcome = play(current, place, example, limit_s=15)
    missing = {Step.ROLLBACK, Step.SLACK_ROLLED_BACK, Step.TOAST_ROLLED_BACK, Step.RECOVERY, Step.UNFREEZE}
    assert (outcome["ok"], set(outcome["missing"])) == (False, missing | {Step.SLACK_UNFROZEN, Step.TOAST_UNFROZEN})
    assert (outcome["repeated"], outcome["unexpected"]) == ([], [])


def copied_example(directory: Path) -> Path:
    """A copy of the committed example that may be changed."""
    return Path(shutil.copytree(stage.committed_example(), directory / "example"))


def play(generation: Generation, place: Path, example: Path, *, limit_s: int) -> Any:
    """The outcome of a demo on another example, which must not be good."""
    argv = [sys.executable, str(PLAY_EXAMPLE), str(example), str(limit_s)]
    done = subprocess.run(
        argv, env=environment(generation, place), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, left_running(place), list(place.iterdir())) == (1, [], []), done.stderr
    return json.loads(done.stdout)
