"""Writes all generated files or none, and finds the ones that are no longer generated.

A manifest in the root lists what was generated, so that files of other origin are never overwritten or removed.
`generator.write.journal` says how many files change as one step, and what happens to a run that is killed. A reader
that looks between two renames sees old and new files side by side, never half a file: reload Prometheus after the
command, not during it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct, field

from generator.text.digest import digest
from generator.write.journal import Disk, apply, encode, locked, read_kept, recover_locked
from generator.write.places import JOURNAL, MANIFEST, WriteError, check_paths, check_places, os_message, read


class Report(Struct, frozen=True, kw_only=True):
    """What one run did; paths are relative to the root, sorted."""

    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()  # no longer generated, but edited since: left for a person to decide
    recovered: bool = False  # an interrupted run was completed or undone first


class Difference(Struct, frozen=True, kw_only=True):
    """One file that is not as `write_all` would leave it. `kind` is changed, missing, stale, unlisted or unfinished."""

    path: str
    kind: str
    diff: str = ""  # unified, from what is there to what is generated

    def as_json(self) -> dict[str, str]:
        """The difference for `--json`."""
        return {"path": self.path, "kind": self.kind, "diff": self.diff}


class Manifest(Struct, frozen=True, kw_only=True, tag_field="format", tag="freezeline.generated/1"):
    """What earlier runs generated: path → digest."""

    files: dict[str, str]


class _State(Struct):
    """What stands in the root, compared with what is wanted."""

    changed: dict[str, bytes] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)  # exist with other content, and no earlier run made them
    manifest: dict[str, str] = field(default_factory=dict)  # as it will be


def everything(_path: str) -> bool:
    """The run speaks for every generated file of the root."""
    return True


def write_all(
    root: str | os.PathLike[str],
    outputs: Mapping[str, bytes],
    *,
    covers: Callable[[str], bool] = everything,
    adopt: bool = False,
    disk: Disk | None = None,
) -> Report:
    """Bring the root to exactly these outputs (relative POSIX path → content), or leave it as it was.

    `covers` tells for which generated paths this run speaks: only those are removed when they are not among the
    outputs. A file that exists with other content without being in the manifest is refused unless `adopt` is set.
    Raises WriteError.
    """
    root, disk = Path(root), disk or Disk()
    check_paths(outputs)
    with locked(root):
        recovered = recover_locked(root, disk)
        state = _compare(root, outputs, covers)
        if state.foreign and not adopt:
            raise WriteError(_foreign_message(root, state.foreign))
        contents = state.changed | _changed_manifest(root, state)
        if contents or state.stale:
            apply(root, contents, state.stale, disk, state.manifest)
    return Report(
        written=tuple(sorted(state.changed)),
        unchanged=tuple(sorted(state.unchanged)),
        removed=tuple(sorted(state.stale)),
        kept=tuple(sorted(state.kept)),
        recovered=recovered,
    )


def write_once(
    root: str | os.PathLike[str], outputs: Mapping[str, bytes], *, replace: bool = False, disk: Disk | None = None
) -> tuple[str, ...]:
    """Write files that are people's own from then on, all or none; no manifest knows them. What was written, sorted.

    A file that exists with other content is refused unless `replace` is set. Raises WriteError.
    """
    root, disk = Path(root), disk or Disk()
    check_paths(outputs)
    with locked(root):
        recover_locked(root, disk)
        check_places(root, tuple(outputs))
        there = {path: read(root / path) for path in outputs}
        changed = {path: data for path, data in outputs.items() if there[path] != data}
        existing = sorted(path for path in changed if there[path] is not None)
        if existing and not replace:
            listed = ", ".join(existing)
            raise WriteError(f"{root}: these files exist with other content: {listed}; replace them with --replace")
        if changed:
            apply(root, changed, (), disk)
    return tuple(sorted(changed))


def check_all(
    root: str | os.PathLike[str], outputs: Mapping[str, bytes], *, covers: Callable[[str], bool] = everything
) -> list[Difference]:
    """What `write_all` would change, sorted by path; empty where the root is up to date. Changes nothing.

    Raises WriteError where the root cannot be read.
    """
    root = Path(root)
    check_paths(outputs)
    try:
        state = _compare(root, outputs, covers)
        found = [_difference(root, path, data) for path, data in state.changed.items()]
        found += [Difference(path=path, kind="stale") for path in state.stale]
        if not found and _changed_manifest(root, state):
            found.append(Difference(path=MANIFEST, kind="unlisted"))
        if (root / JOURNAL).exists():
            found.append(Difference(path=JOURNAL, kind="unfinished"))
    except OSError as error:
        raise WriteError(os_message(error, root)) from error
    return sorted(found, key=lambda difference: difference.path)


def recover(root: str | os.PathLike[str], *, disk: Disk | None = None) -> bool:
    """Complete or undo an interrupted run; whether there was one. Raises WriteError."""
    root = Path(root)
    with locked(root):
        return recover_locked(root, disk or Disk())


_KIND_TEXT = {
    "missing": "is generated but not there",
    "stale": "is no longer generated",
    "unfinished": "was left by an interrupted run",
    "unlisted": "lists other generated files than there are",
}


def differences_text(differences: Iterable[Difference], mend: str) -> str:
    """The differences as a person reads them, ending with the command that mends them."""
    parts = [difference.diff or f"{difference.path} {_KIND_TEXT[difference.kind]}\n" for difference in differences]
    return "".join([*parts, f"mend it with: {mend}\n"])


def _known(root: Path) -> dict[str, str]:
    """Path → digest of each file that an earlier run generated. Raises WriteError where the manifest is damaged."""
    manifest = read_kept(root / MANIFEST, Manifest)
    if manifest is None:
        return {}
    check_paths(manifest.files)
    return manifest.files


def _compare(root: Path, outputs: Mapping[str, bytes], covers: Callable[[str], bool]) -> _State:
    known = _known(root)
    gone = {path: known_digest for path, known_digest in known.items() if path not in outputs}
    check_places(root, [*outputs, *(path for path in gone if covers(path))])
    state = _State()
    for path, data in outputs.items():
        state.manifest[path] = digest(data)
        there = read(root / path)
        if there == data:
            state.unchanged.append(path)
            continue
        state.changed[path] = data
        if there is not None and path not in known:
            state.foreign.append(path)
    for path, known_digest in gone.items():
        if not covers(path):
            state.manifest[path] = known_digest
            continue
        there = read(root / path)
        if there is not None:
            (state.stale if digest(there) == known_digest else state.kept).append(path)
    return state


def _changed_manifest(root: Path, state: _State) -> dict[str, bytes]:
    manifest = encode(Manifest(files=state.manifest))
    return {} if read(root / MANIFEST) == manifest else {MANIFEST: manifest}


def _foreign_message(root: Path, foreign: list[str]) -> str:
    listed = ", ".join(sorted(foreign)[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
    hint = "move them away, choose another directory, or replace them with --adopt"
    return f"{root}: these files exist and were not generated here: {listed}; {hint}"


def _difference(root: Path, path: str, data: bytes) -> Difference:
    there = read(root / path)
    if there is None:
        return Difference(path=path, kind="missing")
    old, new = (content.decode("utf-8", "replace").splitlines(keepends=True) for content in (there, data))
    import difflib

    lines = list(difflib.unified_diff(old, new, f"{path} (there)", f"{path} (generated)"))
    if not lines:  # bytes that are no text
        lines = [f"{path} differs in bytes that cannot be shown\n"]
    diff = "".join(line if line.endswith("\n") else line + "\n\\ no newline at the end\n" for line in lines)
    return Difference(path=path, kind="changed", diff=diff)
