"""A machine of its own: this machine's files below another root, where every change stays in memory.

`unshare` gives a namespace for mounts, and an overlay shows this machine's files there. What a package's scripts write
is gone with the namespace. Only root can make such a machine.
"""

import contextlib
import os
import pwd
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

RUN_DEADLINE_S = 300
READY = "ready"


class Machine(Struct, frozen=True, kw_only=True):
    """The namespace of the process `holder`, whose root lies at `root` in this namespace."""

    holder: int
    root: Path

    def argv(self, *command: str | Path) -> list[str]:
        """The words that run a command there as root."""
        return [*self._inside(), "chroot", str(self.root), *map(str, command)]

    def run(self, *command: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command there as root, which must end with this exit code."""
        done = subprocess.run(
            self.argv(*command), capture_output=True, text=True, timeout=RUN_DEADLINE_S, check=False, cwd="/"
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def sandboxed(self, writable: Sequence[str], user: str, *command: str | Path) -> list[str]:
        """The words that run a command as a user where everything is read-only, but for some folders.

        systemd does the same by `ProtectSystem=strict`, `ProtectHome`, `NoNewPrivileges` and `CapabilityBoundingSet=`.
        """
        uid = self.run("id", "-u", user).stdout.strip()
        gid = self.run("id", "-g", user).stdout.strip()
        drop = [f"--reuid={uid}", f"--regid={gid}", "--init-groups", "--no-new-privs", "--bounding-set=-all"]
        lines = [f"mount --bind {self.root}{path} {self.root}{path}" for path in writable]
        lines += [f"mount -t tmpfs -o ro,mode=0 tmpfs {self.root}{path}" for path in ("/home", "/root")]
        lines += [f"mount -o remount,bind,ro {self.root}"]
        there = ["chroot", str(self.root), "setpriv", *drop, "--inh-caps=-all", *map(str, command)]
        script = " && ".join([*lines, f"exec {shlex.join(there)}"])
        return [*self._inside(), "unshare", "--mount", "sh", "-c", script]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file there that belongs to root."""
        script = f"mkdir -p {shlex.quote(str(Path(path).parent))} && cat > {shlex.quote(path)} && chmod {mode:o} {path}"
        argv = self.argv("sh", "-c", script)
        subprocess.run(argv, input=text, text=True, timeout=RUN_DEADLINE_S, check=True, cwd="/")

    def _inside(self) -> list[str]:
        return ["nsenter", f"--target={self.holder}", "--mount", "--net"]


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine, until the end of the block."""
    root = folder / "root"
    steps = [
        f"mount -t tmpfs tmpfs {folder}",
        f"mkdir {folder}/changes {folder}/work {root}",
        f"mount -t overlay overlay -o lowerdir=/,upperdir={folder}/changes,workdir={folder}/work {root}",
        *(f"mount --rbind /{name} {root}/{name}" for name in ("proc", "dev", "sys")),
        f"echo {READY}",
        "read -r _",
    ]
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join(steps)]
    with _held(argv) as holder:
        yield Machine(holder=holder, root=root)


@contextlib.contextmanager
def offline(one: Machine) -> Iterator[Machine]:
    """The same machine with a loopback of its own and no other network, until the end of the block."""
    steps = ["ip link set lo up", f"echo {READY}", "read -r _"]
    argv = ["nsenter", f"--target={one.holder}", "--mount", "unshare", "--net", "sh", "-c", " && ".join(steps)]
    with _held(argv) as holder:
        yield Machine(holder=holder, root=one.root)


@contextlib.contextmanager
def _held(argv: Sequence[str]) -> Iterator[int]:
    """The process that holds a namespace while the block runs."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == f"{READY}\n"
        try:
            yield holder.pid
        finally:
            holder.stdin.close()  # the shell's `read` ends


def why_not() -> str:
    """Why there can be no such machine here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root, for a namespace of mounts with all users"
    if any(user.pw_name == "freezeline" for user in pwd.getpwall()):
        return "this machine has a user freezeline already"
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "needs the right to make a namespace of mounts"
