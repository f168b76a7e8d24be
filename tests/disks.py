"""Small file systems that tests fill, and places that other users can see."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.run import process_tree
from tests.waiting import wait_until

LEFT_S = 60.0  # longer than the time limit of each command in these directories


@contextlib.contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that other users may search. pytest's own directories are private.

    A runner outlives its receiver and writes to the end, so the directory is removed after the last runner has ended.
    """
    path = Path(tempfile.mkdtemp(prefix="freezeline-test-")).resolve()
    path.chmod(0o755)
    try:
        yield path
    finally:
        wait_until(lambda: not named_by(path), LEFT_S, f"the last process that was told of {path} ends")
        shutil.rmtree(path)


def named_by(path: Path) -> list[int]:
    """Processes whose command line names a path. A runner's names the directory of its run; Linux only."""
    found = []
    for process in process_tree.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # The process may end while it is looked at.
            if os.fsencode(path) in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                found.append(process.pid)
    return found


@contextlib.contextmanager
def small_disk(path: Path, *, kib: int) -> Iterator[Path]:
    """A file system in memory with this much space, mounted on `path`. Skips where the machine mounts none."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0755", "tmpfs", str(path)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no small disk: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(directory: Path) -> Path:
    """Take all space that is left. Removing the answer gives the space back."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return ballast


def grow(mount: Path, *, kib: int) -> None:
    """Give a small disk more space."""
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(mount)], check=True)
