"""Spec files on disk: found in a fixed order, read once. Paths are texts: `pathlib` takes long to import."""

from __future__ import annotations

import os
from collections.abc import Iterable


class SpecFilesError(Exception):
    """The named specs cannot be read."""


def find(paths: Iterable[str]) -> list[str]:
    """Each named file, and every *.yaml and *.yml directly in a named folder, sorted. Raises SpecFilesError."""
    found: list[str] = []
    for text in paths:
        path = _plain(text)
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if os.path.splitext(name)[1] in (".yaml", ".yml"))
            places = names if path == "." else [f"{path.rstrip('/')}/{name}" for name in names]
            inside = [place for place in places if os.path.isfile(place)]
            if not inside:
                raise SpecFilesError(f"{text}: no *.yaml file in this folder")
            found += inside
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise SpecFilesError(f"{text}: no such file or folder")
    return list(dict.fromkeys(found))


def _plain(path: str) -> str:
    """The same path without `./` and doubled slashes, so that artefacts name a spec alike however it was called."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts) or "."


def read(paths: Iterable[str | os.PathLike[str]]) -> list[tuple[str, bytes]]:
    """(name as shown, content) of each file. Raises SpecFilesError."""
    files = []
    for path in paths:
        name = os.fspath(path)
        try:
            with open(name, "rb", buffering=0) as stream:
                files.append((name, stream.read()))
        except OSError as error:
            raise SpecFilesError(f"{name}: {error.strerror}") from error
    return files


def default_scope(path: str) -> str:
    """The name of the output set: of the folder that holds the specs."""
    return os.path.basename(os.path.dirname(os.path.realpath(path))) or "slos"
