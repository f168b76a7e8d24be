"""docs/architecture.md is a true map: it draws every wing, its arrows exist, and the paths that it names exist."""

import re
from pathlib import Path

import pytest

import freezeline
from tests.frame.sources import PACKAGES, modules
from tests.frame.test_imports import ORDERS
from tests.frame.wings import find_imports, find_modules
from tests.tools import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURES = dict(
    zip(("generator", "receiver", "release"), re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL), strict=True)
)
# A path in code style: it begins at the root of the tree, and has no placeholder such as `…` in it.
PATHS = sorted(set(re.findall(r"`([A-Za-z_.]+/[\w./-]*|[A-Z]+\.md)`", PAGE)))
# What texts call a module or a file by: `generator.pipeline`, `receiver/run/runner.py`.
NAMED = re.compile(r"`((?:freezeline|generator|receiver|release)(?:(?:\.[a-z_]+)+|/[\w/]+(?:\.\w+|/)))`")
# Files of users and of logs, whose names look like the name of a module.
FILES = {"freezeline.tmpl", "receiver.log", "receiver.yaml"}


def nodes(package: str) -> dict[str, str]:
    """The places in a picture: the node's id → the place, which stands in quotes where it has a dot."""
    lines = [line.strip() for line in PICTURES[package].splitlines()]
    found = [re.fullmatch(r'(\w+)(?:\["([\w.]+)"\])?', line) for line in lines]
    return {match[1]: match[2] or match[1] for match in found if match and match[1] != "end"}


def arrows(package: str) -> list[tuple[str, str]]:
    """Importer and imported of each arrow of a picture, as places."""
    places = nodes(package)
    pairs = re.findall(r"^ *(\w+) --> (\w+)$", PICTURES[package], re.MULTILINE)
    return [(places[importer], places[imported]) for importer, imported in pairs]


@pytest.mark.parametrize("package", PICTURES)
def test_every_wing_is_on_the_map(package: str) -> None:
    """The picture has each place of the stated order, and no other."""
    assert sorted(nodes(package).values()) == sorted(ORDERS[package])


@pytest.mark.parametrize("package", PICTURES)
def test_every_arrow_is_an_import(package: str) -> None:
    """No arrow is drawn that the code does not have; the order of the code then keeps every arrow downwards."""
    imports = find_imports(ROOT, find_modules(ROOT, [package]))
    real = {(found.importer.place, found.imported.place) for found in imports}
    assert len(arrows(package)) >= len(ORDERS[package]) - 1
    assert [arrow for arrow in arrows(package) if arrow not in real] == []


@pytest.mark.parametrize("package", PICTURES)
def test_every_wing_has_an_arrow(package: str) -> None:
    """A place without an arrow would float beside the stack; `logs` and the like are reached by one at least."""
    drawn = {place for arrow in arrows(package) for place in arrow}
    assert sorted(set(ORDERS[package]) - drawn) == []


def test_the_map_names_paths() -> None:
    """The tests of paths below have something to test."""
    assert len(PATHS) > 60


@pytest.mark.parametrize("path", PATHS)
def test_every_path_on_the_map_exists(path: str) -> None:
    """A file that moved must move on the map too."""
    assert (ROOT / path).exists()


def texts() -> list[Path]:
    """Our sources and pages, in which people and docstrings name modules."""
    return [*modules(*PACKAGES).values(), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


def exists(name: str) -> bool:
    """Whether a dotted name is a module or something in it, or a path is a file or a folder."""
    if "/" in name:
        return (ROOT / name).exists()
    known = modules(*PACKAGES)
    parent, _, last = name.rpartition(".")
    return name in known or (parent in known and bool(re.search(rf"\b{last}\b", known[parent].read_text())))


def test_texts_name_modules_that_exist() -> None:
    """A docstring or page that names a module or a file of ours names it where it lies now."""
    named = [(name, str(path.relative_to(ROOT))) for path in texts() for name in NAMED.findall(path.read_text("utf-8"))]
    assert ("receiver.run.runner", "receiver/run/runs.py") in named
    assert [(name, path) for name, path in named if name not in FILES and not exists(name)] == []


def slugs(page: str) -> set[str]:
    """The anchors of a page's headings, as the usual renderers of Markdown make them."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a page is a file, and its anchor a heading there."""
    page = ROOT / name
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8"))
    targets = [((page.parent / target).resolve() if target else page, anchor) for target, anchor in links]
    assert [str(path) for path, _ in targets if not path.exists()] == []
    assert [anchor for path, anchor in targets if anchor and anchor not in slugs(path.read_text("utf-8"))] == []


def test_contributing_links_every_kind_of_addition() -> None:
    """Each list of files on the map is one click away for a new contributor."""
    additions = PAGE.partition("## To add X")[2]
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    wanted = slugs("\n".join(re.findall(r"^### .*$", additions, re.MULTILINE)))
    assert len(wanted) == 14
    assert wanted - set(re.findall(r"docs/architecture\.md#([\w-]+)", text)) == set()


def test_the_supported_version_is_the_current_one() -> None:
    """SECURITY.md promises fixes for the version that the tree builds."""
    version = freezeline.__version__
    assert f"| {version.rpartition('.')[0]} | yes |" in (ROOT / "SECURITY.md").read_text("utf-8")
