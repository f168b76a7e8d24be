"""Where generated files may stand: below one root, in real directories, never through a symbolic link.

Outputs are named by texts, relative to the root and with `/` between the parts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

MANIFEST = ".freezeline-generated.json"
JOURNAL = ".freezeline-journal.json"
TMP_SUFFIX = ".freezeline-tmp"


class WriteError(Exception):
    """The outputs cannot be written; nothing was changed unless the message says so. Exit code 3."""


def check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that could leave the root or meet our own files. Raises WriteError."""
    for path in paths:
        plain = not {"", ".", ".."} & set(path.split("/"))  # an absolute path begins with an empty part
        if not plain or "\0" in path or path in (MANIFEST, JOURNAL) or path.endswith(TMP_SUFFIX):
            raise WriteError(f"{path!r} is not a path that can be written below the output directory")


def check_places(root: Path, paths: Sequence[str]) -> None:
    """Refuse to write through symbolic links, over directories or below files. Raises WriteError, OSError."""
    for path in paths:
        _check_place(root / path, stat.S_ISREG, "a regular file")
    for directory in parents(paths):
        _check_place(root / directory, stat.S_ISDIR, "a directory")


def _check_place(place: Path, fits: Callable[[int], bool], wanted: str) -> None:
    try:
        mode = place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):  # a file in a directory's place is found at that place
        return
    if stat.S_ISLNK(mode):
        raise WriteError(f"{place}: is a symbolic link; generated files are written only to real ones")
    if not fits(mode):
        raise WriteError(f"{place}: is not {wanted}; move it away")


def parents(paths: Iterable[str]) -> list[str]:
    """The directories that relative paths pass through, each once, parents first."""
    found: set[str] = set()
    for path in paths:
        directory = parent(path)
        while directory and directory not in found:
            found.add(directory)
            directory = parent(directory)
    return sorted(found)


def parent(path: str) -> str:
    """The directory of a relative path; "" for the root."""
    return path.rpartition("/")[0]


def read(path: Path) -> bytes | None:
    """The file's content; None where there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def staged(target: Path) -> Path:
    """Where a target's new content waits: beside it, so that a rename puts it into place."""
    return target.with_name(f".{target.name}{TMP_SUFFIX}")


def os_message(error: OSError, root: Path) -> str:
    """What the system refused, and where; staged files are not named, but their directory."""
    place = Path(os.fsdecode(error.filename)) if error.filename is not None else root
    if place.name.endswith(TMP_SUFFIX):
        place = place.parent
    return f"{place}: {(error.strerror or str(error)).lower()}"
