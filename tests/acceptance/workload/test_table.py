"""The tables of docs/workload.md: fault, alert, what follows. The tests walk the same rows, and none is left out."""

import re

import yaml

from examples.workload.assistant.releases import RELEASES
from tests.acceptance.workload.generation_faults import FAULTS, WORDS
from tests.acceptance.workload.test_alerts_of_launch import FOLLOWS, ROWS
from tests.acceptance.workload.test_canary import CAUGHT_BY
from tests.tools import ROOT

DOCS = (ROOT / "docs" / "workload.md").read_text()


def spec(name: str) -> dict[str, dict[str, object]]:
    """A shipped spec."""
    found: dict[str, dict[str, object]] = yaml.safe_load((ROOT / "slos" / f"{name}.yaml").read_text())
    return found


def test_each_alert_of_d_has_its_row() -> None:
    """In the order of the table."""
    rows = [f"| {fault.words} | `{fault.alert}` | {WORDS[fault.receivers]} |" for fault in FAULTS]
    assert "\n".join(rows) in DOCS, "docs/workload.md lacks:\n" + "\n".join(rows)
    assert sorted(fault.alert for fault in FAULTS) == sorted(spec("generation-service")["alerts"])


def test_each_alert_of_c_has_its_row() -> None:
    """With what the freeze does."""
    rows = [f"| {row.words} | `{row.alert}` | {FOLLOWS[row.freezes]} |" for row in ROWS]
    assert "\n".join(rows) in DOCS, "docs/workload.md lacks:\n" + "\n".join(rows)
    assert sorted(row.alert for row in ROWS) == sorted(spec("day0-launch")["alerts"])


def test_each_gate_of_e_has_a_release() -> None:
    """A rollout of each faulty release is taken back, and every gate takes back some."""
    by_gate = {release: re.findall(r"^gate (\w+): ", why) for release, why in CAUGHT_BY.items()}
    documented = dict(re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|$", DOCS, re.MULTILINE))
    for release, gates in by_gate.items():
        assert all(documented[release] == f"`{gate}`" for gate in gates), release
    assert [release for release, gates in by_gate.items() if not gates] == ["no-metrics"]
    assert documented["no-metrics"] == "no gate can judge: `no_data` ends the rollout"
    assert set(CAUGHT_BY) | {"good"} == set(RELEASES)
    gates_of_spec = spec("assistant-phase4")["canary"]["gates"]
    assert isinstance(gates_of_spec, list)
    assert {gate for gates in by_gate.values() for gate in gates} == {one["id"] for one in gates_of_spec}
