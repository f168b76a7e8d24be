"""The docs are plain English: short sentences that name their actor, and no retired name."""

import re
from pathlib import Path

import pytest

from receiver.settings import SETTINGS
from tests.frame.plain_words import POINTERS, WORDS_MAX, sentences, words
from tests.tools import ROOT

PAGES = [
    path
    for path in (
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
    if path.exists()
]
# Old name → new name. CHANGELOG.md alone may still show the old names: it says what they became.
RETIRED = {
    r"freezeline release\b": "freezeline unfreeze",
    r"api/v1/release\b": "api/v1/unfreeze",
    r"`released`|\"released\"": "unfrozen",
    r"\brelease_when\b": "unfreeze_when",
    r"\bmoments?\b": "event",
    r"\btiles?\b|\bt5m:": "rollup",
    r"part=\"gap\"": 'repair="gap"',
    r"freezeline\.(policy|flag)/1": "format 2",
}
# docs/settings.md quotes the help of each setting from the code.
QUOTED = frozenset(setting.help for setting in SETTINGS)


@pytest.mark.parametrize(
    "text, counts",
    [
        ("One two three. Four five.", [3, 2]),
        ("Wrapped\nover lines.\n\n- an item\n- a second item", [3, 2, 3]),
        ("## A heading\nText.", [2, 1]),
        ("Before:\n```sh\nfreezeline serve --state /var/lib\n```\nafter", [1, 1]),
        ("| a b | `c d` |\n| --- | --- |\n| one. two three | x |", [2, 1, 1, 2, 1]),
        ("Known: `a`, `b` and `c d`.", [2]),
        ("See [the page](page.md) of [Slack](https://docs.slack.dev/a.b).", [5]),
        ("It fires (proven.) Version 2.40 does.", [3, 3]),
    ],
)
def test_sentences_are_counted_as_a_reader_reads(text: str, counts: list[int]) -> None:
    """Code blocks are left out; a cell, an item and a heading each stand alone."""
    assert [words(sentence) for sentence in sentences(text)] == counts


def test_a_long_sentence_and_a_pointer_are_found() -> None:
    """The two rules can fail."""
    (long,) = sentences("word " * (WORDS_MAX + 1))
    assert words(long) > WORDS_MAX
    assert [bool(POINTERS.match(sentence)) for sentence in sentences("It runs. So does Soap. Italy.")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_sentence_is_short(page: Path) -> None:
    """At most 25 words, table cells included."""
    found = [
        f"{words(one)}: {one}" for one in sentences(page.read_text(encoding="utf-8"), QUOTED) if words(one) > WORDS_MAX
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_opens_with_a_pointer(page: Path) -> None:
    """A sentence names its actor: it can be read alone."""
    found = [one for one in sentences(page.read_text(encoding="utf-8"), QUOTED) if POINTERS.match(one)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_no_retired_name_is_left(page: Path) -> None:
    """Each old name has a new one."""
    text = page.read_text(encoding="utf-8")
    found = {old.group(): new for pattern, new in RETIRED.items() for old in re.finditer(pattern, text)}
    assert found == {}
