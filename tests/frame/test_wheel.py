"""The wheel is an application: four packages, complete, and nothing else. Wheel and sdist carry the licence."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

import freezeline
from tests.frame.sources import PACKAGES, tracked_files
from tests.tools import ROOT

# One worker, so that the fixture does its work once.
pytestmark = pytest.mark.xdist_group("wheel")


# Of https://www.apache.org/licenses/LICENSE-2.0.txt.
OFFICIAL_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
LICENCE = (ROOT / "LICENSE").read_bytes()
VERSION = freezeline.__version__


def build(folder: Path, kind: str) -> Path:
    """Build `--wheel` or `--sdist` and return the file."""
    command = [sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files in a freshly built wheel."""
    with zipfile.ZipFile(build(tmp_path_factory.mktemp("wheel"), "--wheel")) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def names(wheel: dict[str, bytes]) -> set[str]:
    """The names in the wheel."""
    return set(wheel)


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    """What the wheel says about itself."""
    return message_from_bytes(wheel[f"freezeline-{VERSION}.dist-info/METADATA"])


def test_top_level(names: set[str]) -> None:
    """Generic package names exist elsewhere too, so nothing but these four may be there."""
    top = {Path(name).parts[0] for name in names}
    ours = {f"freezeline-{VERSION}.dist-info", f"freezeline-{VERSION}.data"}
    assert top == {*PACKAGES, *ours}


def test_shells_and_man_find_their_files(names: set[str]) -> None:
    """Below the prefix, where bash, zsh, fish and man look; and nothing else is put there."""
    outside = {name.partition(".data/data/")[2] for name in names if ".data/" in name}
    assert outside == {
        "share/man/man1/freezeline.1",
        "share/bash-completion/completions/freezeline",
        "share/fish/vendor_completions.d/freezeline.fish",
        "share/zsh/site-functions/_freezeline",
    }


def test_every_file_is_in_it(names: set[str]) -> None:
    """Schemas and templates come along with the code."""
    expected = {str(path.relative_to(ROOT)) for path in tracked_files() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert expected - names == set()


def test_console_script(names: set[str]) -> None:
    """Installing it gives the command `freezeline`."""
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)


@pytest.mark.parametrize("example", ["demo", "demo-canary"])
def test_the_demos_bring_their_examples(names: set[str], example: str) -> None:
    """The specs and scripts of both demos are where an installed `freezeline demo` looks for them."""
    files = [path for path in (ROOT / "examples" / example).iterdir() if path.is_file()]
    expected = {f"freezeline/demo/examples/{example}/{path.name}" for path in files}
    assert f"freezeline/demo/examples/{example}/slo.yaml" in expected
    assert expected - names == set()


def test_the_wheel_carries_the_licence(wheel: dict[str, bytes], metadata: Message) -> None:
    """Apache 2.0 asks that every copy comes with its text; the metadata name it by its SPDX identifier."""
    assert wheel[f"freezeline-{VERSION}.dist-info/licenses/LICENSE"] == LICENCE
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])


def test_the_licence_is_the_official_text_with_our_line() -> None:
    """Nothing but the line that the appendix leaves to the project was changed."""
    official = LICENCE.replace(b"Copyright 2026 the Freezeline authors", b"Copyright [yyyy] [name of copyright owner]")
    assert official != LICENCE
    assert hashlib.sha256(official).hexdigest() == OFFICIAL_SHA256


def test_the_wheel_says_what_it_is(metadata: Message) -> None:
    """Name, version, authors, description, addresses and classifiers, as an index shows them."""
    assert (metadata["Name"], metadata["Author"]) == ("freezeline", "the Freezeline authors")
    assert {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])} >= {"Homepage", "Documentation"}
    assert "Programming Language :: Python :: 3.11" in metadata.get_all("Classifier", [])
    assert metadata["Keywords"]
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_sdist_can_be_built_from(tmp_path: Path) -> None:
    """The source archive has the licence, the README of the metadata, and every file of the packages."""
    with tarfile.open(build(tmp_path, "--sdist")) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
        licence = archive.extractfile(f"freezeline-{VERSION}/LICENSE")
        assert licence is not None
        assert licence.read() == LICENCE
    expected = {str(path.relative_to(ROOT)) for path in tracked_files() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert (
        expected
        | {"LICENSE", "README.md", "pyproject.toml", "examples/demo/slo.yaml", "examples/demo-canary/haproxy.cfg"}
    ) - files == set()
