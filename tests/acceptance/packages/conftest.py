"""What is built once for all tests of packages."""

from pathlib import Path

import pytest

from devtools.package import wheel_and_sdist


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
