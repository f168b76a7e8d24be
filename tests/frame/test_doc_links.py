"""Every link between pages leads to a file, and every anchor to a heading."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frame.test_plain_english import PAGES
from tests.tools import ROOT

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Every relative link of a page: as written, its file, and its anchor."""
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield link, (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    """A relative link names a file of the repository."""
    assert [link for link, path, _ in links(page) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_anchor_leads_to_a_heading(page: Path) -> None:
    """A link into a page names one of its headings."""
    wrong = [link for link, path, anchor in links(page) if anchor and path.exists() and anchor not in anchors(path)]
    assert wrong == []


def test_every_page_is_reachable_from_the_readme() -> None:
    """A reader who follows links finds each page of docs/."""
    found, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page.suffix == ".md" and page.exists() and page not in found:
            found.add(page)
            todo += [path for _, path, _ in links(page)]
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - found == set()


def test_every_picture_is_shown_on_a_page() -> None:
    """Each picture of docs/pictures/ is a PNG or a WebP, and some page links to the picture."""
    pictures = set((ROOT / "docs" / "pictures").iterdir())
    shown = {path for page in PAGES for _, path, _ in links(page)}
    assert pictures - shown == set()
    assert pictures >= {ROOT / "docs" / "pictures" / "failure-budget.png"}
    begins = {".png": b"\x89PNG\r\n", ".webp": b"RIFF"}
    assert [path.name for path in pictures if not path.read_bytes().startswith(begins[path.suffix])] == []
