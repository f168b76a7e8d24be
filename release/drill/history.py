"""Appends rehearsals to their history, so that no crash and no second drill leaves half a line in the middle."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from receiver.rehearsals import Rehearsal, encode


def append(path: Path, rehearsal: Rehearsal) -> None:
    """Add one line, durably. Half a line that a crash left at the end is removed first. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        end = _whole_bytes(fd)
        os.ftruncate(fd, end)
        line = encode(rehearsal)
        written = os.pwrite(fd, line, end)
        if written != len(line):
            os.ftruncate(fd, end)
            raise OSError(f"{path}: no space for a line of the history")
        os.fsync(fd)
    finally:
        os.close(fd)


def _whole_bytes(fd: int) -> int:
    """How many bytes of the file are whole lines."""
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0).rfind(b"\n") + 1
