"""`freezeline toast install`: what each desktop is given, and that nothing in an option becomes more than a word."""

import configparser
import os
import plistlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import Struct, field

from freezeline.cli import main
from freezeline.toast.login import LABEL, RUN_KEY, VALUE, Called, Login, LoginError, unit_text
from tests.tools import ROOT

COMMAND = (
    "/opt/py thon/bin/python",
    "-P",
    "-m",
    "freezeline",
    "toast",
    "--token-file",
    '/home/a b/%h $HOME "x" \\ `id`',
)


class Machine(Struct, kw_only=True):
    """Commands and registry of a desktop that says what it is told to say."""

    failing: tuple[str, ...] = ()
    called: list[str] = field(default_factory=list)
    values: dict[tuple[str, str], str] = field(default_factory=dict)

    def call(self, command: Sequence[str]) -> Called:
        """Note the command."""
        line = " ".join(command)
        self.called.append(line)
        return Called(code=1, said="no\x1b[31m bus") if any(part in line for part in self.failing) else Called(code=0)

    def write(self, key: str, name: str, value: str) -> None:
        """Set a text of the registry."""
        self.values[key, name] = value

    def remove(self, key: str, name: str) -> bool:
        """Remove a text of the registry."""
        return self.values.pop((key, name), None) is not None


def login(machine: Machine, home: Path, system: str) -> Login:
    """A desktop."""
    registry = machine if system == "Windows" else None
    return Login(system=system, home=home, environment={}, call=machine.call, registry=registry, uid=1000)


def test_systemd_starts_the_unit_now_and_at_login(tmp_path: Path) -> None:
    """An older unit gets the new command."""
    machine = Machine()
    said = login(machine, tmp_path, "Linux").install(COMMAND)
    unit = tmp_path / ".config/systemd/user/freezeline-toast.service"
    assert str(unit) in said
    assert unit.read_text() == unit_text(COMMAND)
    assert machine.called[1:] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable freezeline-toast.service",
        "systemctl --user restart freezeline-toast.service",
    ]
    assert str(unit) in login(machine, tmp_path, "Linux").uninstall()
    assert (unit.exists(), machine.called[-1]) == (False, "systemctl --user disable --now freezeline-toast.service")
    assert login(machine, tmp_path, "Linux").uninstall() == "nothing was installed"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze on PATH")
def test_systemd_reads_the_unit_as_meant(tmp_path: Path) -> None:
    """No specifier, no variable, no second word."""
    program = tmp_path / "py thon"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "freezeline-toast.service"
    unit.write_text(unit_text([str(program), *COMMAND[1:]]))
    argv = ["systemd-analyze", "verify", "--user", str(unit)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, str(unit) in done.stderr) == (0, False), done.stderr


def test_without_systemd_the_desktop_starts_it(tmp_path: Path) -> None:
    """The autostart folder of freedesktop."""
    said = login(Machine(failing=("show-environment",)), tmp_path, "Linux").install(COMMAND)
    entry = tmp_path / ".config/autostart/freezeline-toast.desktop"
    assert str(entry) in said
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(entry)
    line = parser["Desktop Entry"]["Exec"]
    assert line.startswith('"/opt/py thon/bin/python" "-P" "-m" "freezeline" "toast" "--token-file" ')
    assert line.endswith('"/home/a b/%%h \\\\$HOME \\\\"x\\\\" \\\\\\\\ \\\\`id\\\\`"')


def test_launchd_starts_the_agent_now_and_at_login(tmp_path: Path) -> None:
    """The arguments stay a list."""
    machine = Machine(failing=("bootout",))
    login(machine, tmp_path, "Darwin").install(COMMAND)
    path = tmp_path / f"Library/LaunchAgents/{LABEL}.plist"
    agent = plistlib.loads(path.read_bytes())
    assert (agent["ProgramArguments"], agent["RunAtLoad"]) == (list(COMMAND), True)
    assert machine.called == [f"launchctl bootout gui/1000/{LABEL}", f"launchctl bootstrap gui/1000 {path}"]
    login(machine, tmp_path, "Darwin").uninstall()
    assert not path.exists()


def test_windows_starts_it_at_login(tmp_path: Path) -> None:
    """The list of programs in the user's registry."""
    machine = Machine()
    command = [r"C:\Program Files\py\pythonw.exe", "-P", "-m", "freezeline", "toast", "--url", "https://h"]
    login(machine, tmp_path, "Windows").install(command)
    assert machine.values == {
        (RUN_KEY, VALUE): r'"C:\Program Files\py\pythonw.exe" -P -m freezeline toast --url https://h'
    }
    assert VALUE in login(machine, tmp_path, "Windows").uninstall()
    assert machine.values == {}


def test_a_refusal_of_the_desktop_is_said(tmp_path: Path) -> None:
    """The command and its reason, in one line."""
    with pytest.raises(LoginError, match=r"`systemctl --user daemon-reload` failed: no.* bus") as caught:
        login(Machine(failing=("daemon-reload",)), tmp_path, "Linux").install(COMMAND)
    assert str(caught.value).isprintable()
    with pytest.raises(LoginError, match="Haiku is not known"):
        login(Machine(), tmp_path, "Haiku").install(COMMAND)


def test_the_command_installs_what_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`freezeline toast install` with a desktop without systemd; a missing token is a mistake before anything else."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    entry = tmp_path / ".config/autostart/freezeline-toast.desktop"
    token = ["--token-file", "token", "--url", "https://freezeline.example.org/"]
    assert (main(["toast", "install"]), main(["toast", "install", *token])) == (2, 3)
    assert not entry.exists()
    (tmp_path / "token").write_text("secret-token")
    (tmp_path / "token").chmod(0o600)
    assert main(["toast", "install", *token]) == 0
    assert f'"--token-file" "{tmp_path}/token"' in entry.read_text()
    assert "secret-token" not in entry.read_text()
    assert main(["toast", "uninstall"]) == 0
    assert "removed" in capsys.readouterr().out
    assert not entry.exists()


def test_the_docs_name_the_files() -> None:
    """docs/toast.md says what is written where."""
    text = (ROOT / "docs" / "toast.md").read_text()
    for named in ("systemd/user/freezeline-toast.service", "autostart/freezeline-toast.desktop", LABEL, "HKCU"):
        assert named in text
