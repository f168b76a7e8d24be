"""The lock on a state directory: one receiver at a time, and no move of its journal meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class StateInUseError(Exception):
    """Another receiver has the directory."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """The state directory, made if need be, and locked for this process. Raises StateInUseError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise StateInUseError(f"{directory}: another receiver runs with this state") from error
    try:
        yield
    finally:
        os.close(fd)
