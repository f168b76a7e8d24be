"""Spec files on disk: found in a fixed order, read once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class SpecFilesError(Exception):
    """The named specs cannot be read."""


def find(paths: Iterable[str]) -> list[str]:
    """Each named file, and every *.yaml and *.yml directly in a named folder, sorted. Raises SpecFilesError.

    Artefacts name a spec by its path, so that `./slos//a.yaml` becomes `slos/a.yaml`.
    """
    found: list[str] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = sorted(str(each) for each in path.iterdir() if each.suffix in (".yaml", ".yml") and each.is_file())
            if not inside:
                raise SpecFilesError(f"{text}: no *.yaml file in this folder")
            found += inside
        elif path.is_file():
            found.append(str(path))
        else:
            raise SpecFilesError(f"{text}: no such file or folder")
    return list(dict.fromkeys(found))


def read(paths: Iterable[str | Path]) -> list[tuple[str, bytes]]:
    """(name as shown, content) of each file. Raises SpecFilesError."""
    files = []
    for path in paths:
        try:
            files.append((str(path), Path(path).read_bytes()))
        except OSError as error:
            raise SpecFilesError(f"{path}: {error.strerror}") from error
    return files


def beside(found: Iterable[str]) -> list[tuple[str, bytes]]:
    """(name, content) of the other *.yaml and *.yml files in the folders of these files. Raises SpecFilesError."""
    named = {Path(path).resolve() for path in found}
    folders = dict.fromkeys(Path(path).parent for path in found)
    return read(
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in (".yaml", ".yml") and path.is_file() and path.resolve() not in named
    )
