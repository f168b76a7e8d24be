"""Colour and progress: on a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until

ESCAPE = "\x1b["
BAD_SPEC = "apiVersion: freezeline/v1\nservice: checkout\nowner: {team: payments}\nslos: {}\nalrets: {}\n"


def at_terminal(words: list[str], folder: Path, **environment: str) -> str:
    """Everything that a command says where stdout and stderr are a terminal."""
    main, side = pty.openpty()
    own = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "freezeline", *words],
        cwd=folder,
        env={**own, "TERM": "xterm", **environment},
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
    said = at_terminal(["validate", "slos"], folder, **environment)
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
