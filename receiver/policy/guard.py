"""Guards files that decide which programs run: only root and the receiver's user may be able to change them."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnsafeFileError(Exception):
    """A policy or a command is missing, or another user could change the file."""


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise UnsafeFileError for a file that is missing, not regular, or writable by others than root and us."""
    try:
        about = Path(path).stat()
    except OSError as error:
        raise UnsafeFileError(f"{os.fspath(path)}: {error.strerror}") from error
    if not stat.S_ISREG(about.st_mode):
        raise UnsafeFileError(f"{os.fspath(path)}: not a regular file")
    if about.st_uid not in {0, os.geteuid()}:
        raise UnsafeFileError(f"{os.fspath(path)}: the owner must be root or the receiver's user")
    if stat.S_IMODE(about.st_mode) & 0o022:
        raise UnsafeFileError(f"{os.fspath(path)}: the group or other users can write this file")


def check_command(program: str) -> None:
    """Check `program`, an absolute path, as `check_file` does. Our user must also be able to execute the file."""
    check_file(program)
    if not os.access(Path(program), os.X_OK):
        raise UnsafeFileError(f"{program}: not executable")
