"""Policies of the first format are read as they are; a mixture of old and new names is told apart, all in one run."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from freezeline.problems import Problem, Problems
from receiver.policy.formats import FIRST, NEWEST, lenient_schema, schema
from receiver.policy.model import NotifyAction, Policy
from receiver.policy.read import parse_policy
from tests.tools import ROOT
from tests.unit.receiver.builders import CHANNELS, raw_policy

EARLIER = sorted((ROOT / "tests" / "data" / "journal" / "shape-1" / "policy").glob("*.json"))
EVERY_CHANNEL = {"log", "toast", "slack", "slack-lead", "slack-night", "slack-busy"}


def raw_first(**unfreeze: Any) -> dict[str, Any]:
    """A policy of the first format."""
    raw = raw_policy(format=FIRST)
    raw["rules"][0]["release"] = {**raw["rules"][0].pop("unfreeze"), **unfreeze}
    raw["actions"]["tell"]["moments"] = ["frozen", "released"]
    return raw


def read(text: str) -> tuple[Policy | None, list[Problem]]:
    """What is read, and every problem."""
    problems = Problems()
    return parse_policy(text, file="p.json", channels=CHANNELS, problems=problems), list(problems)


def refused(raw: dict[str, Any]) -> list[tuple[str, int, str, str]]:
    """Code, line, message and hint of every problem of a policy written with an indent of 1."""
    found, problems = read(json.dumps(raw, indent=1))
    assert found is None
    return [(problem.code, problem.position.line, problem.message, problem.hint) for problem in problems]


def line_of(raw: dict[str, Any], text: str) -> int:
    """The first line that has this text."""
    return next(number for number, line in enumerate(json.dumps(raw, indent=1).splitlines(), 1) if text in line)


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.name)
def test_a_policy_of_an_earlier_receiver_is_read(path: Path) -> None:
    """The hash is that of the text as it is written; every rule and event is there."""
    text, problems = path.read_text(), Problems()
    found = parse_policy(text, file="p.json", channels=EVERY_CHANNEL, problems=problems)
    assert [problem.message for problem in problems] == []
    assert found is not None
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    raw = json.loads(text)
    assert raw["format"] == FIRST
    for rule, written in zip(found.rules, raw["rules"], strict=True):
        assert rule.unfreeze.resolved_for_s == written["release"]["resolved_for_s"]
        assert [one.query for one in rule.unfreeze.all_of] == [one["query"] for one in written["release"]["all_of"]]
    tell = found.actions["tell"]
    assert isinstance(tell, NotifyAction)
    expected = {"unfrozen" if event == "released" else event for event in raw["actions"]["tell"]["moments"]}
    assert "unfrozen" in tell.events
    assert tell.events == expected


def test_both_formats_mean_the_same() -> None:
    """But for the hash."""
    newest = raw_policy()
    newest["actions"]["tell"]["events"] = ["frozen", "unfrozen"]
    first, _ = read(json.dumps(raw_first()))
    second, _ = read(json.dumps(newest))
    assert first is not None
    assert second is not None
    assert (first.rules, first.actions) == (second.rules, second.actions)
    assert first.rules[0].unfreeze.resolved_for_s == 300


def test_problems_of_the_first_format_use_its_words() -> None:
    """At the line where they stand in the file."""
    raw = raw_first(resolved_for_s="soon")
    raw["rules"][0]["surprise"] = 1
    raw["actions"]["tell"]["moments"].append("thawed")
    assert [problem[:2] for problem in refused(raw)] == [
        ("policy/schema", line_of(raw, '"id": "failure-rate-high"') - 1),
        ("policy/schema", line_of(raw, '"soon"')),
        ("policy/schema", line_of(raw, '"thawed"')),
    ]
    key, value, event = refused(raw)
    assert "'released'" in event[2]
    assert "'unfrozen'" not in event[2]
    assert key[3] == "use one of: do, id, match, release"
    assert value[2] == "rules.0.release.resolved_for_s: 'soon' is not of type 'number'"


def test_an_old_name_in_the_newest_format_names_the_new_one() -> None:
    """With every other problem of the file in the same run, below the old name too."""
    raw = {**raw_first(resolved_for_s="soon", review_after_s=0), "format": NEWEST, "surprise": 1}
    assert [(code, line, message) for code, line, message, _ in refused(raw)] == [
        ("policy/schema", 1, "the policy: Additional properties are not allowed ('surprise' was unexpected)"),
        ("policy/renamed", line_of(raw, '"release": {'), "`release` is called `unfreeze` now"),
        ("policy/schema", line_of(raw, '"soon"'), "rules.0.release.resolved_for_s: 'soon' is not of type 'number'"),
        (
            "policy/schema",
            line_of(raw, '"review_after_s"'),
            "rules.0.release.review_after_s: 0 is less than or equal to the minimum of 0",
        ),
        ("policy/renamed", line_of(raw, '"moments"'), "`moments` is called `events` now"),
        ("policy/renamed", line_of(raw, '"released"'), "the event `released` is called `unfrozen` now"),
    ]
    hints = [hint for _, _, _, hint in refused(raw)]
    assert hints[1] == 'write "unfreeze" instead of "release"'
    assert hints[-1] == 'write "unfrozen" instead of "released"'


def test_the_release_of_a_rollback_is_no_old_name() -> None:
    """There it is the version of a software, and stays."""
    raw = raw_policy()
    assert "release" in raw["actions"]["rollback"]
    found, problems = read(json.dumps(raw))
    assert problems == []
    assert found is not None


@pytest.mark.parametrize("given", ["freezeline.policy/3", "2", 2, None, ["freezeline.policy/2"]])
def test_an_unknown_format_is_one_problem(given: object) -> None:
    """The hint names the formats that are read; nothing else of such a file is judged."""
    raw = {**raw_policy(format=given), "surprise": 1}
    ((code, line, message, hint),) = refused(raw)
    assert (code, line, message) == ("policy/format", 2, f"unknown format {str(given)!r}")
    assert hint.startswith(f"write {NEWEST} or {FIRST}")


@pytest.mark.parametrize(
    "raw", [[], "x", 1, {"rules": 1, "actions": 2}, {"rules": [1], "actions": {"a": 1, "b": {"moments": {}}}}]
)
def test_what_is_no_policy_at_all_is_a_problem(raw: Any) -> None:
    """Looking for old names takes anything."""
    assert {code for code, *_ in refused(raw)} == {"policy/schema"}


@pytest.mark.parametrize("made", [schema(FIRST), schema(NEWEST), lenient_schema()])
def test_every_schema_is_a_schema(made: Any) -> None:
    """Checked against their own meta-schema."""
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["$defs"]["rule"]["properties"]
