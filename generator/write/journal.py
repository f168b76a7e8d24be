"""Changes many files as one step: stage, journal, rename; and what an interrupted step left is completed or undone.

1. The journal is written with phase `staging`, then every new content is written beside its target and synced.
2. The journal is replaced by one with phase `commit`: from here on the step happens, whatever dies.
3. Targets are renamed into place, stale files removed, the journal removed.

The next run that finds a journal in phase `staging` throws the staged files away; in phase `commit` it completes it.
Paths are texts here: `pathlib` takes long to import, and for thousands of files to use.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from generator.text import json_text
from generator.text.digest import digest

MANIFEST = ".freezeline-generated.json"
JOURNAL = ".freezeline-journal.json"
FORMAT = "freezeline.journal/1"
TMP_SUFFIX = ".freezeline-tmp"
_SYNC_EACH_AT_MOST = 32


class WriteError(Exception):
    """The outputs cannot be written; nothing was changed unless the message says so. Exit code 3."""


class Disk:
    """The operations that change anything, so that a test can end the process before any of them."""

    def make_dir(self, path: str) -> None:
        """Create one directory."""
        os.mkdir(path)

    def write_new(self, path: str, data: bytes, mode: int | None) -> None:
        """Create a file with this content; it must not exist. `mode` None leaves it to the umask."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            if mode is not None:
                os.fchmod(descriptor, mode)
            stream.write(data)

    def rename(self, source: str, target: str) -> None:
        """Put `source` in the place of `target`, at once."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """Remove a file that may be gone already."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def remove_dir(self, path: str) -> None:
        """Remove an empty directory that may be gone already."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return

    def sync(self, paths: Sequence[str]) -> None:
        """Make the contents of files and the entries of directories durable."""
        if len(paths) > _SYNC_EACH_AT_MOST:
            os.sync()  # one wait for all instead of thousands
            return
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class Plan(Struct, frozen=True, kw_only=True):
    """The journal's content; paths are relative to the root."""

    phase: str  # "staging" or "commit"
    moves: Mapping[str, str]  # target → digest of what is staged for it
    removals: tuple[str, ...]
    made_dirs: tuple[str, ...]  # parents first

    def encode(self) -> bytes:
        """The journal's bytes."""
        return json_bytes(
            {
                "format": FORMAT,
                "phase": self.phase,
                "moves": dict(self.moves),
                "removals": list(self.removals),
                "made_dirs": list(self.made_dirs),
            }
        )


def json_bytes(content: Mapping[str, object]) -> bytes:
    """JSON that diffs well: sorted keys, one entry a line."""
    return (json_text.text(content, indent=1, sort_keys=True) + "\n").encode()


def read(path: str) -> bytes | None:
    """The file's content; None where there is none."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_json(path: str, wanted_format: str) -> dict[str, Any] | None:
    """One of our own files; None where there is none. Raises WriteError where it is not what it should be."""
    if os.path.islink(path):
        raise WriteError(f"{path}: is a symbolic link; remove it")
    data = read(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
    except ValueError as error:
        raise WriteError(f"{path}: damaged ({error}); restore or remove it") from error
    if not isinstance(content, dict) or content.get("format") != wanted_format:
        raise WriteError(f"{path}: its `format` is not {wanted_format}; restore or remove it")
    return content


def string_map(content: object) -> dict[str, str] | None:
    """The content as a mapping of texts to texts; None where it is something else."""
    if isinstance(content, dict) and all(isinstance(text, str) for pair in content.items() for text in pair):
        return dict(content)
    return None


def check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that could leave the root or meet our own files. Raises WriteError."""
    for path in paths:
        plain = not {"", ".", ".."} & set(path.split("/"))  # an absolute path begins with an empty part
        if not plain or "\0" in path or path in (MANIFEST, JOURNAL) or path.endswith(TMP_SUFFIX):
            raise WriteError(f"{path!r} is not a path that can be written below the output directory")


def parents(paths: Iterable[str]) -> list[str]:
    """The directories that relative paths pass through, each once, parents first."""
    found: set[str] = set()
    for path in paths:
        directory = os.path.dirname(path)
        while directory and directory not in found:
            found.add(directory)
            directory = os.path.dirname(directory)
    return sorted(found)


def check_places(root: str, paths: Sequence[str]) -> None:
    """Refuse to write through symbolic links, over directories or below files. Raises WriteError, OSError."""
    for path in paths:
        _check_place(f"{root}/{path}", stat.S_ISREG, "a regular file")
    for directory in parents(paths):
        _check_place(f"{root}/{directory}", stat.S_ISDIR, "a directory")


def _check_place(place: str, fits: Callable[[int], bool], wanted: str) -> None:
    try:
        mode = os.lstat(place).st_mode
    except (FileNotFoundError, NotADirectoryError):  # a file in a directory's place is found at that place
        return
    if stat.S_ISLNK(mode):
        raise WriteError(f"{place}: is a symbolic link; generated files are written only to real ones")
    if not fits(mode):
        raise WriteError(f"{place}: is not {wanted}; move it away")


def os_message(error: OSError, root: str) -> str:
    """What the system refused, and where; staged files are not named, but their directory."""
    place = os.fsdecode(error.filename) if error.filename is not None else root
    if place.endswith(TMP_SUFFIX):
        place = os.path.dirname(place)
    return f"{place}: {(error.strerror or str(error)).lower()}"


class LockedRoot:
    """The root, made where it is missing, held against a second run. Raises WriteError, OSError on entering."""

    def __init__(self, root: str, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self._descriptor = -1

    def __enter__(self) -> Self:
        missing, place = list[str](), self._root
        while place and not os.path.exists(place):
            missing.append(place)
            place = os.path.dirname(place)
        for place in reversed(missing):
            self._disk.make_dir(place)
        self._descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise WriteError(f"{self._root}: another run is writing here; run it again afterwards") from error
        return self

    def __exit__(self, *_raised: object) -> None:
        os.close(self._descriptor)


# -- carrying out a step


def apply(root: str, contents: Mapping[str, bytes], removals: Iterable[str], disk: Disk) -> None:
    """Write these contents and remove these files, or change nothing.

    Raises OSError. Where that comes from a rename, after the commit, the journal stays and the next run completes the
    step.
    """
    moves = {path: digest(data) for path, data in contents.items()}
    made = tuple(path for path in parents(contents) if not os.path.exists(f"{root}/{path}"))
    plan = Plan(phase="staging", moves=moves, removals=tuple(removals), made_dirs=made)
    try:
        # Not synced: only a process that dies needs it. A machine that dies leaves files of a name that is overwritten.
        _write_journal(root, plan, disk)
        disk.rename(_staged(f"{root}/{JOURNAL}"), f"{root}/{JOURNAL}")
        _stage(root, plan, contents, disk)
        plan = replace(plan, phase="commit")
        _write_journal(root, plan, disk)
        staged = [_staged(f"{root}/{path}") for path in (*contents, JOURNAL)]
        disk.sync(staged + _directories(root, plan))
        disk.rename(_staged(f"{root}/{JOURNAL}"), f"{root}/{JOURNAL}")
        disk.sync([root])
    except OSError:
        _undo(root, plan, disk)
        raise
    _complete(root, plan, disk)


def _staged(path: str) -> str:
    directory, name = os.path.split(path)
    return f"{directory}/.{name}{TMP_SUFFIX}"


def _write_journal(root: str, plan: Plan, disk: Disk) -> None:
    """The journal that is to replace the present one; what an earlier attempt at that left is overwritten."""
    staged = _staged(f"{root}/{JOURNAL}")
    disk.remove(staged)
    disk.write_new(staged, plan.encode(), None)


def _stage(root: str, plan: Plan, contents: Mapping[str, bytes], disk: Disk) -> None:
    for path in plan.made_dirs:
        disk.make_dir(f"{root}/{path}")
    for path, data in contents.items():
        target = f"{root}/{path}"
        mode = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else None
        disk.remove(_staged(target))
        disk.write_new(_staged(target), data, mode)


def _directories(root: str, plan: Plan) -> list[str]:
    """Every directory that the plan changes, and the parents of those it makes."""
    paths = [*plan.moves, *plan.removals, *plan.made_dirs]
    return sorted({os.path.dirname(f"{root}/{path}") for path in paths})


def _complete(root: str, plan: Plan, disk: Disk) -> None:
    """Carry out a committed plan; repeatable. The manifest moves last: it never names what is not there."""
    for path in sorted(plan.moves, key=lambda path: (path == MANIFEST, path)):
        staged = _staged(f"{root}/{path}")
        if os.path.exists(staged):
            disk.rename(staged, f"{root}/{path}")
    for path in plan.removals:
        disk.remove(f"{root}/{path}")
    for directory in _emptied(root, plan.removals):
        disk.remove_dir(directory)
    disk.sync([directory for directory in _directories(root, plan) if os.path.exists(directory)])
    disk.remove(f"{root}/{JOURNAL}")
    disk.sync([root])


def _emptied(root: str, removals: tuple[str, ...]) -> list[str]:
    """Directories that held only what was removed, deepest first."""
    emptied: list[str] = []
    for directory in sorted(parents(removals), key=lambda path: (-path.count("/"), path)):
        place = f"{root}/{directory}"
        if os.path.isdir(place) and all(f"{place}/{child}" in emptied for child in os.listdir(place)):
            emptied.append(place)
    return emptied


def _undo(root: str, plan: Plan, disk: Disk) -> None:
    """Throw staged files away; repeatable."""
    if plan.phase == "commit":  # it may be on the disk already, and must not outlive what it would complete
        disk.remove(f"{root}/{JOURNAL}")
    for path in plan.moves:
        disk.remove(_staged(f"{root}/{path}"))
    for path in reversed(plan.made_dirs):
        disk.remove_dir(f"{root}/{path}")
    disk.remove(_staged(f"{root}/{JOURNAL}"))
    disk.remove(f"{root}/{JOURNAL}")
    disk.sync([root])


# -- recovering


def recover_locked(root: str, disk: Disk) -> bool:
    """Complete or undo what an interrupted run left; whether there was anything. Raises WriteError, OSError."""
    plan = _read_plan(root)
    if plan is None:
        disk.remove(_staged(f"{root}/{JOURNAL}"))
        return False
    if plan.phase == "staging":
        _undo(root, plan, disk)
        return True
    for path, wanted in plan.moves.items():
        target = f"{root}/{path}"
        staged = read(_staged(target))
        there = staged if staged is not None else read(target)
        if there is None or digest(there) != wanted:
            hint = f"remove {root}/{JOURNAL} and run generate again"
            raise WriteError(f"{target}: changed since a run was interrupted; {hint}")
    _complete(root, plan, disk)
    return True


def _read_plan(root: str) -> Plan | None:
    content = read_json(f"{root}/{JOURNAL}", FORMAT)
    if content is None:
        return None
    phase, moves = content.get("phase"), string_map(content.get("moves"))
    removals, made_dirs = (_strings(content.get(key)) for key in ("removals", "made_dirs"))
    if phase not in ("staging", "commit") or moves is None or removals is None or made_dirs is None:
        raise WriteError(f"{root}/{JOURNAL}: damaged; remove it and run generate again")
    check_paths(path for path in (*moves, *removals, *made_dirs) if path != MANIFEST)
    check_places(root, (*moves, *removals))
    return Plan(phase=phase, moves=moves, removals=removals, made_dirs=made_dirs)


def _strings(content: object) -> tuple[str, ...] | None:
    if isinstance(content, list) and all(isinstance(text, str) for text in content):
        return tuple(content)
    return None
