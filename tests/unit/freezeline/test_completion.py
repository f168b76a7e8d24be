"""Real shells complete freezeline's command lines, and the committed scripts are those of the parsers."""

import contextlib
import os
import pty
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import shell_files
from freezeline.cli import COMMANDS, main
from freezeline.commands.completion import SHELLS
from tests.tools import missing_is_an_error
from tests.waiting import wait_until

PROMPT = "ready> "
DEADLINE_S = 30
# How the docs load the script, where `freezeline` stands for this file.
LOAD = {
    "bash": 'eval "$(cat {file})"',
    "zsh": 'autoload -U compinit; compinit -D -u; eval "$(cat {file})"',
    "fish": "cat {file} | source",
}
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i", "-C", f"function fish_prompt; printf '{PROMPT}'; end"],
}


class Terminal:
    """A shell at a terminal: what is typed, and what the shell shows."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._shown = ""

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._handle, keys.encode())

    def sees(self, pattern: str) -> None:
        """Wait until the shell shows this, and forget what was shown until then."""
        wait_until(lambda: re.search(pattern, self._read()), DEADLINE_S, pattern)
        self._shown = ""

    def _read(self) -> str:
        while select.select([self._handle], [], [], 0)[0]:
            try:
                self._shown += os.read(self._handle, 65536).decode(errors="replace")
            except OSError:  # the shell has ended
                break
        return self._shown


@contextlib.contextmanager
def terminal(shell: str, home: Path) -> Iterator[Terminal]:
    """An interactive shell that has read no file of its user."""
    master, slave = pty.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "PS1": PROMPT}
    # With the terminal as its own: fish waits for that.
    argv = ["setsid", "--ctty", *START[shell]]
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd=home, env=env)
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        os.close(master)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_and_files(shell: str, tmp_path: Path) -> None:
    """The user presses the tab key after a part of each word."""
    if shutil.which(shell) is None:
        if missing_is_an_error():
            pytest.fail(f"no {shell} on PATH")
        pytest.skip(f"needs {shell} on PATH")
    (tmp_path / "receiver-of-tests.yaml").touch()
    with terminal(shell, tmp_path) as typed:
        typed.sees(re.escape(PROMPT))
        typed.type(LOAD[shell].format(file=shell_files.FOLDER / f"freezeline.{shell}") + "\n")
        typed.sees(f"\n.*{re.escape(PROMPT)}")
        typed.type("freezeline unfr\t")
        typed.sees("freezeline unfreeze ")
        typed.type("checkout --rea\t")
        typed.sees("--reason ")
        typed.type("\x15freezeline import pyr\t")
        typed.sees("import pyrra ")
        typed.type("\x15freezeline serve --config receiver-of\t")
        typed.sees(r"receiver-of-tests\.yaml")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script names every command."""
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert printed == (shell_files.FOLDER / f"freezeline.{shell}").read_text("utf-8")
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", printed)] == []


def test_stale_files_are_found_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`./dev generate` writes the four files, and its check names the one that differs."""
    assert shell_files.main([], tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shell_files.files())
    assert shell_files.main(["--check"], tmp_path) == 0
    (tmp_path / "freezeline.1").write_text("old")
    assert shell_files.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "freezeline/shell/freezeline.1 differs from the parsers; run ./dev generate\n"


def test_the_files_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a wide terminal nor a setting of the user changes a file."""
    before = shell_files.files()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FREEZELINE_STATE", "/somewhere")
    monkeypatch.setenv("FREEZELINE_LISTEN", "127.0.0.1:1")
    assert shell_files.files() == before


def test_man_shows_the_page() -> None:
    """The page is good troff: man finds no fault, and shows commands, sub-commands and options."""
    if shutil.which("man") is None:
        pytest.skip("needs man on PATH")
    argv = ["man", "--warnings", "-l", str(shell_files.FOLDER / "freezeline.1")]
    env = {**os.environ, "MANPAGER": "cat", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    shown = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", shown.stdout)
    assert [name for name in COMMANDS if f"freezeline {name}" not in text] == []
    assert "freezeline canary approve" in text
    assert "--token-file" in text
