"""The demo's directory, and the example's scripts as they are."""

import subprocess
from pathlib import Path

import pytest
import yaml

from freezeline.demo import stage
from freezeline.demo.programs import DemoError
from freezeline.demo.stage import Stage


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The committed example, built."""
    found = stage.build(tmp_path_factory.mktemp("demo").resolve(), stage.committed_example())
    found.deploy("v1")
    return found


def test_the_example_moves_into_the_directory(built: Stage) -> None:
    """No path of the example is left, and the policy names this directory's scripts and flag."""
    files = [path for path in built.root.rglob("*") if path.is_file()]
    assert [path for path in files if stage.EXAMPLE_ROOT in path.read_text()] == []
    policy = yaml.safe_load((built.policies / "slo.policy.json").read_text())
    assert policy["actions"]["freeze"]["flag"] == str(built.flag)
    assert policy["actions"]["rollback"]["command"] == [str(built.root / "rollback.sh")]


def test_the_scripts_switch_and_tell(built: Stage) -> None:
    """Deploying, telling and taking back work as the policy relies on, and each rollback leaves a line."""
    built.deploy("v2")
    assert (run(built, "current-release.sh"), run(built, "is-rolled-back.sh")) == ((0, "v2\n"), (1, ""))
    before = built.rollback_starts
    assert run(built, "rollback.sh") == (0, "taking back v2\nv1 is live\n")
    assert (run(built, "current-release.sh"), run(built, "is-rolled-back.sh")) == ((0, "v1\n"), (0, ""))
    assert built.rollback_starts == before + 1


def test_only_known_releases_are_deployed(built: Stage) -> None:
    """A release that does not exist is refused."""
    with pytest.raises(subprocess.CalledProcessError):
        built.deploy("v3; rm -rf /")


def run(built: Stage, script: str) -> tuple[int, str]:
    """Exit code and output of a script, run in another directory."""
    done = subprocess.run([built.root / script], cwd="/", capture_output=True, text=True, timeout=10, check=False)
    return done.returncode, done.stdout


def configurations(built: Stage) -> stage.Configurations:
    """What writes the demo's configurations."""
    return stage.Configurations(stage=built, scrapes=(), slack="http://s/secret")


def test_alertmanager_keeps_the_generated_routes(built: Stage) -> None:
    """Only the receiver's address and token are filled in."""
    generated = yaml.safe_load((built.generated / "rules" / "alertmanager" / "slo.yml").read_text())
    written = yaml.safe_load(configurations(built).alertmanager(receiver="http://127.0.0.1:1").read_text())
    (webhook,) = next(entry for entry in written["receivers"] if entry["name"] == "freezeline")["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:1/webhook"
    assert webhook["http_config"]["authorization"]["credentials_file"] == str(built.token("webhook"))
    assert written["route"] == generated["route"]


def test_slacks_address_is_a_secret(built: Stage) -> None:
    """It lies in a file that only this user can read, and not in the settings."""
    settings = configurations(built).receiver(prometheus="http://p", alertmanager="http://a")
    secret = Path(yaml.safe_load(settings.read_text())["channels"]["slack-demo"]["url_file"])
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("http://s/secret", 0o600)
    assert "http://s/secret" not in settings.read_text()


def test_a_spec_that_does_not_generate_says_why(tmp_path: Path) -> None:
    """The generator's own problems reach whoever started the demo."""
    example, root = tmp_path / "example", tmp_path / "root"
    example.mkdir()
    root.mkdir()
    (example / "slo.yaml").write_text("apiVersion: freezeline/v1\nservce: shop\n")
    (example / "deploy.sh").write_text("#!/bin/sh\n")
    with pytest.raises(DemoError, match="servce"):
        stage.build(root, example)
