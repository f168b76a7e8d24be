"""What examples/ tells people to do works: commands exist, configurations are accepted, files are there."""

import argparse
import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from freezeline.cli import COMMANDS, main
from generator import pipeline
from generator.write import files
from tests.tools import ROOT, Generation

EXAMPLES = ROOT / "examples"
TEXTS = sorted(
    path
    for folder in ("ci", "prometheus", "grafana", "kubernetes")
    for path in (EXAMPLES / folder).rglob("*")
    if path.is_file()
)


def command_lines(text: str) -> list[list[str]]:
    """Every `freezeline COMMAND …` in a text, as words."""
    return [
        shlex.split(found, comments=True)
        for found in re.findall(r"freezeline ([a-z]+ [^`\n]*|[a-z]+$)", text, re.MULTILINE)
    ]


CALLS = [
    pytest.param(path, words, id=f"{path.name}-{words[0]}")
    for path in TEXTS
    for words in command_lines(path.read_text())
    if words[0] in COMMANDS
]


@pytest.mark.parametrize("path, words", CALLS)
def test_every_command_in_an_example_is_one_of_ours(path: Path, words: list[str]) -> None:
    """Command and options are accepted by the command line's own parser."""
    module = importlib.import_module(f"freezeline.commands.{words[0]}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.configure(parser)
    assert vars(parser.parse_args(words[1:]))


@pytest.mark.parametrize("path", [path for path in TEXTS if path.parent.name == "ci"], ids=lambda path: path.name)
def test_every_pipeline_checks_the_generated_files(path: Path) -> None:
    """A spec that was changed without `generate` must not be merged; a pipeline that deploys asks the gate first."""
    calls = command_lines(path.read_text())
    if path.name.startswith(("gate-", "Jenkinsfile")):
        asked, deploys = path.read_text().index("freezeline gate "), path.read_text().index("./deploy.sh")
        assert asked < deploys
        assert [words[:2] for words in calls] == [["gate", "rules/policy/shop.policy.json"]]
    else:
        assert ["generate", "--check", "slos"] in calls


@pytest.mark.parametrize(
    "path", [path for path in TEXTS if path.suffix], ids=lambda path: path.relative_to(EXAMPLES).as_posix()
)
def test_every_example_is_yaml_without_doubled_keys(path: Path) -> None:
    """Each reads as a mapping."""
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_prometheus_takes_the_snippet(generation: Generation, tmp_path: Path) -> None:
    """With the rule files where it looks for them."""
    rules, token = tmp_path / "rules", tmp_path / "token"
    rules.mkdir()
    token.write_text("a-token")
    loaded = pipeline.load_set(files.read(files.find([str(ROOT / "slos")])), "slos")
    for path, content in pipeline.render_set(loaded.output_set, ["rules"]).outputs.items():
        (rules / Path(path).name).write_bytes(content)
    text = (EXAMPLES / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("/etc/prometheus/freezeline/read-token", str(token))
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/freezeline/", f"{rules}/"))
    argv = [str(generation.promtool), "check", "config", str(config)]
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{len(list(rules.iterdir()))} rule files found" in result.stdout


def test_the_objects_that_kustomize_lists_are_generated(tmp_path: Path) -> None:
    """By the command in the file's first lines."""
    path = EXAMPLES / "kubernetes" / "kustomization.yaml"
    ((name, *words),) = [line for line in command_lines(path.read_text()) if line[0] == "generate"]
    words = [str(ROOT / "slos") if word == "slos" else word for word in words]
    words = [str(tmp_path) if word == "deploy" else word for word in words]
    assert main([name, *words]) == 0
    listed: Any = yaml.safe_load(path.read_text())["resources"]
    assert [one for one in listed if not (tmp_path / one).is_file()] == []


def test_provisioned_dashboards_cannot_be_changed_behind_the_specs() -> None:
    """Grafana reads the generated files; edits belong into the spec."""
    path = EXAMPLES / "grafana" / "provisioning" / "dashboards" / "freezeline.yaml"
    (provider,) = yaml.safe_load(path.read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
