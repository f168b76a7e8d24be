"""Files that decide what is run: nobody but root and the receiver's user may be able to change them."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnsafeFileError(Exception):
    """A policy or a command could be changed by somebody else, or is not there."""


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise UnsafeFileError where a file is missing, not regular, or not only ours (or root's) to write."""
    try:
        about = Path(path).stat()
    except OSError as error:
        raise UnsafeFileError(f"{os.fspath(path)}: {error.strerror}") from error
    if not stat.S_ISREG(about.st_mode):
        raise UnsafeFileError(f"{os.fspath(path)}: not a regular file")
    if about.st_uid not in {0, os.geteuid()}:
        raise UnsafeFileError(f"{os.fspath(path)}: belongs to neither root nor the receiver's user")
    if stat.S_IMODE(about.st_mode) & 0o022:
        raise UnsafeFileError(f"{os.fspath(path)}: group or others may write it")


def check_command(program: str) -> None:
    """As `check_file`, and it must be executable by us. `program` is an absolute path."""
    check_file(program)
    if not os.access(Path(program), os.X_OK):
        raise UnsafeFileError(f"{program}: not executable")
