"""The wheel that is built from the sdist installs as people install programs, and the program works."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freezeline import __version__
from tests.tools import ROOT, request, stop
from tests.waiting import wait_until

# One worker, so that wheel and image are built once.
pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("packages")]

# The tools of this environment; each installs into an environment of its own.
BIN = Path(sys.executable).parent
CONSTRAINTS = ROOT / "constraints.txt"
INSTALL_DEADLINE_S = 110
START_DEADLINE_S = 30


def run(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must end with exit code 0, and return what the command printed."""
    result = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=INSTALL_DEADLINE_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def by_pipx(wheel: Path, folder: Path) -> Path:
    """Install with pipx, and return the folder of programs."""
    env = {"PIPX_HOME": f"{folder}/home", "PIPX_BIN_DIR": f"{folder}/bin", "PIPX_MAN_DIR": f"{folder}/share/man"}
    run(BIN / "pipx", "install", f"--pip-args=--constraint={CONSTRAINTS}", wheel, cwd=folder, env=env)
    return folder / "bin"


def by_uv(wheel: Path, folder: Path) -> Path:
    """Install with uv, and return the folder of programs."""
    env = {"UV_TOOL_DIR": f"{folder}/home", "UV_TOOL_BIN_DIR": f"{folder}/bin"}
    options = ("--python", sys.executable, "--constraints", CONSTRAINTS)
    run(BIN / "uv", "tool", "install", *options, wheel, cwd=folder, env=env)
    return folder / "bin"


@contextmanager
def serving(program: Path, folder: Path) -> Iterator[str]:
    """The installed receiver, and the URL at which the receiver answers."""
    (folder / "policy").mkdir()
    argv = [str(program), "serve", "--policy", "policy", "--state", "state", "--listen", "127.0.0.1:0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
    try:
        said = wait_until(
            lambda: re.search(r"listening on (http://\S+)", (folder / "log").read_text()), START_DEADLINE_S, "it serves"
        )
        yield said[1]
    finally:
        stop(process)


@pytest.mark.parametrize("install,pages", [(by_pipx, "share/man"), (by_uv, "home/freezeline/share/man")])
def test_an_installed_freezeline_works(
    install: Callable[[Path, Path], Path], pages: str, wheel: Path, tmp_path: Path
) -> None:
    """In a clean environment, with no file of the checkout: version, artefacts, receiver, completion and man page."""
    program = install(wheel, tmp_path) / "freezeline"
    assert run(program, "--version", cwd=tmp_path) == f"freezeline {__version__}\n"
    spec = tmp_path / "slos" / "shop.yaml"
    spec.parent.mkdir()
    spec.write_text((ROOT / "examples" / "demo" / "slo.yaml").read_text())
    run(program, "generate", "slos", cwd=tmp_path)
    assert list((tmp_path / "rules").glob("*.rules.yml"))
    with serving(program, tmp_path) as url:
        assert request("GET", f"{url}/health")
    for shell in ("bash", "zsh", "fish"):
        script = (ROOT / "freezeline" / "shell" / f"freezeline.{shell}").read_text("utf-8")
        assert run(program, "completion", shell, cwd=tmp_path) == script
    page = tmp_path / pages / "man1" / "freezeline.1"
    assert page.read_bytes() == (ROOT / "freezeline" / "shell" / "freezeline.1").read_bytes()


def test_an_index_takes_wheel_and_sdist(dist: Path, tmp_path: Path) -> None:
    """Twine checks the metadata and the README as an index would, and takes no warning for an answer."""
    files = sorted(dist.iterdir())
    assert [path.suffix for path in files] == [".whl", ".gz"]
    said = run(BIN / "twine", "--no-color", "check", "--strict", *files, cwd=tmp_path)
    assert said.count("PASSED") == len(files)
