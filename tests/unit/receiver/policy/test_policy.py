"""Policies: matchers as Alertmanager's, and every problem of a file in one run with its place."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from freezeline.problems import Problems
from receiver.policy import formats
from receiver.policy.model import Matcher
from receiver.policy.read import parse_policy
from tests.unit.receiver.builders import CHANNELS, policy, raw_policy


def problems_of(raw: Any) -> list[tuple[str, int, str]]:
    """Code, line and message of every problem of a policy written with an indent of 1."""
    problems = Problems()
    text = raw if isinstance(raw, str) else json.dumps(raw, indent=1)
    assert parse_policy(text, file="p.json", channels=CHANNELS, problems=problems) is None
    return [(problem.code, problem.position.line, problem.message) for problem in problems]


@pytest.mark.parametrize(
    "op,value,labels,expected",
    [
        ("=", "a", {"x": "a"}, True),
        ("=", "a", {"x": "b"}, False),
        ("=", "", {}, True),
        ("!=", "a", {}, True),
        ("!=", "a", {"x": "a"}, False),
        ("=~", "a|b", {"x": "b"}, True),
        ("=~", "a", {"x": "ab"}, False),
        ("=~", ".*", {}, True),
        ("=~", ".+", {}, False),
        ("!~", "a.*", {"x": "ab"}, False),
        ("!~", "a.*", {"x": "b"}, True),
        ("=~", "a$", {"x": "a\n"}, False),
    ],
)
def test_matchers_are_anchored_and_absent_is_empty(
    op: str, value: str, labels: dict[str, str], *, expected: bool
) -> None:
    """As Alertmanager's."""
    rules = [{"id": "r", "match": [{"label": "x", "op": op, "value": value}], "do": ["freeze"]}]
    (matcher,) = policy(rules=rules).rules[0].match
    assert isinstance(matcher, Matcher)
    assert matcher.matches(labels) is expected


def test_every_problem_is_found_in_one_run() -> None:
    """Four mistakes of different kinds, each with its line."""
    raw = raw_policy()
    raw["rules"][0]["do"] = ["freeze", "rolback"]
    raw["rules"][0]["match"][0] = {"label": "alertname", "op": "=~", "value": "("}
    raw["actions"]["tell"]["channels"] = ["toast", "pager"]
    raw["escalation"] = [{"after_s": 0, "channels": ["nobody"]}]
    assert [code for code, _, _ in problems_of(raw)] == [
        "policy/pattern",
        "policy/unknown-action",
        "policy/unknown-channel",
        "policy/unknown-channel",
    ]


def test_problems_stand_at_their_line() -> None:
    """Line and column count from 1."""
    raw = raw_policy()
    raw["actions"]["freeze"]["flag"] = "FREEZE.FLAG"
    text = json.dumps(raw, indent=1)
    line = next(number for number, found in enumerate(text.splitlines(), 1) if '"flag"' in found)
    ((code, at_line, message),) = problems_of(text)
    assert (code, at_line) == ("policy/schema", line)
    assert message.startswith("actions.freeze.flag: 'FREEZE.FLAG' does not match")


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"name": "../../etc/passwd"},
        {"rules": [{"id": "r", "match": [], "do": ["freeze"]}]},
        {"actions": {"freeze": {"type": "freeze", "flag": "relative"}}},
        {"actions": {"freeze": {"type": "explode"}}},
        {"actions": {"roll": {"type": "rollback", "command": ["rollback.sh"], "timeout_s": 3}}},
        {"actions": {"roll": {"type": "rollback", "command": ["/r"], "timeout_s": 0}}},
        {"actions": {"freeze": {"type": "freeze", "flag": "/f", "legacy": [{"on": ["/on"]}]}}},
        {"escalation": [{"after_s": 0, "channels": ["toast"], "severities": []}]},
        {"escalation": [{"after_s": 0, "channels": ["toast"], "severities": "critical"}]},
    ],
)
def test_what_the_schema_refuses(change: dict[str, Any]) -> None:
    """Each of these refuses the whole file."""
    assert "policy/schema" in {code for code, _, _ in problems_of(raw_policy(**change))}


def test_two_rules_of_one_name_are_refused() -> None:
    """Their episodes could not be told apart."""
    raw = raw_policy()
    raw["rules"].append(raw["rules"][0])
    assert [code for code, _, _ in problems_of(raw)] == ["policy/duplicate"]


def test_text_that_is_not_json_is_one_problem() -> None:
    """With the place where reading stopped."""
    assert problems_of('{"format": \n oops}') == [("policy/json", 2, "not JSON: Expecting value")]


def test_defaults_are_those_of_the_contract() -> None:
    """Where a policy is silent."""
    found = policy(
        rules=[{"id": "r", "match": [{"label": "a", "op": "=", "value": "b"}], "do": ["freeze"]}],
        actions={
            "freeze": {"type": "freeze", "flag": "/f"},
            "rollback": {"type": "rollback", "command": ["/r"], "timeout_s": 5},
        },
    )
    levels = [{"after_s": 0, "channels": []}, {"after_s": 1, "channels": [], "severities": ["page", "warning"]}]
    told = policy(escalation=levels).escalation
    assert [level.severities for level in told] == [{"critical"}, {"page", "warning"}]
    (rollback,) = found.rollbacks(["rollback"])
    assert (rollback.once_per, rollback.grace_s, rollback.output_max_bytes) == ("release", 10.0, 1048576)
    assert (found.rules[0].unfreeze.resolved_for_s, found.rules[0].unfreeze.review_after_s) == (300.0, 86400.0)


def numbers_of(part: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of a JSON Schema that describes a number."""
    if isinstance(part, dict):
        if part.get("type") in ("number", "integer"):
            yield part
        for inner in part.values():
            yield from numbers_of(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from numbers_of(inner)


@pytest.mark.parametrize("format", formats.KNOWN)
def test_every_number_has_bounds(format: str) -> None:  # noqa: A002 - the key's own name
    """A time of 1e12 s lies beyond what a calendar can hold."""
    found = list(numbers_of(formats.schema(format)))
    assert len(found) > 8
    assert [one for one in found if "maximum" not in one or not {"minimum", "exclusiveMinimum"} & one.keys()] == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e12", "1e400", "9" * 5000, "-1"])
@pytest.mark.parametrize("key", ["resolved_for_s", "review_after_s"])
def test_a_number_beyond_all_bounds_is_a_problem(key: str, number: str) -> None:
    """Each is refused with a position or a reason, and none is believed."""
    raw = raw_policy()
    raw["rules"][0]["unfreeze"][key] = "NUMBER"
    problems = Problems()
    text = json.dumps(raw).replace('"NUMBER"', number)
    assert parse_policy(text, file="x.json", channels=CHANNELS, problems=problems) is None
    assert {problem.code for problem in problems} <= {"policy/json", "policy/schema"}
    assert problems.errors


def test_a_policy_of_deep_brackets_is_a_problem() -> None:
    """Python's reader gives up with an error of its own."""
    problems = Problems()
    assert parse_policy("[" * 100_000, file="x.json", channels=CHANNELS, problems=problems) is None
    assert [problem.code for problem in problems] == ["policy/json"]
