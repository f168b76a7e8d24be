"""Whether a freeze flag could be written now, and whether other users would see the flag.

A pipeline runs as another user. If this user may not search one of the flag's parent directories, `test -e` answers
"not frozen" during a freeze. Nothing here writes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from receiver.act import flagfile

SEARCH_BY_OTHERS = stat.S_IXOTH


def hidden(flag: Path) -> str:
    """Why other users cannot see a flag; "" if they can. Directories that do not exist yet are not looked at."""
    why = unsearchable(flag)
    return f"{why}, so a pipeline of theirs sees no flag" if why else ""


def unsearchable(path: Path) -> str:
    """The directory above a file that other users cannot search; "" if there is none."""
    for parent in _existing_parents(path):
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & SEARCH_BY_OTHERS:
            return f"other users cannot search {parent} (mode {mode:04o})"
    return ""


def obstacle(flag: Path) -> str:
    """Why the flag could not be written, as far as looking tells; "" if nothing stands in the way."""
    try:
        about = flag.lstat()
    except (FileNotFoundError, NotADirectoryError):
        about = None
    except OSError as error:
        return f"{flag}: {error.strerror}"
    if about is not None and stat.S_ISDIR(about.st_mode):
        return f"{flag} is a directory"
    if not os.path.lexists(flag.parent):
        *_, nearest = _existing_parents(flag)
        return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{flag.parent} is missing, and cannot be made"
    try:
        with flagfile.directory(flag, make=False):
            return ""
    except flagfile.FlagDirectoryError as error:
        return str(error)
    except OSError as error:
        return f"{flag.parent}: {error.strerror}"


def missing(flags: Iterable[str]) -> frozenset[str]:
    """The flags among these that are not on disk now."""
    return frozenset(flag for flag in flags if not os.path.lexists(flag))


def _existing_parents(flag: Path) -> Iterator[Path]:
    """The parents of a flag from the root down, as far as they exist and links lead somewhere."""
    for parent in reversed(flag.parents):
        try:
            real = parent.resolve(strict=True)
        except OSError:
            return
        if real != parent:
            yield from reversed(real.parents)
        yield real
