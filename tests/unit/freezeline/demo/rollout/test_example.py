"""The example of the canary demo: its scripts deploy and take back, and its gates stop what the acts spoil."""

import subprocess
import threading
import time
from pathlib import Path

import pytest

from freezeline.demo import stage
from freezeline.demo.rollout.acts import BAD, FIRST, OPENING, PROGRAMS, Fault, chosen
from freezeline.demo.rollout.machines import machine
from freezeline.demo.rollout.servers import shop_releases
from freezeline.demo.stage import Stage
from release.engine.begin import parsed


@pytest.fixture
def built(tmp_path: Path) -> Stage:
    """The committed example, built."""
    return stage.build(tmp_path, stage.committed_example("demo-canary"))


def test_every_bad_release_has_a_gate(built: Stage) -> None:
    """The policy knows each act's gate, and each release has a program."""
    path = built.policies / "slo.policy.json"
    _, canary = parsed(path.read_text(), str(path))
    gates = {gate.id: gate.consecutive for gate in canary.gates}
    assert {act.gate: gates[act.gate] for act in BAD} == {"errors": 3, "p95": 3, "memory": 2}
    assert {act.stable for act in (OPENING, *BAD)} | {act.release for act in (OPENING, *BAD)} == set(PROGRAMS)


def test_faults_are_chosen() -> None:
    """All of them, or those that are named; the good release always comes first."""
    assert chosen(()) == (OPENING, *BAD)
    assert [act.fault for act in chosen([Fault.LEAK, Fault.ERRORS])] == [Fault.NONE, Fault.ERRORS, Fault.LEAK]


def test_the_scripts_deploy_and_take_back(built: Stage) -> None:
    """Each script waits until the machine runs the release; each rollback leaves a line with the release."""
    commands = shop_releases(PROGRAMS)
    canary, _ = (machine(built.root, name, 1, commands, release=FIRST) for name in ("canary", "stable"))
    ended = threading.Event()

    def obey() -> None:
        """Play the machine: run whatever the file names."""
        while not ended.is_set():
            if canary.running != canary.release:
                (canary.folder / "running.new").write_text(f"{canary.release}\n")
                (canary.folder / "running.new").replace(canary.folder / "running")
            time.sleep(0.02)

    plays = threading.Thread(target=obey)
    plays.start()
    try:
        assert run(built, "deploy.sh", "v3") == (0, "")
        assert (canary.running, run(built, "current-release.sh"), run(built, "is-rolled-back.sh")[0]) == (
            "v3",
            (0, "v3\n"),
            1,
        )
        assert run(built, "rollback.sh", "v3") == (0, "the canary's machine runs v1\n")
        assert (canary.running, run(built, "is-rolled-back.sh")[0]) == ("v1", 0)
    finally:
        ended.set()
        plays.join(10)
    assert (built.rollback_starts_of("v3"), built.rollback_starts_of("v2")) == (1, 0)


def run(built: Stage, script: str, release: str = "") -> tuple[int, str]:
    """Exit code and output of a script, run in another directory as the engine and the receiver do."""
    environment = {"PATH": "/usr/bin:/bin", "FREEZELINE_FACT_RELEASE": release}
    done = subprocess.run(
        [built.root / script], cwd="/", env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    return done.returncode, done.stdout
