"""The chart with real helm: the chart's objects are the plain manifests, and every value reaches the objects."""

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from devtools.prometheus_tools import built
from freezeline.cli import main
from tests.tools import ROOT

# Go builds helm for minutes, so `./dev soak` runs these tests.
pytestmark = [pytest.mark.acceptance, pytest.mark.soak]

CHART = ROOT / "packaging" / "helm" / "freezeline"
MANIFESTS = ROOT / "packaging" / "kubernetes" / "freezeline.yaml"
DEADLINE_S = 120
# Our build of helm knows no cluster, and takes a very old one for granted.
AS_OF = ("--kube-version", "1.33.0")
# What packaging/kubernetes/ leaves to its reader.
AS_THE_MANIFESTS = {
    "settings": {
        "prometheus": {"url": "http://prometheus-operated:9090"},
        "alertmanagers": ["http://alertmanager-operated:9093"],
        "channels": {"log": {"type": "log"}},
    },
    "tokens": {"existingSecret": "freezeline-tokens"},
    "policies": {"existingConfigMap": "freezeline-policies"},
}
EVERY_VALUE = {
    "image": {"repository": "registry.example.org/freezeline", "digest": f"sha256:{'0' * 64}"},
    "replicas": 3,
    "imagePullSecrets": [{"name": "registry"}],
    "settings": {
        "journal": {"postgres": "host=db dbname=freezeline"},
        "channels": {"slack": {"type": "slack", "url_file": "/etc/freezeline-secrets/slack/url"}},
    },
    "allowedHosts": ["freeze.example.org"],
    "tokens": {"existingSecret": "freezeline-tokens"},
    "secrets": [{"name": "slack", "mountPath": "/etc/freezeline-secrets/slack"}],
    "secretEnv": [{"name": "PGPASSWORD", "secret": "freezeline-postgres", "key": "password"}],
    "policies": {"existingConfigMap": "our-policies"},
    "persistence": {"size": "5Gi", "storageClassName": "fast"},
    "serviceAccount": {"annotations": {"example.org/role": "freezeline"}, "automountToken": True},
    "networkPolicy": {"fromNamespaces": ["observability"]},
    "podAnnotations": {"example.org/a": "b"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


@pytest.fixture(scope="module")
def helm() -> Path:
    """Helm."""
    return built("helm", os.environ) / "helm"


def run(*argv: str | Path, code: int = 0) -> str:
    """Run a command that ends with this exit code, and return what the command printed."""
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def rendered(helm: Path, folder: Path, values: dict[str, Any], chart: Path = CHART) -> list[dict[str, Any]]:
    """The chart's objects with these values, each of which fits its schema."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    text = run(helm, "template", "freezeline", chart, "--namespace", "monitoring", *AS_OF, "--values", file)
    found = [one for one in yaml.safe_load_all(text) if one]
    for one in found:
        if one["kind"] != "PrometheusRule":
            kubernetes_validate.validate(one, "1.33", strict=True)
    return found


def plain(things: list[dict[str, Any]]) -> dict[str, Any]:
    """The objects by kind, without what only a chart has."""
    found = {}
    for thing in copy.deepcopy(things):
        text = yaml.safe_dump(thing).replace("app.kubernetes.io/instance: freezeline\n", "")
        one = yaml.safe_load("\n".join(line for line in text.splitlines() if line.strip()))
        if one["kind"] == "StatefulSet":
            template = one["spec"]["template"]
            template["metadata"].pop("annotations", None)
            for container in (*template["spec"]["initContainers"], *template["spec"]["containers"]):
                container.pop("imagePullPolicy", None)
                if container["name"] == "prepare":
                    del container["args"]  # the chart's script also does without a Secret of tokens
            for volume in template["spec"]["volumes"]:
                volume.get("configMap", {}).pop("defaultMode", None)
        if one["kind"] == "ConfigMap":
            one["data"] = {name: yaml.safe_load(text) for name, text in one["data"].items()}
        found[one["kind"]] = one
    return found


def test_the_chart_makes_the_plain_manifests(helm: Path, tmp_path: Path) -> None:
    """The tests of the manifests hold for the chart too."""
    committed = [one for one in yaml.safe_load_all(MANIFESTS.read_text()) if one]
    assert plain(rendered(helm, tmp_path, AS_THE_MANIFESTS)) == plain(committed)


def test_helm_finds_no_fault(helm: Path, tmp_path: Path) -> None:
    """With the values as they come, and with every value in use."""
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", CHART)
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(EVERY_VALUE))
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", CHART, "--values", values)


def test_every_value_reaches_the_objects(helm: Path, tmp_path: Path) -> None:
    """A value that reached none would promise what the chart does not do."""
    assert set(EVERY_VALUE) | {"resources"} == set(yaml.safe_load((CHART / "values.yaml").read_text()))
    text = yaml.safe_dump_all(rendered(helm, tmp_path, EVERY_VALUE), width=100_000)
    for said in (
        f"registry.example.org/freezeline@sha256:{'0' * 64}",
        "replicas: 3",
        "kind: PodDisruptionBudget",
        "topologyKey: kubernetes.io/hostname",
        "imagePullSecrets",
        "host=db dbname=freezeline",
        "freeze.example.org",
        "secretName: freezeline-tokens",
        "mountPath: /etc/freezeline-secrets/slack",
        "name: freezeline-postgres",
        "name: our-policies",
        "storage: 5Gi",
        "storageClassName: fast",
        "example.org/role: freezeline",
        "automountServiceAccountToken: true",
        "kubernetes.io/metadata.name: observability",
        "example.org/a: b",
        "kubernetes.io/arch: amd64",
        "operator: Exists",
        "nodeAffinity",
    ):
        assert said in text, said


def test_what_generate_writes_into_the_chart_is_installed(helm: Path, tmp_path: Path) -> None:
    """Rules, dashboards and policies of the specs, by one command in the chart's folder."""
    chart = tmp_path / "freezeline"
    shutil.copytree(CHART, chart)
    options = ["--format", "operator", "--namespace", "monitoring", "--rule-label", "release=prometheus"]
    assert main(["generate", str(ROOT / "examples/demo/slo.yaml"), *options, "-o", str(chart / "generated")]) == 0
    found = rendered(helm, tmp_path, {}, chart)
    kinds = [one["kind"] for one in found]
    assert kinds.count("PrometheusRule") == 3
    labels = [one["metadata"].get("labels", {}) for one in found]
    assert sum(one.get("grafana_dashboard") == "1" for one in labels) == 2
    (policies,) = [one for one in found if one["metadata"]["name"] == "freezeline-policies"]
    assert list(policies["data"]) == ["slo.policy.json"]
    before = (chart / "generated" / "rules" / "policy" / "slo.policy.json").read_text()
    assert policies["data"]["slo.policy.json"].strip() == before.strip()


@pytest.mark.parametrize(
    "name, value",
    [
        ("image.tag", "latest"),
        ("image.digest", "sha256:1"),
        ("replicas", "0"),
        ("replicas", "2"),  # without a journal that several receivers can share
        ("replicas", "2,settings.journal.postgres=host=db"),  # each receiver would make tokens of its own
        ("secrets[0].name", "a"),
    ],
)
def test_a_wrong_value_is_refused(helm: Path, name: str, value: str) -> None:
    """By the schema of the values."""
    said = run(helm, "template", "freezeline", CHART, "--set", f"{name}={value}", code=1)
    assert "values don't meet the specifications of the schema" in said
