"""Writes a file whole or not at all: whoever reads the file sees the old text or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Put a new file in the place of the old one, with its mode. Raises OSError, and then nothing has changed.

    A link keeps its place, and its target changes. A device or a pipe, such as /dev/stdout, is written to.
    """
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        path.write_text(text, "utf-8")
        return
    target = path.resolve()
    mode = target.stat().st_mode & 0o7777 if target.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
