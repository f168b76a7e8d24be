"""What is built once for all tests of packages."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.deb import PYTHON
from devtools.package import wheel_and_sdist
from tests.acceptance.packages import containerfile
from tests.acceptance.packages.containerfile import Image
from tests.acceptance.packages.machine import Machine, machine
from tests.tools import ROOT

# What the image python:3.11-slim has: `python` and pip.
PIP = Path(sys.executable).parent.parent / "lib" / PYTHON / "site-packages" / "pip"
PACKAGES = f"/usr/local/lib/{PYTHON}/dist-packages"


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this checkout, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    wheel_and_sdist(folder)
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    """The wheel in `dist`."""
    (file,) = dist.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def image(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The last stage of the Containerfile, built from the wheel of this checkout."""
    context = {"constraints.txt": ROOT / "constraints.txt", "dist/freezeline-*.whl": wheel}
    with contextlib.ExitStack() as stack:

        def fresh() -> Machine:
            return _base(stack.enter_context(machine(tmp_path_factory.mktemp("stage"))))

        yield containerfile.build(containerfile.TEXT, context, fresh)


def _base(one: Machine) -> Machine:
    """The stand-in for the base image, on a fresh machine."""
    one.run("ln", "-sf", f"/usr/bin/{PYTHON}", "/usr/local/bin/python")
    one.run("mkdir", "-p", PACKAGES)
    one.run("cp", "-r", PIP, PACKAGES)
    one.run("rm", "-rf", "/opt/freezeline", "/src", "/etc/freezeline")
    return one
