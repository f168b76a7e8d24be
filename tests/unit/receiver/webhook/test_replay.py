"""`freezeline replay` on a machine that has nothing but the policies."""

import json
from pathlib import Path

import pytest

from freezeline.cli import OK, PROBLEMS, main
from tests.acceptance.receiver.harness import body
from tests.unit.receiver.builders import raw_policy


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A directory with one policy. Its commands are not on this machine, and its channels are in no receiver.yaml."""
    folder = tmp_path / "policy"
    folder.mkdir()
    raw = raw_policy()
    raw["actions"]["tell"]["channels"] = ["slack-payments"]
    path = folder / "gateway.policy.json"
    path.write_text(json.dumps(raw))
    path.chmod(0o664)
    (tmp_path / "webhook.json").write_bytes(body("0.34.2", "firing"))
    return folder


def test_replay_needs_no_script_and_no_settings(policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing runs, so nothing but the policies is needed."""
    code = main(["replay", str(policies.parent / "webhook.json"), "--policy", str(policies)])
    said = capsys.readouterr()
    assert (code, said.err) == (OK, "")
    assert "Rule failure-budget/failure-rate-high starts" in said.out
    assert "    rollback rollback" in said.out.splitlines()


def test_replay_compares_with_settings_that_are_named(policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A channel that receiver.yaml does not define is a problem there."""
    config = policies.parent / "receiver.yaml"
    config.write_text("channels: {log: {type: log}, toast: {type: toast}}\n")
    words = ["replay", str(policies.parent / "webhook.json"), "--policy", str(policies), "--config", str(config)]
    assert main(words) == PROBLEMS
    assert "slack-payments" in capsys.readouterr().err
