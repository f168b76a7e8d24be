"""Puts the pages of the documentation site together: a hook of mkdocs, named in mkdocs.yml.

The pages link to each other, and to files of the checkout, by relative paths. The hook therefore copies pages and
linked files into one folder with the same layout, and mkdocs reads that folder. No page needs a second kind of link.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
MERMAID = "assets/mermaid.min.js"
MERMAID_SHA256 = "74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b"
"""Of mermaid 11.16.0's own file, as npm has it. A package of PyPI carries the same bytes."""

_FOREIGN = re.compile(r"https://unpkg\.com/[^\"']*")
"""Where the theme would fetch scripts from, in a reader's browser: for diagrams, and for browsers of long ago."""

_LINK = re.compile(r"\]\(([^)\s#]+)")
_staged: list[Path] = []


def on_config(config: Any) -> Any:
    """Let mkdocs read the staged folder."""
    folder = Path(tempfile.mkdtemp(prefix="freezeline-site-"))
    _staged.append(folder)
    stage(folder)
    config["docs_dir"] = str(folder)
    return config


def on_post_build(config: Any) -> None:
    """Take foreign addresses out of the theme's scripts, and remove what was staged."""
    for script in (Path(config["site_dir"]) / "assets" / "javascripts").glob("bundle.*.js"):
        script.write_text(_FOREIGN.sub("about:blank", script.read_text("utf-8")), "utf-8")
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

    target = folder / MERMAID
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(mermaid())


def mermaid() -> bytes:
    """The script that draws diagrams. Raises ValueError for another file than mermaid's own."""
    path = Path(str(distribution("artoo-mermaid").locate_file("artoo_mermaid/assets/mermaid.min.js")))
    script = path.read_bytes()
    if hashlib.sha256(script).hexdigest() != MERMAID_SHA256:
        raise ValueError(f"{path} is not mermaid's own script")
    return script


def _linked(page: Path) -> Iterator[Path]:
    for link in _LINK.findall(page.read_text("utf-8")):
        path = (page.parent / link).resolve()
        if path.is_file() and path.is_relative_to(ROOT):
            yield path
