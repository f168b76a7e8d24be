"""What `./dev workload` writes before anything starts: specs, scripts and configurations of the chosen services."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from examples.workload.run import releases
from examples.workload.run.stage import CHANNELS, SERVICES, SLOS, Configurations, built
from freezeline.demo.programs import DemoError
from tests.tools import ROOT


@pytest.mark.parametrize("names", [("generation",), ("scripts",), tuple(SERVICES)], ids="-".join)
def test_only_the_chosen_specs_are_there_with_this_machines_paths(names: tuple[str, ...], tmp_path: Path) -> None:
    """Every place of the shipped spec is replaced; Alertmanager gets the routes of all chosen services."""
    stage = built(tmp_path, names)
    specs = {SERVICES[name].spec for name in names}
    assert {path.stem for path in stage.spec.glob("*.yaml")} == specs
    assert {path.name for path in stage.policies.glob("*.policy.json")} == {f"{spec}.policy.json" for spec in specs}
    for name in names:
        text = (stage.spec / f"{SERVICES[name].spec}.yaml").read_text()
        for shipped, here in SERVICES[name].places.items():
            assert shipped in (SLOS / f"{SERVICES[name].spec}.yaml").read_text()
            assert shipped not in text
            assert f"{tmp_path}/{here}" in text
    written = Configurations(stage=stage, scrapes=[]).alertmanager(receiver="http://127.0.0.1:9")
    config = yaml.safe_load(written.read_text())
    assert {key for one in config["receivers"] for key in one} == {"name", "webhook_configs"}
    services = {"generation": "generation", "scripts": "script-generation", "assistant": "assistant"}
    assert all(f'"{services[name]}"' in written.read_text() for name in names)


def test_the_scripts_find_the_machines_of_their_service(tmp_path: Path) -> None:
    """`canary` and `stable` are other names of the machines' folders."""
    stage = built(tmp_path, ["assistant", "scripts"])
    for service, stable, canary in (("assistant", "control", "treatment"), ("scripts", "old", "new")):
        folder = stage.root / service
        for side, release in ((stable, "good"), (canary, "errors")):
            (folder / side).mkdir()
            (folder / side / "release").write_text(f"{release}\n")
            (folder / side / "running").write_text(f"{release}\n")
        argv = [folder / "current-release.sh"]
        assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout == "errors\n"
        assert subprocess.run([folder / "is-rolled-back.sh"], check=False, timeout=10).returncode == 1
        (folder / canary / "running").write_text("good\n")
        assert subprocess.run([folder / "rollback.sh"], check=False, timeout=10).returncode == 0
        assert (folder / canary / "release").read_text() == "good\n"
        assert (folder / "taken-back").read_text() == "errors\n"


def test_the_channels_are_those_of_the_specs() -> None:
    """A channel that the receiver does not know would stop it."""
    texts = [(SLOS / f"{service.spec}.yaml").read_text() for service in SERVICES.values()]
    assert all(any(name.partition("-")[2] in text for text in texts) for name in CHANNELS if "-" in name)


def test_releases_by_name() -> None:
    """Each fault is a release; other names are refused with those that there are."""
    assert releases.assistant("--x")("worse-model").environment["ASSISTANT_RELEASE"] == "worse-model"
    good = releases.scripts("--x")("good-2")
    assert (good.environment["SCRIPTS_FAULT"], "good-2" in good.argv) == ("none", True)
    assert releases.scripts()("flaps").environment["SCRIPTS_FAULT"] == "flaps"
    for commands in (releases.scripts(), releases.assistant()):
        with pytest.raises(DemoError, match=r"there is no release nonsense; use .*good"):
            commands("nonsense")


def test_an_unknown_service_is_named() -> None:
    """With those that there are."""
    argv = [sys.executable, "-m", "examples.workload.run", "asistant"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "there is no service asistant; name some of assistant, generation, scripts" in done.stderr
