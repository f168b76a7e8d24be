"""`generate --replica-label`: the part of prometheus.yml that a pair of servers needs."""

from pathlib import Path

import pytest
import yaml

from freezeline.cli import main
from tests.unit.generator import specs

PAIR = "rules/alertmanager/prometheus-pair.yml"


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """A spec's path."""
    path = tmp_path / "checkout.yaml"
    path.write_text(specs.HEAD + specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}"))
    return str(path)


def test_each_named_label_is_dropped_from_alerts(spec: str, tmp_path: Path) -> None:
    """`--check` knows the file, and the mending command names the labels."""
    argv = ["generate", spec, "-o", str(tmp_path / "out"), "--replica-label", "replica", "--replica-label", "zone"]
    assert main(argv) == 0
    config = yaml.safe_load((tmp_path / "out" / PAIR).read_text())
    dropped = [{"action": "labeldrop", "regex": name} for name in ("replica", "zone")]
    assert config == {"alerting": {"alert_relabel_configs": dropped}}
    assert main([*argv, "--check"]) == 0


def test_the_mending_command_names_the_labels(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them, the command would remove the file."""
    argv = ["generate", spec, "-o", str(tmp_path / "out"), "--replica-label", "replica"]
    assert main([*argv, "--check"]) == 1
    assert "--replica-label replica" in capsys.readouterr().out


def test_without_a_label_there_is_no_file(spec: str, tmp_path: Path) -> None:
    """A single server needs nothing."""
    assert main(["generate", spec, "-o", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / PAIR).exists()


def test_a_pattern_is_no_label(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern such as `.*` would drop every label of every alert."""
    assert main(["generate", spec, "-o", str(tmp_path / "out"), "--replica-label", ".*"]) == 2
    assert "the name of a label, not .*" in capsys.readouterr().err
