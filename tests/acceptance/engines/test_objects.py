"""Kubernetes objects with rules against what reads them: the operator's own schema, and vmalert."""

import copy
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from devtools.golang import source
from devtools.steps import SetupError
from freezeline.cli import main
from tests.engines.servers import program_of
from tests.tools import ROOT, missing_is_an_error

# Both need what Go fetches, so `./dev soak` runs these tests.
pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(900)]

OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
CHECKSUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
CRD = "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"


def objects(folder: Path, target: str, kind: str) -> list[dict[str, Any]]:
    """The objects of a kind for the shipped specs."""
    argv = ["generate", str(ROOT / "slos"), "-o", str(folder), "--scope", "slos", "--target", target]
    assert main([*argv, "--format", "operator", "--only", "rules"]) == 0
    found = [yaml.safe_load(path.read_text()) for path in sorted((folder / "rules/operator").iterdir())]
    assert len(found) >= 8
    assert {each["kind"] for each in found} == {kind}
    return found


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, in which an object has no other members than those named: Kubernetes would drop them silently."""
    found = copy.deepcopy(schema)
    if "pattern" in found:  # Go's flags stand elsewhere in Python
        found["pattern"] = found["pattern"].replace("^(?i)", "(?i)^")
    if "properties" in found:
        found["properties"] = {name: strict(value) for name, value in found["properties"].items()}
        if found["properties"]:
            found.setdefault("additionalProperties", False)
    if "items" in found:
        found["items"] = strict(found["items"])
    return found


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema of a PrometheusRule's `spec`, from the operator's own definition."""
    try:
        root = source(OPERATOR, CHECKSUM)
    except SetupError as error:
        if missing_is_an_error():
            pytest.fail(str(error))
        pytest.skip(str(error))
    (version,) = yaml.safe_load((root / CRD).read_text())["spec"]["versions"]
    return strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


@pytest.mark.parametrize("target", ["prometheus", "cortex", "mimir"])
def test_a_prometheus_rule_is_as_the_operator_defines_it(target: str, schema: dict[str, Any], tmp_path: Path) -> None:
    """No field is unknown, and every value has the type that the definition gives."""
    for each in objects(tmp_path, target, "PrometheusRule"):
        jsonschema.validate(each["spec"], schema)


def test_the_schema_refuses_fields_of_other_engines(schema: dict[str, Any], tmp_path: Path) -> None:
    """A VMRule is no PrometheusRule, so the test above can fail."""
    with pytest.raises(jsonschema.ValidationError, match="eval_offset"):
        jsonschema.validate(objects(tmp_path, "victoriametrics", "VMRule")[0]["spec"], schema)


def test_a_vm_rule_holds_what_vmalert_reads(tmp_path: Path) -> None:
    """The operator hands `spec` to vmalert, which refuses unknown fields, expressions and templates."""
    for number, each in enumerate(objects(tmp_path / "out", "victoriametrics", "VMRule")):
        (tmp_path / f"{number}.rules.yml").write_text(yaml.safe_dump(each["spec"]))
    argv = [str(program_of("victoriametrics", "vmalert")), "-dryRun", f"-rule={tmp_path}/*.rules.yml"]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
