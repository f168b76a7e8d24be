"""Colour and progress: on a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.tools import ROOT
from tests.waiting import wait_until

ESCAPE = "\x1b["
BAD_SPEC = "apiVersion: freezeline/v1\nservice: checkout\nowner: {team: payments}\nslos: {}\nalrets: {}\n"


FREEZELINE = ("-m", "freezeline")
PLAIN_ENV: Mapping[str, str] = MappingProxyType({})
AT_WORK = """
import sys
from freezeline.terminal import progress
with progress("promtool runs the proofs", sys.stderr) as told:
    for done in range(1, 4):
        told(done, 3)
print("done")
"""


def at_terminal(
    words: list[str], folder: Path, *, program: Sequence[str] = FREEZELINE, env: Mapping[str, str] = PLAIN_ENV
) -> str:
    """Everything that a command says where stdout and stderr are a terminal."""
    main, side = pty.openpty()
    own = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    process = subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=folder,
        env={**own, "PYTHONPATH": str(ROOT), "TERM": "xterm", **env},
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    said = b""
    try:
        while piece := os.read(main, 4096):
            said += piece
    except OSError:  # Linux says EIO when the last writer has gone
        pass
    os.close(main)
    wait_until(lambda: process.poll() is not None, 60, "the command ends")
    return said.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a spec that has a mistake."""
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "bad.yaml").write_text(BAD_SPEC)
    return tmp_path


def test_a_mistake_is_red_on_a_terminal(folder: Path) -> None:
    """The word `error` and the caret."""
    assert f"{ESCAPE}1;31merror{ESCAPE}0m" in at_terminal(["validate", "slos"], folder)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colour_gets_none(environment: dict[str, str], folder: Path) -> None:
    """By the convention of no-color.org, and on terminals that know no colours."""
    said = at_terminal(["validate", "slos"], folder, env=environment)
    assert "error: " in said
    assert ESCAPE not in said


def test_a_pipe_gets_plain_text(folder: Path) -> None:
    """Whatever the terminal is."""
    done = subprocess.run(
        [sys.executable, "-m", "freezeline", "validate", "slos"],
        cwd=folder,
        env={**os.environ, "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "error: " in done.stderr
    assert ESCAPE not in done.stdout + done.stderr


def test_a_terminal_sees_how_far_a_long_command_is(folder: Path) -> None:
    """What the command does, and how many steps of how many are done."""
    said = at_terminal([], folder, program=["-c", AT_WORK])
    assert "promtool runs the proofs" in said
    assert "3/3" in said


def test_a_pipe_sees_no_progress(folder: Path) -> None:
    """Logs of CI hold results only."""
    done = subprocess.run(
        [sys.executable, "-c", AT_WORK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
