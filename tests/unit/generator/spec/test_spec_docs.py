"""docs/spec.md describes every key of a spec."""

import re

import pytest

from freezeline.problems import Problems
from generator.conditions import CONDITIONS
from generator.sli import SLI_TYPES
from generator.spec.load import load
from tests.tools import ROOT
from tests.unit.generator import keys

PAGE = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)

# Where a place of the spec is described; what lies below it is described there too.
SECTIONS = {
    (): "Top level",
    ("owner",): "owner",
    ("defaults",): "defaults",
    ("slos", "*"): "slos",
    ("slos", "*", "tiers"): "tiers",
    ("slos", "*", "sli"): "SLI types",
    ("alerts", "*"): "alerts",
    ("policy", "*"): "policy",
    ("policy", "*", "until"): "until",
    ("actions", "*"): "actions",
    ("routing",): "routing",
    ("canary",): "canary",
    ("gate",): "gate",
    ("dashboard",): "dashboard",
}


def section(heading: str) -> str:
    """The text under a heading, up to the next heading of its level or above."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", PAGE, re.MULTILINE)
    assert match, heading
    rest = PAGE[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def name_of(value: keys.Path | frozenset[str]) -> str:
    """The test's name is only the place: a set has no order, and two workers must agree on the names."""
    return (".".join(value) or "top") if isinstance(value, tuple) else "keys"


@pytest.mark.parametrize("place, known", keys.everything().items(), ids=name_of)
def test_every_key_is_described_in_its_section(place: keys.Path, known: frozenset[str]) -> None:
    """Each key is written as code, or in an example, in the section of its place."""
    heading = max((path for path in SECTIONS if place[: len(path)] == path), key=len)
    text = section(SECTIONS[heading])
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    missing = [key for key in known if not re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", code)]
    assert missing == []


@pytest.mark.parametrize("name", [*SLI_TYPES, *CONDITIONS])
def test_every_type_has_a_heading(name: str) -> None:
    """Each SLI type and each condition has a heading of its own."""
    assert f"`{name}`" in HEADINGS


def test_the_example_is_sound() -> None:
    """The spec at the top of the page is valid."""
    match = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert match
    problems = Problems()
    load("checkout.yaml", match[1].encode(), problems)
    assert list(problems) == []
