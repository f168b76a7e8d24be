"""A machine of its own for the README: users, directories, a network and processes that nobody else sees.

`unshare` gives namespaces for mounts, network and processes. Everything that the README's commands write then lies in
memory, and ends with the last process.
"""

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

USERS = {"reader": 4711, "prometheus": 4712, "alertmanager": 4713, "passerby": 4714}
HOME = Path("/home/reader")
SHIMS = Path("/home/shims")
SUDO = Path("/home/sudo.sock")
FRESH = ("/opt", "/var/lib", "/home")
"""Directories that begin empty, but for what the tools need."""


def make(scratch: Path, needed: Iterable[Path]) -> None:
    """Turn the namespaces of this process into the machine. Other users can search the way to every needed path."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    paths = [path.resolve() for path in needed]
    closed = {parent for path in paths for parent in path.parents if not parent.stat().st_mode & stat.S_IXOTH}
    tops = {top for top in closed if not closed & set(top.parents)} | set(map(Path, FRESH))
    for number, top in enumerate(sorted(tops)):
        _replace(top, scratch / str(number), [path for path in paths if path.is_relative_to(top)])
    _copy_etc(scratch / "etc")
    HOME.mkdir(mode=0o700)
    os.chown(HOME, USERS["reader"], USERS["reader"])


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def _replace(top: Path, kept: Path, needed: Sequence[Path]) -> None:
    """Put an empty directory in the place of `top`, and the needed paths into the empty directory."""
    kept.mkdir()
    _mount("--bind", top, kept)
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", top)
    for path in needed:
        path.mkdir(parents=True)
        _mount("--bind", kept / path.relative_to(top), path)


def _copy_etc(kept: Path) -> None:
    shutil.copytree("/etc", kept, symlinks=True)
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/etc")
    shutil.copytree(kept, "/etc", symlinks=True, dirs_exist_ok=True)
    for name in ("prometheus", "alertmanager"):
        shutil.rmtree(Path("/etc", name), ignore_errors=True)
    for file, line in (("passwd", "{name}:x:{id}:{id}::{home}:/bin/sh\n"), ("group", "{name}:x:{id}:\n")):
        path = Path("/etc", file)
        own = [text for text in path.read_text().splitlines(keepends=True) if text.partition(":")[0] not in USERS]
        path.write_text("".join(own))
        with path.open("a") as lines:
            lines.writelines(line.format(name=name, id=uid, home=Path("/home", name)) for name, uid in USERS.items())


def as_user(name: str, command: Sequence[str | Path]) -> list[str]:
    """The command, run by a user without any privilege."""
    user = pwd.getpwnam(name)
    drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--inh-caps=-all"]
    return [*drop, "--no-new-privs", *map(str, command)]


SHIM = f"""#!{sys.executable}
import json, os, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect("{SUDO}")
asked.sendall(json.dumps({{"argv": sys.argv[1:], "cwd": os.getcwd()}}).encode() + b"\\n")
said = json.loads(asked.makefile("rb").read())
sys.stdout.write(said["out"])
sys.exit(said["code"])
"""


def offer_sudo(environment: Mapping[str, str], reloads: Mapping[str, int]) -> None:
    """Let the reader use `sudo`. `systemctl reload NAME` sends SIGHUP to the process of this name in `reloads`."""
    SHIMS.mkdir()
    (SHIMS / "sudo").write_text(SHIM)
    (SHIMS / "sudo").chmod(0o755)
    asked = socket.socket(socket.AF_UNIX)
    asked.bind(str(SUDO))
    SUDO.chmod(0o666)
    asked.listen()

    def serve() -> None:
        while True:
            connection, _ = asked.accept()
            with connection, connection.makefile("rwb") as stream:
                wanted = json.loads(stream.readline())
                stream.write(json.dumps(_as_root(wanted, environment, reloads)).encode())

    threading.Thread(target=serve, daemon=True).start()


def _as_root(wanted: Mapping[str, Any], environment: Mapping[str, str], reloads: Mapping[str, int]) -> dict[str, Any]:
    argv = wanted["argv"]
    if argv[:2] == ["systemctl", "reload"]:
        for name in argv[2:]:
            os.kill(reloads[name], 1)
        return {"code": 0, "out": ""}
    done = subprocess.run(
        argv,
        cwd=wanted["cwd"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return {"code": done.returncode, "out": done.stdout}
