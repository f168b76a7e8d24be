"""The documentation site builds without a warning, has every page in its navigation, and keeps its versions apart."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools import site
from tests.frame.test_plain_english import PAGES
from tests.tools import ROOT

# One worker, so that the fixture does its work once.
pytestmark = pytest.mark.xdist_group("site")

BIN = Path(sys.executable).parent
DEADLINE_S = 100
KINDS = ["Tutorial", "How to", "Reference", "Explanation"]


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, in which some values name Python functions."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, tag, _node: tag)


def run(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment."""
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkout of its own with all that the site is made from."""
    folder = tmp_path_factory.mktemp("checkout")
    site.stage(folder)
    (folder / "devtools").mkdir()
    for name in ("mkdocs.yml", "devtools/site.py"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this checkout. Every link and anchor that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = run(BIN / "mkdocs", "build", "--strict", "--site-dir", folder, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def entries(nav: Any) -> list[str]:
    """The files in a navigation."""
    if isinstance(nav, str):
        return [nav]
    parts = nav if isinstance(nav, list) else nav.values()
    return [file for part in parts for file in entries(part)]


def test_every_page_is_in_the_navigation_once() -> None:
    """By tutorial, how-to, reference and explanation."""
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]
    assert [name for part in nav for name in part][1:] == KINDS
    assert sorted(entries(nav)) == sorted(str(page.relative_to(ROOT)) for page in PAGES)
    assert set(site.pages()) == set(PAGES)


def test_pages_and_linked_files_are_on_the_site(built: Path) -> None:
    """A page shows its headings, and a link to a file of the checkout leads to the file."""
    assert '<h1 id="install-freezeline">' in (built / "docs" / "install" / "index.html").read_text()
    assert (built / "receiver" / "openapi.yaml").read_bytes() == (ROOT / "receiver" / "openapi.yaml").read_bytes()
    words = json.loads((built / "search" / "search_index.json").read_text())["docs"]
    assert {one["location"].partition("#")[0] for one in words} >= {"", "docs/spec/", "docs/notifiers/slack/"}


def test_readers_fetch_nothing_from_elsewhere(built: Path) -> None:
    """Scripts, styles, pictures and frames come from the site itself, and the script for diagrams is mermaid's own."""
    fetched = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)[^>]*>")
    for page in built.rglob("*.html"):
        for tag in fetched.finditer(page.read_text()):
            if "//" in tag.group(1) and not re.search(r"rel=[\"']?(canonical|next|prev|alternate)", tag.group()):
                pytest.fail(f"{page.relative_to(built)} fetches {tag.group(1)}")
    assert "assets/mermaid.min.js" in (built / "docs" / "architecture" / "index.html").read_text()
    assert (built / "assets" / "mermaid.min.js").read_bytes() == site.mermaid()
    (bundle,) = (built / "assets" / "javascripts").glob("bundle.*.js")
    assert "unpkg" not in bundle.read_text()


@pytest.mark.parametrize("wrong", ["[x](no-such-page.md)", "[x](spec.md#no-such-heading)", "[x](../no-such-file.yml)"])
def test_a_link_that_leads_nowhere_fails_the_build(checkout: Path, tmp_path: Path, wrong: str) -> None:
    """The strict build can fail."""
    shutil.copytree(checkout, tmp_path / "checkout", ignore=shutil.ignore_patterns(".git"))
    page = tmp_path / "checkout" / "docs" / "glossary.md"
    page.write_text(f"{page.read_text()}\n{wrong}\n")
    done = run(BIN / "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site", cwd=tmp_path / "checkout")
    assert done.returncode == 1
    assert "no-such-" in done.stderr


def test_two_versions_stand_side_by_side(checkout: Path) -> None:
    """Mike keeps a folder for each version, and an alias for the latest."""
    own = (["config", "user.name", "test"], ["config", "user.email", "test@example.org"])
    for argv in (["init", "-q", "-b", "main"], *own, ["add", "-A"], ["commit", "-q", "-m", "docs"]):
        assert run("git", *argv, cwd=checkout).returncode == 0
    for version in ("0.1", "0.2"):
        done = run(BIN / "mike", "deploy", "--update-aliases", version, "latest", cwd=checkout)
        assert done.returncode == 0, done.stdout + done.stderr
    versions = json.loads(run("git", "show", "gh-pages:versions.json", cwd=checkout).stdout)
    assert [(one["version"], one["aliases"]) for one in versions] == [("0.2", ["latest"]), ("0.1", [])]
    assert "install-freezeline" in run("git", "show", "gh-pages:0.1/docs/install/index.html", cwd=checkout).stdout
