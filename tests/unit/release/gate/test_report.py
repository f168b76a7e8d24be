"""The verdict over all checks, and the report in its formats."""

import json
from itertools import product
from xml.etree import ElementTree as ET

import pytest

from release.gate import formats
from release.gate.answer import Finding, Report, Verdict, overall

GO, NO_GO, CANNOT = Verdict.GO, Verdict.NO_GO, Verdict.CANNOT_TELL
SOURCES = {"flag": "required", "prometheus": "required", "receiver": "optional"}


def finding(verdict: Verdict, source: str = "prometheus", check_id: str = "a", reason: str = "why") -> Finding:
    """One answer."""
    return Finding(id=check_id, verdict=verdict, reason=reason, source=source, value="1", threshold="<= 2")


@pytest.mark.parametrize("verdicts", list(product((GO, NO_GO, CANNOT), repeat=3)))
def test_any_no_wins_then_any_doubt(verdicts: tuple[Verdict, ...]) -> None:
    """Over every combination of three checks whose sources are required."""
    expected = NO_GO if NO_GO in verdicts else CANNOT if CANNOT in verdicts else GO
    assert overall([finding(verdict) for verdict in verdicts], SOURCES) is expected


def test_doubt_about_an_optional_source_does_not_count() -> None:
    """But a NO from there does, and nothing but doubt is never GO."""
    assert overall([finding(GO), finding(CANNOT, "receiver")], SOURCES) is GO
    assert overall([finding(GO), finding(NO_GO, "receiver")], SOURCES) is NO_GO
    assert overall([finding(CANNOT, "receiver")], SOURCES) is CANNOT
    assert overall([finding(GO), finding(CANNOT, "trivy.json")], SOURCES) is CANNOT
    assert overall([], SOURCES) is CANNOT


EVIL = "a|b <script>alert(1)</script> [x](http://e) \x1b[31m"


def report() -> Report:
    """One of each, with text that wants to be more than text."""
    return Report(
        service="shop",
        at="2026-11-27T12:00:00.000Z",
        verdict=NO_GO,
        findings=(
            finding(GO, check_id="first"),
            finding(NO_GO, check_id="second", reason=EVIL),
            finding(CANNOT, "receiver", "third"),
            finding(CANNOT, "flag", "fourth"),
        ),
        optional=frozenset({"third"}),
    )


def test_text_for_people() -> None:
    """A line for each check, its reason, and the verdict first."""
    lines = formats.text(report()).splitlines()
    assert lines[0] == "NO_GO: shop"
    assert lines[1] == "  ok  first   why"
    assert lines[3] == "  ??  third   why (optional)"
    assert "\x1b" not in formats.text(report())


def test_markdown_is_inert() -> None:
    """No cell ends early, no tag opens, no link is made."""
    made = formats.markdown(report())
    row = next(line for line in made.splitlines() if "second" in line)
    assert row.replace("\\|", "").count("|") == 6
    assert "<script" not in made
    assert "\\[x\\]" in made


def test_json_is_the_contract() -> None:
    """The members that machines read."""
    made = json.loads(formats.as_json(report()))
    assert set(made) == {"verdict", "service", "at", "checks"}
    assert set(made["checks"][0]) == {"id", "verdict", "value", "threshold", "reason", "source"}
    assert made["checks"][2]["optional"] is True


def test_junit_tells_failures_from_errors() -> None:
    """NO_GO is a failure, CANNOT_TELL an error, an optional doubt is skipped."""
    suite = ET.fromstring(formats.junit(report()))
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    kinds = [[child.tag for child in case] for case in suite]
    assert kinds == [[], ["failure"], ["skipped"], ["error"]]
