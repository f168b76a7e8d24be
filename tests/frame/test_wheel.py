"""The wheel is an application: three packages, complete, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.frame.sources import PACKAGES, tracked_files
from tests.tools import ROOT

# One worker, so that the fixture does its work once.
pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_top_level(names: set[str]) -> None:
    """Both generic package names exist elsewhere too, so nothing but these three may be there."""
    top = {Path(name).parts[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_every_file_is_in_it(names: set[str]) -> None:
    """Schemas and templates come along with the code."""
    expected = {str(path.relative_to(ROOT)) for path in tracked_files() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert expected - names == set()


def test_console_script(names: set[str]) -> None:
    """Installing it gives the command `freezeline`."""
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)


def test_the_demo_brings_its_example(names: set[str]) -> None:
    """The spec and the scripts under examples/demo are where an installed `freezeline demo` looks for them."""
    expected = {
        f"freezeline/demo/example/{path.name}" for path in (ROOT / "examples" / "demo").iterdir() if path.is_file()
    }
    assert "freezeline/demo/example/slo.yaml" in expected
    assert expected - names == set()
