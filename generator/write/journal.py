"""Changes many files as one step: stage, journal, rename; and what an interrupted step left is completed or undone.

1. The journal is written with phase `staging`, then every new content is written beside its target and synced.
2. The journal is replaced by one with phase `commit`: from here on the step happens, whatever dies.
3. Targets are renamed into place, stale files removed, the journal removed.

The next run that finds a journal in phase `staging` throws the staged files away; in phase `commit` it completes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from generator.text.digest import digest
from generator.write.places import (
    JOURNAL,
    MANIFEST,
    WriteError,
    check_paths,
    check_places,
    os_message,
    parent,
    parents,
    read,
    staged,
)

_SYNC_EACH_AT_MOST = 64
"""Up to so many files are synced one by one. A sync of everything waits for other programs too."""


class Disk:
    """The operations that change anything, so that a test can end the process before any of them."""

    def make_dir(self, path: Path) -> None:
        """Create one directory."""
        path.mkdir()

    def write_new(self, path: Path, data: bytes, mode: int | None) -> None:
        """Create a file with this content; nothing may be there. `mode` None leaves it to the umask."""
        with path.open("xb") as stream:
            if mode is not None:
                path.chmod(mode)
            stream.write(data)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`, at once."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        path.unlink(missing_ok=True)

    def remove_dir(self, path: Path) -> None:
        """Remove a directory that may be gone already; it stays where it holds anything."""
        try:
            path.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise

    def sync(self, paths: Sequence[Path]) -> None:
        """Make the contents of files and the entries of directories durable."""
        if len(paths) > _SYNC_EACH_AT_MOST:
            os.sync()  # one wait for all: a file system waits for its own journal at each single sync
            return
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class Plan(Struct, frozen=True, kw_only=True, tag_field="format", tag="freezeline.journal/1"):
    """The journal's content; paths are relative to the root."""

    phase: Literal["staging", "commit"]
    moves: dict[str, str]  # target → digest of what is staged for it
    removals: tuple[str, ...]
    made_dirs: tuple[str, ...]  # parents first


Kept = TypeVar("Kept", bound=Struct)


def encode(content: Struct) -> bytes:
    """JSON that diffs well: sorted keys, one entry a line."""
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1) + b"\n"


def read_kept(path: Path, kind: type[Kept]) -> Kept | None:
    """One of our own files; None where there is none. Raises WriteError where it is not what it should be."""
    if path.is_symlink():
        raise WriteError(f"{path}: is a symbolic link; remove it")
    data = read(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise WriteError(f"{path}: damaged ({error}); restore or remove it") from error


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """The root, made where it is missing, held against a second run. Raises WriteError, also for the body's OSError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(root, descriptor)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise WriteError(os_message(error, root)) from error


def _lock(root: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WriteError(f"{root}: another run is writing here; run it again afterwards") from error


# -- carrying out a step


def apply(
    root: Path,
    contents: Mapping[str, bytes],
    removals: Iterable[str],
    disk: Disk,
    digests: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write these contents and remove these files, or change nothing. `digests` are those that are known already.

    Raises OSError. Where that comes from a rename, after the commit, the journal stays and the next run completes the
    step.
    """
    moves = {path: digests.get(path) or digest(data) for path, data in contents.items()}
    made = tuple(path for path in parents(contents) if not (root / path).exists())
    plan = Plan(phase="staging", moves=moves, removals=tuple(removals), made_dirs=made)
    journal = root / JOURNAL
    try:
        # Not synced: only a process that dies needs it. A machine that dies leaves files of a name that is overwritten.
        _stage_file(journal, encode(plan), disk)
        disk.rename(staged(journal), journal)
        for directory in plan.made_dirs:
            disk.make_dir(root / directory)
        for path, data in contents.items():
            _stage_file(root / path, data, disk)
        plan = replace(plan, phase="commit")
        _stage_file(journal, encode(plan), disk)
        disk.sync([*(staged(root / path) for path in (*contents, JOURNAL)), *_directories(root, plan)])
        disk.rename(staged(journal), journal)
        disk.sync([root])
    except OSError:
        _undo(root, plan, disk)
        raise
    _complete(root, plan, disk)


def _stage_file(target: Path, data: bytes, disk: Disk) -> None:
    """Write what is to replace the target, with the target's mode; what an earlier attempt at that left goes first."""
    mode = None
    with suppress(FileNotFoundError):  # a new file has the mode that the umask leaves
        mode = stat.S_IMODE(target.stat().st_mode)
    waiting = staged(target)
    disk.remove(waiting)
    disk.write_new(waiting, data, mode)


def _directories(root: Path, plan: Plan) -> list[Path]:
    """Every directory that the plan changes, and the parents of those it makes."""
    found = {parent(path) for path in (*plan.moves, *plan.removals, *plan.made_dirs)}
    return [root / directory for directory in sorted(found)]


def _complete(root: Path, plan: Plan, disk: Disk) -> None:
    """Carry out a committed plan; repeatable. The manifest moves last: it never names what is not there."""
    for path in sorted(plan.moves, key=lambda path: (path == MANIFEST, path)):
        target = root / path
        with suppress(FileNotFoundError):  # moved before the interruption
            disk.rename(staged(target), target)
    for path in plan.removals:
        disk.remove(root / path)
    for directory in reversed(parents(plan.removals)):
        disk.remove_dir(root / directory)
    disk.sync([directory for directory in _directories(root, plan) if directory.exists()])
    disk.remove(root / JOURNAL)
    disk.sync([root])


def _undo(root: Path, plan: Plan, disk: Disk) -> None:
    """Throw staged files away; repeatable."""
    if plan.phase == "commit":  # it may be on the disk already, and must not outlive what it would complete
        disk.remove(root / JOURNAL)
    for path in plan.moves:
        disk.remove(staged(root / path))
    for path in reversed(plan.made_dirs):
        disk.remove_dir(root / path)
    disk.remove(staged(root / JOURNAL))
    disk.remove(root / JOURNAL)
    disk.sync([root])


# -- recovering


def recover_locked(root: Path, disk: Disk) -> bool:
    """Complete or undo what an interrupted run left; whether there was anything. Raises WriteError, OSError."""
    plan = read_kept(root / JOURNAL, Plan)
    if plan is None:
        disk.remove(staged(root / JOURNAL))
        return False
    check_paths(path for path in (*plan.moves, *plan.removals, *plan.made_dirs) if path != MANIFEST)
    check_places(root, (*plan.moves, *plan.removals))
    if plan.phase == "staging":
        _undo(root, plan, disk)
        return True
    for path, wanted in plan.moves.items():
        target = root / path
        waiting = read(staged(target))
        there = waiting if waiting is not None else read(target)
        if there is None or digest(there) != wanted:
            hint = f"remove {root / JOURNAL} and run generate again"
            raise WriteError(f"{target}: changed since a run was interrupted; {hint}")
    _complete(root, plan, disk)
    return True
