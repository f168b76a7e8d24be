"""Starts `freezeline toast` at each login: a systemd unit of the user, a launch agent, or Windows' list of programs.

The functions get the user's folder, a way to run commands, and Windows' registry, so that any machine can test all.
"""

from __future__ import annotations

import plistlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from receiver.plaintext import plain

NAME = "freezeline-toast"
LABEL = "org.freezeline.toast"
RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"
VALUE = "Freezeline toast"
REASON_MAX = 200

Call = Callable[[Sequence[str]], "Called"]


class Called(Struct, frozen=True, kw_only=True):
    """What a command said. `code` is its exit code; 127 if there is no such command."""

    code: int
    said: str = ""


class Registry(Protocol):
    """The current user's part of Windows' registry."""

    def write(self, key: str, name: str, value: str) -> None:
        """Set a text."""
        ...

    def remove(self, key: str, name: str) -> bool:
        """Remove a text; False if there was none."""
        ...


class LoginError(Exception):
    """The desktop does not take the program."""


class Login(Struct, frozen=True, kw_only=True):
    """One desktop: `system` is Linux, Darwin or Windows, `home` the user's folder, `uid` the user's number."""

    system: str
    home: Path
    environment: Mapping[str, str]
    call: Call
    registry: Registry | None = None
    uid: int = 0

    def install(self, command: Sequence[str]) -> str:
        """Start `command` now and at each login; gives a sentence about it. Raises LoginError and OSError."""
        match self.system:
            case "Linux":
                return self._systemd(command) if self._has_systemd() else self._autostart(command)
            case "Darwin":
                return self._launchd(command)
            case "Windows" if self.registry is not None:
                self.registry.write(RUN_KEY, VALUE, subprocess.list2cmdline(command))
                return f"Windows starts the program at your next login (registry, HKCU\\{RUN_KEY}, {VALUE})"
        raise LoginError(f"{self.system} is not known: start `{' '.join(command)}` with your desktop")

    def uninstall(self) -> str:
        """Stop the program, and do not start it again; gives a sentence about it. Raises LoginError and OSError."""
        removed: list[str] = []
        if self.system == "Linux" and self.unit.exists():
            self.call(["systemctl", "--user", "disable", "--now", f"{NAME}.service"])
        if self.system == "Darwin" and self.agent.exists():
            self.call(["launchctl", "bootout", f"gui/{self.uid}/{LABEL}"])
        for path in (self.unit, self.desktop_entry, self.agent):
            if path.exists():
                path.unlink()
                removed.append(str(path))
        if self.registry is not None and self.registry.remove(RUN_KEY, VALUE):
            removed.append(f"registry, HKCU\\{RUN_KEY}, {VALUE}")
        return f"removed {', '.join(removed)}" if removed else "nothing was installed"

    @property
    def unit(self) -> Path:
        """The unit of systemd."""
        return self._config / "systemd" / "user" / f"{NAME}.service"

    @property
    def desktop_entry(self) -> Path:
        """The entry of desktops without systemd."""
        return self._config / "autostart" / f"{NAME}.desktop"

    @property
    def agent(self) -> Path:
        """The launch agent of macOS."""
        return self.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def _config(self) -> Path:
        return Path(self.environment.get("XDG_CONFIG_HOME") or self.home / ".config")

    def _has_systemd(self) -> bool:
        return self.call(["systemctl", "--user", "show-environment"]).code == 0

    def _systemd(self, command: Sequence[str]) -> str:
        _write(self.unit, unit_text(command))
        self._must(["systemctl", "--user", "daemon-reload"])
        self._must(["systemctl", "--user", "enable", f"{NAME}.service"])
        self._must(["systemctl", "--user", "restart", f"{NAME}.service"])
        return f"systemd runs {self.unit} now and at each login"

    def _autostart(self, command: Sequence[str]) -> str:
        _write(self.desktop_entry, desktop_entry_text(command))
        return f"the desktop starts {self.desktop_entry} at your next login (systemd does not run for this user)"

    def _launchd(self, command: Sequence[str]) -> str:
        _write(self.agent, agent_text(command))
        # An older agent keeps its old command until it is taken out.
        self.call(["launchctl", "bootout", f"gui/{self.uid}/{LABEL}"])
        self._must(["launchctl", "bootstrap", f"gui/{self.uid}", str(self.agent)])
        return f"launchd runs {self.agent} now and at each login"

    def _must(self, command: list[str]) -> None:
        called = self.call(command)
        if called.code != 0:
            raise LoginError(f"`{' '.join(command)}` failed: {plain(called.said, REASON_MAX) or called.code}")


def unit_text(command: Sequence[str]) -> str:
    """A unit of systemd. A browser that a click opened stays when the unit is stopped."""
    return f"""[Unit]
Description=Notices of Freezeline as desktop toasts
PartOf=graphical-session.target
After=graphical-session.target

[Service]
ExecStart={" ".join(_for_systemd(word) for word in command)}
KillMode=process
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2

[Install]
WantedBy=graphical-session.target
"""


def desktop_entry_text(command: Sequence[str]) -> str:
    """An entry of the freedesktop autostart specification."""
    return f"""[Desktop Entry]
Type=Application
Name=Freezeline toasts
Comment=Notices of Freezeline as desktop toasts
Exec={" ".join(_for_desktop(word) for word in command)}
NoDisplay=true
"""


def agent_text(command: Sequence[str]) -> str:
    """A launch agent. launchd starts the program again unless the program ended by itself with code 0."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ProcessType": "Interactive",
    }
    return plistlib.dumps(agent).decode()


def _for_systemd(word: str) -> str:
    """One word of ExecStart: quoted, without specifiers and variables (systemd.service, COMMAND LINES)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _for_desktop(word: str) -> str:
    """One word of Exec: quoted, and escaped once more because the key holds a string (Desktop Entry, the Exec key)."""
    escaped = "".join(f"\\{char}" if char in '\\"`$' else char for char in word).replace("%", "%%")
    return '"' + escaped.replace("\\", "\\\\") + '"'


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def call(command: Sequence[str]) -> Called:
    """Run a command of the desktop."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=30)
    except FileNotFoundError:
        return Called(code=127, said=f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Called(code=124, said="no answer within 30 s")
    return Called(code=done.returncode, said=done.stderr.strip())
