"""Puts the pages of the documentation site together: a hook of mkdocs, named in mkdocs.yml.

The pages link to each other, and to files of the checkout, by relative paths. The hook therefore copies pages and
linked files into one folder with the same layout, and mkdocs reads that folder. No page needs a second kind of link.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"\]\(([^)\s#]+)")
_staged: list[Path] = []


def on_config(config: Any) -> Any:
    """Let mkdocs read the staged folder."""
    folder = Path(tempfile.mkdtemp(prefix="freezeline-site-"))
    _staged.append(folder)
    stage(folder)
    config["docs_dir"] = str(folder)
    return config


def on_post_build(config: Any) -> None:  # noqa: ARG001 - mkdocs passes this name
    """Remove what was staged."""
    while _staged:
        shutil.rmtree(_staged.pop())


def pages() -> list[Path]:
    """Every page of the site."""
    return [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]


def stage(folder: Path) -> None:
    """Copy the pages, and every file to which a page links."""
    for path in {*pages(), *(linked for page in pages() for linked in _linked(page))}:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _linked(page: Path) -> Iterator[Path]:
    for link in _LINK.findall(page.read_text("utf-8")):
        path = (page.parent / link).resolve()
        if path.is_file() and path.is_relative_to(ROOT):
            yield path
