"""`generate --format operator`: the same contents as Kubernetes objects."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from freezeline.cli import main
from generator import pipeline
from generator.prometheus.promtool import find
from generator.render.rules import prometheus_operator as operator
from tests.tools import Generation
from tests.unit.generator.spec.loading import BASE


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """The path of a spec whose name Kubernetes would not take."""
    path = tmp_path / "Gate_Way.yaml"
    path.write_text(BASE)
    return str(path)


def generate(spec: str, output: Path, *options: str) -> dict[str, Any]:
    """Generate as Kubernetes objects: path → content, JSON and YAML read."""
    argv = ["generate", spec, "-o", str(output), "--scope", "test", *options]
    assert main(argv) == 0
    return {
        path.relative_to(output).as_posix(): yaml.safe_load(path.read_text()) for path in sorted(output.rglob("*.yaml"))
    }


def test_each_rule_file_becomes_a_prometheus_rule(spec: str, tmp_path: Path) -> None:
    """With exactly the groups of the plain file."""
    plain, wrapped = tmp_path / "plain", tmp_path / "wrapped"
    generate(spec, plain)
    options = ["--format", "operator", "--namespace", "monitoring", "--rule-label", "release=prometheus"]
    objects = generate(spec, wrapped, *options)
    files = {
        path.name.removesuffix(".rules.yml"): yaml.safe_load(path.read_text())
        for path in (plain / "rules").glob("*.rules.yml")
    }
    rules = {Path(path).stem: found for path, found in objects.items() if found["kind"] == "PrometheusRule"}
    assert {name: found["spec"] for name, found in rules.items()} == files
    for found in rules.values():
        assert found["apiVersion"] == "monitoring.coreos.com/v1"
        assert found["metadata"]["namespace"] == "monitoring"
        assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "freezeline", "release": "prometheus"}
    assert list((wrapped / "rules").glob("*.rules.yml")) == []


def test_anchors_are_gone_once_kubernetes_has_read_the_rules(spec: str, tmp_path: Path) -> None:
    """What several alerts share is written once; the JSON that kubectl sends holds each text in full."""
    objects = generate(spec, tmp_path, "--format", "operator")
    (path,) = (path for path in objects if "/shared." in path)
    text = (tmp_path / path).read_text()
    alerts = [rule for group in objects[path]["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert (text.count("spec: &spec"), text.count("spec: *spec")) == (1, len(alerts) - 1)
    sent = json.loads(json.dumps(objects[path]))
    assert sent == objects[path]
    assert {rule["annotations"]["spec"] for rule in alerts} == {alerts[0]["annotations"]["spec"]}


def test_each_dashboard_becomes_a_config_map(spec: str, tmp_path: Path) -> None:
    """With the label that Grafana's sidecar looks for, and the dashboard's JSON unchanged."""
    plain, wrapped = tmp_path / "plain", tmp_path / "wrapped"
    generate(spec, plain)
    objects = generate(spec, wrapped, "--format", "operator")
    maps = [found for found in objects.values() if found["kind"] == "ConfigMap"]
    dashboards = {path.name: json.loads(path.read_text()) for path in (plain / "dashboards").glob("*.json")}
    assert dashboards != {}
    assert {name: json.loads(text) for found in maps for name, text in found["data"].items()} == dashboards
    assert {found["metadata"]["labels"]["grafana_dashboard"] for found in maps} == {"1"}


def test_what_kubernetes_does_not_hold_stays_as_it_is(spec: str, tmp_path: Path) -> None:
    """Policy and Alertmanager configuration are the same files in both formats."""
    plain, wrapped = tmp_path / "plain", tmp_path / "wrapped"
    generate(spec, plain)
    generate(spec, wrapped, "--format", "operator")
    for folder in ("rules/policy", "rules/alertmanager"):
        assert {path.name: path.read_text() for path in (plain / folder).iterdir()} == {
            path.name: path.read_text() for path in (wrapped / folder).iterdir()
        }


# The rules are those of the plain format, whose proofs run on both generations.
@pytest.mark.parametrize("generation", ["current", pytest.param("old", marks=pytest.mark.soak)], indirect=True)
def test_proofs_run_as_they_lie_there(spec: str, tmp_path: Path, generation: Generation) -> None:
    """Promtool finds every rule file that they name; the rules are those of the PrometheusRules."""
    objects = generate(spec, tmp_path / "out", "--format", "operator")
    folder = tmp_path / "out" / "rules" / "tests"
    plain = {path.name: yaml.safe_load(path.read_text()) for path in (folder / "plain").iterdir()}
    assert plain
    for name, content in plain.items():
        assert content == objects[f"rules/operator/{name.removesuffix('.rules.yml')}.yaml"]["spec"]
    tests = sorted(path.relative_to(tmp_path) for path in folder.glob("*.test.yml"))
    tool = find("promtool", environment={}, given=str(generation.promtool))
    outcome = tool.test_rules(tests, tmp_path)
    assert tests
    assert (outcome.ok, [message.text for message in outcome.messages]) == (True, [])


def test_proofs_alone_bring_the_rules_that_they_name(spec: str, tmp_path: Path) -> None:
    """`--only proofs` writes all that promtool needs; `--only rules` nothing under rules/tests."""
    proofs, rules = tmp_path / "proofs", tmp_path / "rules"
    generate(spec, proofs, "--format", "operator", "--only", "proofs")
    named = {
        path.parent / name
        for path in (proofs / "rules" / "tests").glob("*.test.yml")
        for name in yaml.safe_load(path.read_text())["rule_files"]
    }
    assert len(named) >= 5
    assert [path for path in named if not path.is_file()] == []
    assert not (proofs / "rules" / "operator").exists()
    generate(spec, rules, "--format", "operator", "--only", "rules")
    assert not (rules / "rules" / "tests").exists()


def test_check_speaks_of_the_same_format(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Up to date: exit code 0. Changed: 1, and the mending command names the format."""
    argv = ["generate", spec, "-o", str(tmp_path / "out"), "--format", "operator"]
    assert main(argv) == 0
    assert main([*argv, "--check"]) == 0
    changed = next((tmp_path / "out" / "rules" / "operator").iterdir())
    changed.write_text(changed.read_text() + "# edited\n")
    capsys.readouterr()
    assert main([*argv, "--check"]) == 1
    assert "--format operator" in capsys.readouterr().out


def test_a_label_without_value_is_wrong_usage(spec: str, tmp_path: Path) -> None:
    """Exit code 2, nothing written."""
    assert main(["generate", spec, "-o", str(tmp_path / "out"), "--format", "operator", "--rule-label", "x"]) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["freezeline-gateway", "freezeline-Gate_Way", "freezeline-shared.30d-15s", "a" * 80])
def test_object_names_are_names_of_kubernetes(name: str) -> None:
    """A label of DNS; different names stay different."""
    made = operator.object_name(name)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", made)
    assert operator.object_name(name.lower() + "x") != made


def test_a_dashboard_too_large_for_a_config_map_is_refused() -> None:
    """Kubernetes takes 1 MiB."""
    with pytest.raises(operator.TooLargeError):
        operator.wrap({"dashboards/big.json": b"x" * 1024 * 1024 + b"y"}, [], [], operator.Settings())


def test_every_artefact_of_the_format_has_a_kind() -> None:
    """`--only rules --format operator` must know which files it speaks for."""
    assert pipeline.kind_of(f"{operator.RULES}x.yaml") == "rules"
    assert pipeline.kind_of(f"{operator.DASHBOARDS}x.yaml") == "dashboards"
