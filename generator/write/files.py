"""Spec files on disk: found in a fixed order, read once; and what an earlier run wrote from them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from generator.write.places import MANIFEST

STDIN = "-"
STDIN_NAME = "stdin"
"""The name of a spec that comes from standard input, until the spec names itself."""

# The rules about Freezeline itself, as files and as Kubernetes objects.
_SCOPED_FILES = ("rules/freezeline.rules.yml", "rules/operator/freezeline.yaml")
_SCOPE = r"(?m)^ +scope: (?:'((?:[^']|'')*)'|(\S+))$"


class SpecFilesError(Exception):
    """The named specs cannot be read."""


def find(paths: Iterable[str]) -> list[str]:
    """Each named file, and every *.yaml and *.yml directly in a named folder, sorted. Raises SpecFilesError.

    `-` stands for standard input.

    Artefacts name a spec by its path, so that `./slos//a.yaml` becomes `slos/a.yaml`.
    """
    found: list[str] = []
    for text in paths:
        path = Path(text)
        if text == STDIN:
            found.append(text)
        elif path.is_dir():
            inside = sorted(str(each) for each in path.iterdir() if each.suffix in (".yaml", ".yml") and each.is_file())
            if not inside:
                raise SpecFilesError(f"{text}: no *.yaml file in this folder")
            found += inside
        elif path.is_file():
            found.append(str(path))
        else:
            raise SpecFilesError(f"{text}: no such file or folder")
    return list(dict.fromkeys(found))


def read(paths: Iterable[str | Path], stdin: BinaryIO | None = None) -> list[tuple[str, bytes]]:
    """(name as shown, content) of each file; `-` is read from `stdin`. Raises SpecFilesError."""
    files = []
    for path in paths:
        try:
            if stdin is not None and path == STDIN:
                files.append((STDIN_NAME, stdin.read()))
            else:
                files.append((str(path), Path(path).read_bytes()))
        except OSError as error:
            raise SpecFilesError(f"{path}: {error.strerror}") from error
    return files


def beside(found: Iterable[str]) -> list[tuple[str, bytes]]:
    """(name, content) of the other *.yaml and *.yml files in the folders of these files. Raises SpecFilesError."""
    on_disk = [Path(path) for path in found if path != STDIN]
    named = {_identity(path) for path in on_disk}
    return read(
        path
        for folder in dict.fromkeys(path.parent for path in on_disk)
        for path in sorted(folder.iterdir())
        if path.suffix in (".yaml", ".yml") and path.is_file() and _identity(path) not in named
    )


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode: the same for a file, for links to it, and for every way to write its path."""
    found = path.stat()
    return found.st_dev, found.st_ino


def output_root(specs: Sequence[str]) -> str:
    """The nearest folder above the first spec that an earlier run wrote into; `.` if there is none."""
    if specs[0] == STDIN:
        return "."
    folder = Path(specs[0]).parent.resolve()
    for root in (folder, *folder.parents):
        if (root / MANIFEST).is_file():
            return os.path.relpath(root)
    return "."


def names_below(root: str, specs: Iterable[str]) -> dict[str, str]:
    """How artefacts name each spec: by the path below the root. The name does not depend on where the command runs.

    A spec outside the root is named by its folder and its file.
    """
    top = os.path.realpath(root)
    names = {STDIN_NAME: STDIN_NAME}
    folders: dict[str, str] = {}
    for spec in specs:
        folder, name = os.path.split(spec)
        if folder not in folders:
            folders[folder] = _folder_below(top, os.path.realpath(folder))
        names.setdefault(spec, folders[folder] + name)
    return names


def _folder_below(top: str, folder: str) -> str:
    """A folder before the name of a file in it: its path below `top`, or its last part if it stands elsewhere."""
    path = Path(folder)
    below = path.relative_to(top).as_posix() if path.is_relative_to(top) else path.name
    return "" if below == "." else f"{below}/"


def earlier_scope(root: str) -> str | None:
    """The scope in the generated files of a folder; None if there are no such files. Raises OSError.

    A run with another scope would start all recorded series anew.
    """
    for name in _SCOPED_FILES:
        path = Path(root, name)
        if path.is_file():
            match = re.search(_SCOPE, path.read_text(encoding="utf-8", errors="replace"))
            if match is not None:
                quoted, plain = match.groups()
                return str(plain) if plain is not None else str(quoted).replace("''", "'")
    return None
