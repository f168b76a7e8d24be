"""No text tells people to install Freezeline by its name alone: on a registry, the name may be somebody else's."""

import re
import subprocess
import tomllib

import pytest

from tests.tools import ROOT

SUFFIXES = {".md", ".py", ".yml", ".yaml", ".toml", ".sh", ".html", ""}
TOOLS = r"\b(?:pip3?|pipx|uv tool|uv pip|poetry|conda) +(?:install|add)"
BY_NAME = re.compile(TOOLS + r""" +(?:-\S+ +)*['"]?freezeline\b""")


def test_nobody_is_told_to_install_a_name_that_is_not_ours() -> None:
    """Docs, examples, hints and docstrings name a checkout or a place that the reader sets."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    found = []
    for name in listed.rstrip("\0").split("\0"):
        path = ROOT / name
        if (
            name != "tests/frame/test_install.py"
            and path.suffix in {".md", ".py", ".yml", ".yaml", ".toml", ".sh", ".html", ""}
            and path.is_file()
        ):
            lines = path.read_text("utf-8", errors="replace").splitlines()
            found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if BY_NAME.search(line)]
    assert found == []


@pytest.mark.parametrize(
    "line,wrong",
    [
        ("run `pipx install 'freezeline[toast]'`", True),
        ("pip install --upgrade freezeline", True),
        ("uv tool install freezeline==1.0", True),
        ("pipx install .", False),
        ("pip install /opt/wheels/freezeline-1.0.whl", False),
    ],
)
def test_what_counts_as_a_name_alone(line: str, wrong: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A path or an address is no name."""
    assert bool(BY_NAME.search(line)) is wrong


def test_every_extra_for_users_is_on_the_page() -> None:
    """An operator finds the extra that a message names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs/install.md").read_text()
    extras = set(project["optional-dependencies"]) - {"workload", "dev", "docs"}
    assert {extra for extra in extras if f"| `{extra}` |" not in page} == set()


def test_an_extra_is_added_to_an_installation_that_is_there() -> None:
    """Without `--force`, pipx says that Freezeline is there, changes nothing, and ends with exit code 0."""
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "freezeline/extras.py"]
    commands = [command for page in pages for command in re.findall(r"pipx? install .*?'?\.\[", page.read_text())]
    assert len(commands) > len(pages[:1])
    assert [command for command in commands if "pipx install --force" not in command] == []
