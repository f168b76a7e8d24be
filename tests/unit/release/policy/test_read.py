"""What the generator writes about releases, the release package reads; and nothing unsafe is read."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from freezeline.problems import Problems
from release.policy.read import ReleasePolicy, read
from tests.tools import ROOT

POLICIES = sorted((ROOT / "rules" / "policy").glob("*.policy.json"))


def policy(name: str) -> ReleasePolicy:
    """A shipped policy, read without a problem."""
    problems = Problems()
    found = read(ROOT / "rules" / "policy" / f"{name}.policy.json", problems)
    assert list(problems) == []
    assert found is not None
    return found


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_every_shipped_policy_is_read(path: Path) -> None:
    """Both members have values exactly where the file has them."""
    found = policy(path.name.removesuffix(".policy.json"))
    text = path.read_text("utf-8")
    assert (found.gate is not None, found.canary is not None) == ('"gate": {' in text, '"canary": {' in text)


def test_numbers_are_decimals() -> None:
    """Weights and bounds are read as they stand in the spec."""
    canary = policy("canary-medium").canary
    assert canary is not None
    assert [stage.weight for stage in canary.stages] == [Decimal("0.1"), Decimal("0.5"), Decimal(1)]
    assert {gate.id: gate.value for gate in canary.gates}["errors"] == Decimal("0.005")


def test_a_policy_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """A policy names commands to run."""
    path = tmp_path / "shop.policy.json"
    path.write_bytes(POLICIES[0].read_bytes())
    path.chmod(0o666)
    problems = Problems()
    assert read(path, problems) is None
    assert [problem.code for problem in problems] == ["policy/unsafe"]


def test_an_unknown_member_is_a_problem(tmp_path: Path) -> None:
    """A misspelt key of a canary would be a gate that never speaks."""
    path = tmp_path / "shop.policy.json"
    text = (ROOT / "rules" / "policy" / "canary-medium.policy.json").read_text("utf-8")
    assert '"consecutive"' in text
    path.write_text(text.replace('"consecutive"', '"consecutiv"', 1))
    problems = Problems()
    assert read(path, problems) is None
    assert {problem.code for problem in problems} == {"policy/schema"}


@pytest.mark.parametrize(
    "member,value",
    [
        (
            "gate",
            {"checks": [{"kind": "none-firing", "id": "quiet", "match": [{"label": "a", "op": "=~", "value": "("}]}]},
        ),
        ("abort_on", [[{"label": "a", "op": "!~", "value": "("}]]),
    ],
)
def test_a_pattern_that_does_not_compile_is_a_problem(member: str, value: object, tmp_path: Path) -> None:
    """Found when the policy is read, and not in the middle of a rollout."""
    raw = json.loads((ROOT / "rules" / "policy" / "canary-medium.policy.json").read_text("utf-8"))
    (raw if member == "gate" else raw["canary"])[member] = value
    path = tmp_path / "shop.policy.json"
    path.write_text(json.dumps(raw))
    problems = Problems()
    assert read(path, problems) is None
    assert [problem.code for problem in problems] == ["policy/pattern"]
