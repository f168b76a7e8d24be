"""Docstrings, comments, messages and hints are plain English, as the docs are; and a hint says what to type."""

import ast
from pathlib import Path

import pytest

from tests.frame.code_texts import VALUE, Text, comments, docstrings, parsed, problems, said
from tests.frame.plain_words import faults, sentences
from tests.tools import ROOT

# In plain English already. Folders are added here, never taken away.
FOLDERS = (
    "devtools",
    "freezeline",
    *(f"generator/{name}" for name in ("checks", "conditions", "imports", "model", "panels", "prometheus", "promql")),
    *(f"generator/{name}" for name in ("reading", "reports", "sli", "spec", "text")),
    *(f"generator/render/{name}" for name in ("alertmanager", "dashboards", "policy", "rules")),
    "generator/proofs",
    "receiver",
    "release",
)
# Not in plain English yet.
LATER = frozenset({ROOT / "generator/render/rules/gaps.py"})
FILES = sorted(
    {
        *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")),
        *(path for folder in ("generator", "generator/render") for path in (ROOT / folder).glob("*.py")),
    }
    - LATER
)
# The words with which a hint tells its reader what to do.
_ORDERS = """
add aggregate change check choose close compare correct divide indent keep let name raise remove rename repeat route run
save set split start try use write
"""
ORDERS = frozenset(_ORDERS.split())
# … or a question, or a list of both.
OTHERS = ("did you mean", "the check passes always: add")


def named(path: Path) -> str:
    """A test's name."""
    return str(path.relative_to(ROOT))


def in_words(found: list[Text], path: Path) -> list[str]:
    """The faults of some texts, each with its place."""
    return [
        f"{named(path)}:{one.line}: {fault}"
        for one in found
        for sentence in sentences(one.text)
        for fault in faults(sentence)
    ]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_docstrings_and_comments_are_plain_english(path: Path) -> None:
    """Short sentences, each of which can be read alone."""
    source, tree = parsed(path)
    assert in_words([*docstrings(tree), *comments(source)], path) == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_errors_are_plain_english(path: Path) -> None:
    """What the commands say when they cannot go on."""
    assert in_words(list(said(parsed(path)[1])), path) == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_messages_and_hints_are_plain_english(path: Path) -> None:
    """Short sentences; every problem has a hint, and each hint begins with what to do."""
    found = list(problems(parsed(path)[1]))
    texts = [text for pair in found for text in pair if text is not None]
    assert in_words(texts, path) == []
    assert [message for message, hint in found if hint is None] == []
    idle = [hint for _, hint in found if hint is not None and not tells(hint.text)]
    assert idle == []


def tells(hint: str) -> bool:
    """Whether a hint begins with an order, or asks whether something else was meant."""
    return hint.startswith((*OTHERS, VALUE)) or hint.split(maxsplit=1)[0].rstrip(":") in ORDERS


def test_problems_are_found_in_the_code() -> None:
    """However the code gives message and hint: at once, by name, as a choice."""
    tree = ast.parse(
        "def check(reader, problems):\n"
        "    hint = 'write b'\n"
        "    message, other = f'{a} is wrong', 'remove c'\n"
        "    reader.fail('spec/type', 'one', hint, key='x')\n"
        "    problems.add('spec/type', at, message, other if a else 'add d')\n"
        "    found.add(3)\n"
        "    Fault(code='promql/parse', message='two', hint='use e')\n"
    )
    assert [(message.text, hint.text if hint else "") for message, hint in problems(tree)] == [
        ("one", "write b"),
        ("value is wrong", "remove c"),
        ("value is wrong", "add d"),
        ("two", "use e"),
    ]


def test_errors_are_found_in_the_code() -> None:
    """Raised or written to stderr; message and hint are two texts."""
    tree = ast.parse("raise ValueError(f'{a} is wrong\\nwrite b') from None\nsys.stderr.write('no c\\n')\nraise\n")
    assert [one.text for one in said(tree)] == ["value is wrong", "write b", "no c"]


def test_most_problems_are_found() -> None:
    """The checks above look at something: most of the generator's problems have a message and a hint."""
    found = [pair for path in FILES for pair in problems(parsed(path)[1])]
    assert len(found) > 150
    assert sum(hint is not None for _, hint in found) > 150


def test_comments_are_read_as_blocks() -> None:
    """Lines below each other are one text; a comment beside code is one by itself."""
    source = "# One\n# two.\nx = 1  # three\n# four\ny = 2  # noqa: E501\n"
    assert [(one.line, one.text) for one in comments(source)] == [(1, "One two."), (3, "three"), (4, "four")]


@pytest.mark.parametrize("hint, good", [("write `a: 1`", True), ("did you mean `b`?", True), ("at least 3", False)])
def test_an_idle_hint_is_found(hint: str, good: bool) -> None:  # noqa: FBT001 - a case of the table
    """The rule can fail."""
    assert tells(hint) is good
