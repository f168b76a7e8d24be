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
    on_disk = [path for path in found if path != STDIN]
    named = {Path(path).resolve() for path in on_disk}
    folders = dict.fromkeys(Path(path).parent for path in on_disk)
    return read(
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in (".yaml", ".yml") and path.is_file() and path.resolve() not in named
    )


def output_root(specs: Sequence[str]) -> str:
    """The nearest folder above the first spec that an earlier run wrote into; `.` if there is none."""
    if specs[0] == STDIN:
        return "."
    folder = Path(specs[0]).parent.resolve()
    for root in (folder, *folder.parents):
        if (root / MANIFEST).is_file():
            return os.path.relpath(root)
    return "."


def name_below(root: str, spec: str) -> str:
    """How artefacts name a spec: by the path below the root. The name does not depend on where the command runs.

    A spec outside the root is named by its folder and its file.
    """
    if spec == STDIN_NAME:
        return spec
    file = Path(spec).parent.resolve() / Path(spec).name
    top = Path(root).resolve()
    return str(file.relative_to(top)) if file.is_relative_to(top) else f"{file.parent.name}/{file.name}"


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
