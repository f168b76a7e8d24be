"""Writes all generated files or none, and finds the ones that are no longer generated.

Each run stages every changed file beside its target, then writes a journal, then renames. Whatever kills it, the next run
(or `recover`) finds the journal: before the renames began it throws the staged files away, afterwards it completes them.
A manifest in the root lists what was generated, so that files of other origin are never overwritten or removed.

A reader that looks between two renames sees old and new files side by side, never half a file: reload Prometheus after
the command, not during it.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = ".freezeline-generated.json"
JOURNAL = ".freezeline-journal.json"
MANIFEST_FORMAT = "freezeline.generated/1"
JOURNAL_FORMAT = "freezeline.journal/1"
_TMP_SUFFIX = ".freezeline-tmp"


class WriteError(Exception):
    """The outputs cannot be written; nothing was changed unless the message says so. Exit code 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run did; paths are relative to the root, sorted."""

    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()  # no longer generated, but edited since: left for a person to decide
    recovered: bool = False  # an interrupted run was completed or undone first


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One file that is not as `generate` would leave it. `kind` is changed, missing, stale or unfinished."""

    path: str
    kind: str
    diff: str = ""  # unified, from what is there to what is generated


def everything(_path: str) -> bool:
    """The run speaks for every generated file of the root."""
    return True


class Disk:
    """The operations that change anything, one method each, so that a test can end the process before any of them."""

    def make_dir(self, path: Path) -> None:
        """Create one directory."""
        path.mkdir()

    def write_new(self, path: Path, data: bytes, mode: int | None) -> None:
        """Create a file with this content, on the disk before it returns; it must not exist."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "wb") as stream:
            if mode is not None:
                os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`, at once."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        path.unlink(missing_ok=True)

    def remove_dir(self, path: Path) -> None:
        """Remove a directory that is empty and may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()

    def sync_dir(self, path: Path) -> None:
        """Make the directory's entries durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The journal's content. `moves` maps each target to the digest of what is staged for it."""

    phase: str  # "staging": nothing was renamed yet; "commit": complete it
    moves: Mapping[str, str]
    removals: tuple[str, ...]
    made_dirs: tuple[str, ...]

    def encode(self) -> bytes:
        return _json(
            {
                "format": JOURNAL_FORMAT,
                "phase": self.phase,
                "moves": dict(self.moves),
                "removals": list(self.removals),
                "made_dirs": list(self.made_dirs),
            }
        )


@dataclass(slots=True)
class _State:
    """What stands in the root now, compared with what is wanted."""

    changed: dict[str, bytes] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    manifest: dict[str, str] = field(default_factory=dict)  # as it will be


def write_all(
    root: Path,
    outputs: Mapping[str, bytes],
    *,
    covers: Callable[[str], bool] = everything,
    adopt: bool = False,
    disk: Disk | None = None,
) -> Report:
    """Bring the root to exactly these outputs (relative POSIX path → content), or leave it as it was.

    `covers` tells which generated paths this run speaks for: only those are removed when they are not among the outputs.
    A file that exists without being in the manifest is refused unless it has the wanted content or `adopt` is set.
    Raises WriteError.
    """
    disk = disk or Disk()
    _check_paths(outputs)
    try:
        with _locked_root(root, disk) as base:
            recovered = _recover(base, disk)
            state = _compare(base, outputs, covers)
            _refuse_foreign(base, state, adopt=adopt)
            _apply(base, state, disk)
    except OSError as error:
        raise WriteError(_os_message(error, root)) from error
    return Report(
        written=tuple(sorted(state.changed)),
        unchanged=tuple(sorted(state.unchanged)),
        removed=tuple(sorted(state.stale)),
        kept=tuple(sorted(state.kept)),
        recovered=recovered,
    )


def check_all(
    root: Path, outputs: Mapping[str, bytes], *, covers: Callable[[str], bool] = everything
) -> list[Difference]:
    """What `write_all` would change, sorted by path; empty when the root is up to date. Changes nothing.

    Raises WriteError where the root cannot be read.
    """
    _check_paths(outputs)
    try:
        state = _compare(root, outputs, covers)
        found = [_difference(root, path, data) for path, data in state.changed.items()]
        found += [Difference(path=path, kind="stale") for path in state.stale]
        if (root / JOURNAL).exists():
            found.append(Difference(path=JOURNAL, kind="unfinished"))
    except OSError as error:
        raise WriteError(_os_message(error, root)) from error
    return sorted(found, key=lambda difference: difference.path)


def recover(root: Path, *, disk: Disk | None = None) -> bool:
    """Complete or undo an interrupted run; whether there was one. Raises WriteError."""
    disk = disk or Disk()
    try:
        with _locked_root(root, disk) as base:
            return _recover(base, disk)
    except OSError as error:
        raise WriteError(_os_message(error, root)) from error


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _os_message(error: OSError, root: Path) -> str:
    place = error.filename if error.filename is not None else root
    return f"{place}: {(error.strerror or str(error)).lower()}"


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}{_TMP_SUFFIX}")


# -- paths


def _check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that could leave the root or meet our own files. Raises WriteError."""
    for path in paths:
        pure = PurePosixPath(path)
        plain = str(pure) == path and path != "." and not pure.is_absolute() and ".." not in pure.parts
        if not plain or "\0" in path or path in (MANIFEST, JOURNAL) or path.endswith(_TMP_SUFFIX):
            raise WriteError(f"{path!r} is not a path that can be written below the output directory")


def _check_place(root: Path, path: str) -> None:
    """Refuse to write through symbolic links, over directories or below files. Raises WriteError."""
    place = root
    parts = PurePosixPath(path).parts
    for index, part in enumerate(parts):
        place = place / part
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            return
        last = index == len(parts) - 1
        if stat.S_ISLNK(mode):
            raise WriteError(
                f"{place}: is a symbolic link; generated files are only written to real files and directories"
            )
        if last and not stat.S_ISREG(mode):
            raise WriteError(f"{place}: is not a regular file; move it away")
        if not last and not stat.S_ISDIR(mode):
            raise WriteError(f"{place}: is not a directory; move it away")


@contextlib.contextmanager
def _locked_root(root: Path, disk: Disk) -> Iterator[Path]:
    """The root, made where it is missing, held against a second run. Raises WriteError, OSError."""
    for parent in reversed([root, *root.parents]):
        if not parent.exists():
            disk.make_dir(parent)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WriteError(
                f"{root}: another `freezeline generate` is writing here; run it again afterwards"
            ) from error
        yield root
    finally:
        os.close(descriptor)


# -- comparing


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_manifest(root: Path) -> dict[str, str]:
    """Path → digest of each file that an earlier run generated. Raises WriteError where it cannot be understood."""
    content = _read_json(root, MANIFEST, MANIFEST_FORMAT)
    if content is None:
        return {}
    files = _string_map(content.get("files"))
    if files is None:
        raise WriteError(f"{root / MANIFEST}: damaged; remove it and run `freezeline generate --adopt`")
    _check_paths(files)
    return files


def _read_json(root: Path, name: str, wanted_format: str) -> dict[str, Any] | None:
    path = root / name
    if path.is_symlink():
        raise WriteError(f"{path}: is a symbolic link; remove it")
    data = _read(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
    except ValueError as error:
        raise WriteError(f"{path}: damaged ({error}); restore or remove it") from error
    if not isinstance(content, dict) or content.get("format") != wanted_format:
        raise WriteError(
            f"{path}: not written by this version (`format` should be {wanted_format}); remove it"
        )
    return content


def _string_map(content: object) -> dict[str, str] | None:
    if isinstance(content, dict) and all(isinstance(text, str) for pair in content.items() for text in pair):
        return dict(content)
    return None


def _compare(root: Path, outputs: Mapping[str, bytes], covers: Callable[[str], bool]) -> _State:
    known = _read_manifest(root)
    state = _State()
    for path, data in outputs.items():
        _check_place(root, path)
        state.manifest[path] = _digest(data)
        if _read(root / path) == data:
            state.unchanged.append(path)
        else:
            state.changed[path] = data
    for path, digest in known.items():
        if path in outputs:
            continue
        if not covers(path):
            state.manifest[path] = digest
            continue
        _check_place(root, path)
        there = _read(root / path)
        if there is not None:
            (state.stale if _digest(there) == digest else state.kept).append(path)
    return state


def _refuse_foreign(root: Path, state: _State, *, adopt: bool) -> None:
    known = _read_manifest(root)
    foreign = [path for path in sorted(state.changed) if path not in known and (root / path).exists()]
    if foreign and not adopt:
        listed = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise WriteError(
            f"{root}: these files exist and were not generated here: {listed}; "
            "move them away, choose another directory, or add --adopt to replace them"
        )


def _difference(root: Path, path: str, data: bytes) -> Difference:
    there = _read(root / path)
    if there is None:
        return Difference(path=path, kind="missing")
    old, new = (content.decode("utf-8", "replace").splitlines(keepends=True) for content in (there, data))
    lines = difflib.unified_diff(old, new, f"{path} (there)", f"{path} (generated)")
    diff = "".join(line if line.endswith("\n") else line + "\n\\ no newline at the end\n" for line in lines)
    return Difference(path=path, kind="changed", diff=diff)


# -- applying


def _apply(root: Path, state: _State, disk: Disk) -> None:
    manifest = _json({"format": MANIFEST_FORMAT, "files": state.manifest})
    staged = dict(state.changed)
    if _read(root / MANIFEST) != manifest:
        staged[MANIFEST] = manifest
    if not staged and not state.stale:
        return
    made = _missing_dirs(root, staged)
    moves = {path: _digest(data) for path, data in staged.items()}
    plan = _Plan(phase="staging", moves=moves, removals=tuple(state.stale), made_dirs=made)
    try:
        _put_journal(root, plan, disk)
        _stage(root, plan, staged, disk)
        plan = _Plan(phase="commit", moves=moves, removals=plan.removals, made_dirs=made)
        _put_journal(root, plan, disk)
    except OSError:
        _undo(root, plan, disk)
        raise
    _complete(root, plan, disk)


def _missing_dirs(root: Path, staged: Mapping[str, bytes]) -> tuple[str, ...]:
    """The directories to make, parents first."""
    wanted = {str(parent) for path in staged for parent in PurePosixPath(path).parents if str(parent) != "."}
    return tuple(sorted(path for path in wanted if not (root / path).exists()))


def _put_journal(root: Path, plan: _Plan, disk: Disk) -> None:
    """Replace the journal at once; a left-over of an earlier attempt at that is overwritten."""
    temporary = _staged(root / JOURNAL)
    disk.remove(temporary)
    disk.write_new(temporary, plan.encode(), None)
    disk.rename(temporary, root / JOURNAL)
    disk.sync_dir(root)


def _stage(root: Path, plan: _Plan, staged: Mapping[str, bytes], disk: Disk) -> None:
    for path in plan.made_dirs:
        disk.make_dir(root / path)
    for path, data in staged.items():
        target = root / path
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        disk.remove(_staged(target))
        disk.write_new(_staged(target), data, mode)
    for directory in _directories(root, plan):
        disk.sync_dir(directory)


def _directories(root: Path, plan: _Plan) -> list[Path]:
    """Every directory that the plan changes, and the parents of those it makes."""
    paths = [*plan.moves, *plan.removals, *plan.made_dirs]
    return sorted({(root / path).parent for path in paths})


def _complete(root: Path, plan: _Plan, disk: Disk) -> None:
    """Carry out a committed plan; repeatable. The manifest moves last, so that it never names what is not there."""
    for path in sorted(plan.moves, key=lambda path: (path == MANIFEST, path)):
        staged = _staged(root / path)
        if staged.exists():
            disk.rename(staged, root / path)
    for path in plan.removals:
        disk.remove(root / path)
    for directory in _directories(root, plan):
        if directory.exists():
            disk.sync_dir(directory)
    for path in _emptied(root, plan.removals):
        disk.remove_dir(path)
    disk.remove(root / JOURNAL)
    disk.sync_dir(root)


def _emptied(root: Path, removals: tuple[str, ...]) -> list[Path]:
    """Directories that held only what was removed, deepest first."""
    candidates = {
        root / parent for path in removals for parent in PurePosixPath(path).parents if str(parent) != "."
    }
    emptied: set[Path] = set()
    for directory in sorted(candidates, key=lambda path: -len(path.parts)):
        if directory.is_dir() and all(child in emptied for child in directory.iterdir()):
            emptied.add(directory)
    return sorted(emptied, key=lambda path: -len(path.parts))


def _undo(root: Path, plan: _Plan, disk: Disk) -> None:
    """Throw staged files away; repeatable."""
    for path in plan.moves:
        disk.remove(_staged(root / path))
    for path in reversed(plan.made_dirs):
        disk.remove_dir(root / path)
    disk.remove(_staged(root / JOURNAL))
    disk.remove(root / JOURNAL)
    disk.sync_dir(root)


# -- recovering


def _recover(root: Path, disk: Disk) -> bool:
    plan = _read_plan(root)
    if plan is None:
        disk.remove(_staged(root / JOURNAL))
        return False
    if plan.phase == "staging":
        _undo(root, plan, disk)
        return True
    for path, digest in plan.moves.items():
        there = _read(_staged(root / path)) or _read(root / path)
        if there is None or _digest(there) != digest:
            raise WriteError(
                f"{root / path}: changed while a run was interrupted; remove {root / JOURNAL} and run generate again"
            )
    _complete(root, plan, disk)
    return True


def _read_plan(root: Path) -> _Plan | None:
    content = _read_json(root, JOURNAL, JOURNAL_FORMAT)
    if content is None:
        return None
    moves = _string_map(content.get("moves"))
    removals, made_dirs = content.get("removals"), content.get("made_dirs")
    phase = content.get("phase")
    lists_fit = all(
        isinstance(paths, list) and all(isinstance(path, str) for path in paths)
        for paths in (removals, made_dirs)
    )
    if moves is None or not lists_fit or phase not in ("staging", "commit"):
        raise WriteError(f"{root / JOURNAL}: damaged; remove it and run generate again")
    plan = _Plan(phase=phase, moves=moves, removals=tuple(removals), made_dirs=tuple(made_dirs))
    _check_paths([path for path in (*moves, *plan.removals, *plan.made_dirs) if path != MANIFEST])
    for path in (*moves, *plan.removals):
        _check_place(root, path)
    return plan
