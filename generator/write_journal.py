"""Changes many files as one step: stage, journal, rename; and what an interrupted step left is completed or undone.

1. The journal is written with phase `staging`, then every new content is written beside its target and synced.
2. The journal is replaced by one with phase `commit`: from here on the step happens, whatever dies.
3. Targets are renamed into place, stale files removed, the journal removed.

The next run that finds a journal in phase `staging` throws the staged files away; in phase `commit` it completes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from freezeline.dataclass import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MANIFEST = ".freezeline-generated.json"
JOURNAL = ".freezeline-journal.json"
FORMAT = "freezeline.journal/1"
TMP_SUFFIX = ".freezeline-tmp"
_SYNC_EACH_AT_MOST = 32


class WriteError(Exception):
    """The outputs cannot be written; nothing was changed unless the message says so. Exit code 3."""


class Disk:
    """The operations that change anything, so that a test can end the process before any of them."""

    def make_dir(self, path: Path) -> None:
        """Create one directory."""
        path.mkdir()

    def write_new(self, path: Path, data: bytes, mode: int | None) -> None:
        """Create a file with this content; it must not exist. `mode` None leaves it to the umask."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            if mode is not None:
                os.fchmod(descriptor, mode)
            stream.write(data)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`, at once."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        path.unlink(missing_ok=True)

    def remove_dir(self, path: Path) -> None:
        """Remove an empty directory that may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()

    def sync(self, paths: list[Path]) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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


def json_bytes(content: object) -> bytes:
    """JSON that diffs well: sorted keys, one entry a line."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> bytes | None:
    """The file's content; None where there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_json(path: Path, wanted_format: str) -> dict[str, Any] | None:
    """One of our own files; None where there is none. Raises WriteError where it is not what it should be."""
    if path.is_symlink():
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
        pure = PurePosixPath(path)
        plain = str(pure) == path and path != "." and not pure.is_absolute() and ".." not in pure.parts
        if not plain or "\0" in path or path in (MANIFEST, JOURNAL) or path.endswith(TMP_SUFFIX):
            raise WriteError(f"{path!r} is not a path that can be written below the output directory")


def check_places(root: Path, paths: Iterable[str]) -> None:
    """Refuse to write through symbolic links, over directories or below files. Raises WriteError, OSError."""
    directories: dict[str, None] = {}
    for path in paths:
        directories.update((str(parent), None) for parent in PurePosixPath(path).parents if str(parent) != ".")
        _check_place(root / path, stat.S_ISREG, "a regular file")
    for directory in directories:
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


def os_message(error: OSError, root: Path) -> str:
    """What the system refused, and where; staged files are not named, but their directory."""
    place = Path(os.fsdecode(error.filename)) if error.filename is not None else root
    if place.name.endswith(TMP_SUFFIX):
        place = place.parent
    return f"{place}: {(error.strerror or str(error)).lower()}"


@contextlib.contextmanager
def locked_root(root: Path, disk: Disk) -> Iterator[None]:
    """The root, made where it is missing, held against a second run. Raises WriteError, OSError."""
    for parent in reversed([root, *root.parents]):
        if not parent.exists():
            disk.make_dir(parent)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WriteError(f"{root}: another run is writing here; run it again afterwards") from error
        yield
    finally:
        os.close(descriptor)


# -- carrying out a step


def apply(root: Path, contents: Mapping[str, bytes], removals: Iterable[str], disk: Disk) -> None:
    """Write these contents and remove these files, or change nothing.

    Raises OSError. Where that comes from a rename, after the commit, the journal stays and the next run completes the
    step.
    """
    moves = {path: digest(data) for path, data in contents.items()}
    made = _missing_dirs(root, contents)
    plan = Plan(phase="staging", moves=moves, removals=tuple(removals), made_dirs=made)
    try:
        _put_journal(root, plan, disk)
        _stage(root, plan, contents, disk)
        plan = replace(plan, phase="commit")
        _put_journal(root, plan, disk)
    except OSError:
        _undo(root, plan, disk)
        raise
    _complete(root, plan, disk)


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}{TMP_SUFFIX}")


def _missing_dirs(root: Path, contents: Iterable[str]) -> tuple[str, ...]:
    wanted = {str(parent) for path in contents for parent in PurePosixPath(path).parents if str(parent) != "."}
    return tuple(sorted(path for path in wanted if not (root / path).exists()))


def _put_journal(root: Path, plan: Plan, disk: Disk) -> None:
    """Replace the journal at once; what an earlier attempt at that left is overwritten."""
    temporary = _staged(root / JOURNAL)
    disk.remove(temporary)
    disk.write_new(temporary, plan.encode(), None)
    disk.sync([temporary])
    disk.rename(temporary, root / JOURNAL)
    disk.sync([root])


def _stage(root: Path, plan: Plan, contents: Mapping[str, bytes], disk: Disk) -> None:
    for path in plan.made_dirs:
        disk.make_dir(root / path)
    for path, data in contents.items():
        target = root / path
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        disk.remove(_staged(target))
        disk.write_new(_staged(target), data, mode)
    disk.sync([_staged(root / path) for path in contents] + _directories(root, plan))


def _directories(root: Path, plan: Plan) -> list[Path]:
    """Every directory that the plan changes, and the parents of those it makes."""
    paths = [*plan.moves, *plan.removals, *plan.made_dirs]
    return sorted({(root / path).parent for path in paths})


def _complete(root: Path, plan: Plan, disk: Disk) -> None:
    """Carry out a committed plan; repeatable. The manifest moves last: it never names what is not there."""
    for path in sorted(plan.moves, key=lambda path: (path == MANIFEST, path)):
        staged = _staged(root / path)
        if staged.exists():
            disk.rename(staged, root / path)
    for path in plan.removals:
        disk.remove(root / path)
    for directory in _emptied(root, plan.removals):
        disk.remove_dir(directory)
    disk.sync([directory for directory in _directories(root, plan) if directory.exists()])
    disk.remove(root / JOURNAL)
    disk.sync([root])


def _emptied(root: Path, removals: tuple[str, ...]) -> list[Path]:
    """Directories that held only what was removed, deepest first."""
    candidates = {root / parent for path in removals for parent in PurePosixPath(path).parents if str(parent) != "."}
    emptied: list[Path] = []
    for directory in sorted(candidates, key=lambda path: (-len(path.parts), path)):
        if directory.is_dir() and all(child in emptied for child in directory.iterdir()):
            emptied.append(directory)
    return emptied


def _undo(root: Path, plan: Plan, disk: Disk) -> None:
    """Throw staged files away; repeatable."""
    if plan.phase == "commit":  # it may be on the disk already, and must not outlive what it would complete
        disk.remove(root / JOURNAL)
    for path in plan.moves:
        disk.remove(_staged(root / path))
    for path in reversed(plan.made_dirs):
        disk.remove_dir(root / path)
    disk.remove(_staged(root / JOURNAL))
    disk.remove(root / JOURNAL)
    disk.sync([root])


# -- recovering


def recover_locked(root: Path, disk: Disk) -> bool:
    """Complete or undo what an interrupted run left; whether there was anything. Raises WriteError, OSError."""
    plan = _read_plan(root)
    if plan is None:
        disk.remove(_staged(root / JOURNAL))
        return False
    if plan.phase == "staging":
        _undo(root, plan, disk)
        return True
    for path, wanted in plan.moves.items():
        staged = read(_staged(root / path))
        there = staged if staged is not None else read(root / path)
        if there is None or digest(there) != wanted:
            hint = f"remove {root / JOURNAL} and run generate again"
            raise WriteError(f"{root / path}: changed since a run was interrupted; {hint}")
    _complete(root, plan, disk)
    return True


def _read_plan(root: Path) -> Plan | None:
    content = read_json(root / JOURNAL, FORMAT)
    if content is None:
        return None
    phase, moves = content.get("phase"), string_map(content.get("moves"))
    removals, made_dirs = (_strings(content.get(key)) for key in ("removals", "made_dirs"))
    if phase not in ("staging", "commit") or moves is None or removals is None or made_dirs is None:
        raise WriteError(f"{root / JOURNAL}: damaged; remove it and run generate again")
    check_paths(path for path in (*moves, *removals, *made_dirs) if path != MANIFEST)
    check_places(root, (*moves, *removals))
    return Plan(phase=phase, moves=moves, removals=removals, made_dirs=made_dirs)


def _strings(content: object) -> tuple[str, ...] | None:
    if isinstance(content, list) and all(isinstance(text, str) for text in content):
        return tuple(content)
    return None
