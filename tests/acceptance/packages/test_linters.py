"""The manifests with real kubeconform, and the actions with real actionlint. Go builds these tools once."""

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from devtools.prometheus_tools import built
from tests.tools import ROOT

# Built by Go at the first run, so `./dev soak` runs these tests.
pytestmark = [pytest.mark.acceptance, pytest.mark.soak]

DEADLINE_S = 120


def test_kubeconform_finds_no_fault_in_the_manifests(schemas: Path, tmp_path: Path) -> None:
    """Every object fits its schema without a single unknown key; a wrong object is found."""
    manifest = ROOT / "packaging" / "kubernetes" / "freezeline.yaml"
    assert conforms(manifest, schemas) == {"statusValid": 5}
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(manifest.read_text().replace("replicas: 1", "replica: 1"))
    assert conforms(wrong, schemas) == {"statusValid": 4, "statusInvalid": 1}


def conforms(manifest: Path, folder: Path) -> dict[str, int]:
    """How many objects kubeconform gives each status, by the schemas in a folder."""
    kubeconform = built("kubeconform", os.environ) / "kubeconform"
    place = f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    argv = [str(kubeconform), "-strict", "-verbose", "-output", "json", "-schema-location", place, str(manifest)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    counted: dict[str, int] = {}
    for one in json.loads(done.stdout)["resources"]:
        counted[one["status"]] = counted.get(one["status"], 0) + 1
    return counted


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas that the package kubernetes-validate brings, each with its definitions in the same file."""
    spec = find_spec("kubernetes_validate")
    assert spec is not None
    assert spec.origin is not None
    (origin,) = (Path(spec.origin).parent / "kubernetes-json-schema").glob("v1.33.*-local-strict")
    definitions = json.loads((origin / "_definitions.json").read_text())["$defs"]
    folder = tmp_path_factory.mktemp("schemas")
    for name in (
        "configmap-v1",
        "networkpolicy-networking-v1",
        "service-v1",
        "serviceaccount-v1",
        "statefulset-apps-v1",
    ):
        schema = json.loads((origin / f"{name}.json").read_text())
        whole = json.dumps({**schema, "$defs": definitions})
        (folder / f"{name}.json").write_text(whole.replace("/api/_definitions.json#", "#"))
    return folder


WORKFLOW = """\
on: pull_request
permissions: {contents: read, pull-requests: write}
jobs:
  slos:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./packaging/github/check
        with: {specs: slos, verify: "false"}
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./packaging/github/gate
        id: gate
        with: {policy: p.json}
      - run: echo "${{ steps.gate.outputs.verdict }}"
"""


def test_actionlint_finds_no_fault(tmp_path: Path) -> None:
    """In a workflow that uses both actions, and in the workflows of examples/ci/."""
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (tmp_path / "packaging").symlink_to(ROOT / "packaging")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, timeout=30, check=True)
    (workflows / "own.yml").write_text(WORKFLOW)
    (tmp_path / ".github" / "actionlint.yaml").write_text("self-hosted-runner: {labels: [deploy]}\n")
    for path in (ROOT / "examples" / "ci").glob("*github*.yml"):
        (workflows / path.name).write_text(path.read_text())
    actionlint = built("actionlint", os.environ) / "actionlint"
    argv = [str(actionlint), "-no-color"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (workflows / "own.yml").write_text(
        WORKFLOW.replace("policy: p.json", "polici: p.json").replace("verdict", "verdikt")
    )
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert "polici" in done.stdout
    assert "verdikt" in done.stdout
