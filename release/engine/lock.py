"""One engine per service: a lock file beside the service's database, held for the life of the process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class LockedError(Exception):
    """Another engine runs the service's rollouts."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock. Raises LockedError at once where another process holds it. A kill frees the lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(f"{path}: another engine runs") from error
        yield
    finally:
        os.close(fd)
