"""ChromaDB: its database by SQLite's backup, its index files copied, both compared with an export of every record.

ChromaDB has one owner process, which must not run while the files are copied. If the index does not equal the export,
the restore builds the index anew from the export. ChromaDB lives in a Python of its own, which `chroma_worker` uses.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from release.drill.backups import Contents, Part, Restored
from release.drill.experiment import DrillError
from release.drill.sqlite_store import check_sound, copy

DATABASE = "chroma.sqlite3"
COPY, RECORDS, REBUILT = "chroma", "records.jsonl", "rebuilt"
WORKER = Path(__file__).with_name("chroma_worker.py")
WORKER_LIMIT_S = 3600.0
COMMAND_LIMIT_S = 120.0
RECALL_AT_LEAST = 0.95
ERROR_AT_MOST = 1e-6
"""The largest difference between a component of an embedding and its export."""


class ChromaStore(Struct, frozen=True, kw_only=True):
    """A directory of ChromaDB. `python` has ChromaDB; `stop` and `start` are commands for the owner process."""

    name: str
    directory: Path
    python: str
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    kind: str = "chromadb"

    def back_up(self, folder: Path) -> Contents:
        """Copy the files while no process has them, then export the copy: ids, documents, metadata, embeddings."""
        with self._at_rest():
            _copied(self.directory, folder / COPY)
        with tempfile.TemporaryDirectory(prefix="freezeline-chroma-") as scratch:
            # ChromaDB may write where it only reads: never let it touch the backup.
            opened = Path(scratch) / COPY
            shutil.copytree(folder / COPY, opened)
            answer = self._work("export", opened, folder / RECORDS)
        return {**_parts(answer), **_exported(folder / RECORDS)}

    def restore(self, folder: Path, scratch: Path) -> Restored:
        """Restore the copy and compare it; where it is not whole, build everything anew from the export."""
        wanted = {**_exported(folder / RECORDS)}
        try:
            return Restored(contents={**self._compared(folder, scratch), **wanted})
        except DrillError as error:
            rebuilt = scratch / REBUILT
            self._work("rebuild", rebuilt, folder / RECORDS)
            found = self._whole(rebuilt, folder / RECORDS)
            return Restored(contents={**found, **wanted}, notes=(f"{self.name}: rebuilt from its export: {error}",))

    def _compared(self, folder: Path, scratch: Path) -> Contents:
        restored = scratch / COPY
        try:
            shutil.copytree(folder / COPY, restored)
            with contextlib.closing(sqlite3.connect(restored / DATABASE)) as db:
                check_sound(db, foreign_keys=False)  # ChromaDB's own rows break its foreign keys
        except (OSError, sqlite3.Error, shutil.Error) as error:
            raise DrillError(f"the copy cannot be restored: {error}") from error
        return self._whole(restored, folder / RECORDS)

    def _whole(self, directory: Path, records: Path) -> Contents:
        """The contents of a directory whose index equals the export, and finds what is near. Raises DrillError."""
        answer = self._work("check", directory, records)
        if answer["missing"]:
            raise DrillError(f"the collection {answer['missing'][0]} is missing")
        for name, measures in answer["measures"].items():
            if measures["different"]:
                raise DrillError(f"{measures['different']} records of {name} are not as exported")
            error, recall = measures["embedding_error"], measures["recall"]
            if error is None or error > ERROR_AT_MOST:
                said = "have other lengths" if error is None else f"differ by up to {error:.3g}"
                raise DrillError(f"embeddings of {name} {said}")
            if recall < RECALL_AT_LEAST:
                raise DrillError(f"the index of {name} finds {recall:.0%} of the nearest records")
        return _parts(answer)

    @contextlib.contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Stop the owner, and start the owner again at the end. Raises DrillError while a process has files."""
        if self.stop:
            _run(self.stop)
        try:
            owners = _owners(self.directory / DATABASE)
            if owners:
                raise DrillError(f"process {owners[0]} has {self.directory / DATABASE} open: stop the owner first")
            yield
        finally:
            if self.start:
                _run(self.start)

    def _work(self, order: str, directory: Path, records: Path) -> Mapping[str, Any]:
        argv = [self.python, str(WORKER), order, str(directory), str(records)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=WORKER_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DrillError(f"ChromaDB's Python: {error}") from error
        try:
            answer: Mapping[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
        except ValueError as error:
            tail = done.stderr.strip().rpartition("\n")[2]
            raise DrillError(f"ChromaDB does not {order}: {tail[:300] or done.returncode}") from error
        return answer


def _copied(directory: Path, target: Path) -> None:
    """The database by SQLite's backup, and every other file by a copy."""
    target.mkdir()
    try:
        with contextlib.closing(sqlite3.connect(f"file:{directory / DATABASE}?mode=ro", uri=True)) as source:
            copy(source, target / DATABASE)
        for entry in directory.iterdir():
            if entry.is_dir():
                shutil.copytree(entry, target / entry.name)
    except (OSError, sqlite3.Error, shutil.Error) as error:
        raise DrillError(f"{directory} cannot be copied: {error}") from error


def _owners(path: Path) -> list[int]:
    """Processes of this machine that have a file open, as far as this user may look."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(one.resolve() == path.resolve() for one in (process / "fd").iterdir()):
                found.append(int(process.name))
    return sorted(found)


def _run(command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrillError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise DrillError(f"{command[0]} exited with {done.returncode}: {done.stderr.strip()[:300]}")


def _parts(answer: Mapping[str, Any]) -> Contents:
    return {
        f"collection {name}": Part(count=one["count"], sha256=one["sha256"])
        for name, one in answer["collections"].items()
    }


def _exported(records: Path) -> Contents:
    """The export itself, so that a damaged export is found."""
    try:
        data = records.read_bytes()
    except OSError as error:
        raise DrillError(f"the export cannot be read: {error}") from error
    return {"exported records": Part(count=data.count(b"\n"), sha256=hashlib.sha256(data).hexdigest())}
