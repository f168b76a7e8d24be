"""Backups of stores: a folder for each, with a manifest that says what must be in the backup.

A backup appears whole or not at all. `contents` in the manifest are counts and digests of everything in the store, by
part: a table, a database of Redis, a collection.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct

from release.drill.experiment import DrillError

MANIFEST = "manifest.json"
STAMP = "%Y%m%dT%H%M%S.%fZ"


class Part(Struct, frozen=True, kw_only=True):
    """One part of a store: how many rows, keys or records, and a digest of all of them.

    From `gone_from` on, in seconds since 1970, the store itself lets rows of this part expire.
    """

    count: int
    sha256: str
    gone_from: float | None = None


Contents = Mapping[str, Part]


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds, and the state of the store that it holds: the store as it was at `taken_at`."""

    kind: str
    store: str
    taken_at: Annotated[datetime, Meta(tz=True)]
    took_s: float
    contents: Contents


class Restored(Struct, frozen=True, kw_only=True):
    """What a restore found. `notes` tell what people should know although everything is whole."""

    contents: Contents
    notes: tuple[str, ...] = ()


class Store(Protocol):
    """One store that is backed up and restored. Every method blocks, and raises DrillError."""

    @property
    def kind(self) -> str:
        """`sqlite`, `redis` or `chromadb`."""

    @property
    def name(self) -> str:
        """The store's name among the others."""

    def back_up(self, folder: Path) -> Contents:
        """Copy the store into `folder`, and say what must be in the copy."""

    def restore(self, folder: Path, scratch: Path) -> Restored:
        """Restore the copy into `scratch`, check it by the store's own means, and say what is in it."""


class Backup(Struct, frozen=True, kw_only=True):
    """A backup on disk."""

    folder: Path
    manifest: Manifest


def take(store: Store, directory: Path, *, clock: Callable[[], datetime], keep: int) -> Backup:
    """Back a store up below `directory`, and remove all but the newest `keep` backups. Raises DrillError or OSError."""
    place = directory / store.name
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun = clock()
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place))
    try:
        contents = store.back_up(draft)
        manifest = Manifest(
            kind=store.kind,
            store=store.name,
            taken_at=begun,
            took_s=(clock() - begun).total_seconds(),
            contents=contents,
        )
        (draft / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        _sync(draft)
        folder = place / begun.astimezone(UTC).strftime(STAMP)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    for old in _folders(place)[:-keep]:
        shutil.rmtree(old)
    return Backup(folder=folder, manifest=manifest)


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _folders(place: Path) -> list[Path]:
    found = place.iterdir() if place.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))


def newest(store: Store, directory: Path) -> Backup | None:
    """The newest backup of a store. Raises DrillError if its manifest cannot be read."""
    folders = _folders(directory / store.name)
    if not folders:
        return None
    path = folders[-1] / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise DrillError(f"{path} is no manifest: {error}") from error
    if (manifest.kind, manifest.store) != (store.kind, store.name):
        raise DrillError(f"{path} is of the {manifest.kind} store {manifest.store}")
    return Backup(folder=folders[-1], manifest=manifest)


def differences(wanted: Contents, found: Contents, *, now: float) -> list[str]:
    """What differs, one sentence for each part. What may have expired by `now` is not compared."""
    wanted, found = _kept(wanted, now), _kept(found, now)
    said = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    said += [f"{name} was not in the backup" for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name].count != found[name].count:
            said.append(f"{name} has {found[name].count} instead of {wanted[name].count}")
        elif wanted[name] != found[name]:
            said.append(f"{name} has other contents")
    return said


def _kept(contents: Contents, now: float) -> Contents:
    return {name: part for name, part in contents.items() if part.gone_from is None or part.gone_from > now}


def plain_json(value: object) -> str:
    """A value as JSON for a digest: the same text for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
