"""SQLite's backups: whole while others write, and never called whole when they are not."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release.drill.backups import Backup, Contents, differences, newest, take
from release.drill.experiment import DrillError
from release.drill.sqlite_store import FILE, SqliteStore
from tests.waiting import wait_until

AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Two tables with a foreign key, written ahead: some rows are only in the journal."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE IF NOT EXISTS owner (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, owner REFERENCES owner, body BLOB)")
        db.execute("INSERT INTO owner (name) VALUES ('ann'), (CAST(x'ff00' AS TEXT)), (NULL)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO job (owner, body) VALUES (1, ?)", [(bytes([n]) * 900,) for n in range(200)])
        db.execute("COMMIT")
        yield db


def store(root: Path) -> SqliteStore:
    """The database of these tests."""
    return SqliteStore(name="jobs", path=root / "jobs.sqlite")


def backed_up(root: Path) -> Backup:
    """A backup in `backups`."""
    return take(store(root), root / "backups", clock=lambda: AT, keep=3)


def restored(root: Path, backup: Backup) -> Contents:
    """What a restore finds."""
    (root / "scratch").mkdir(exist_ok=True)
    return store(root).restore(backup.folder, root / "scratch").contents


def test_a_backup_is_the_state_at_one_time(tmp_path: Path) -> None:
    """Rows of the journal are in the copy, and rows written later are not."""
    with database(tmp_path / "jobs.sqlite") as db:
        backup = backed_up(tmp_path)
        db.execute("DELETE FROM job WHERE id > 100")
        assert {name: part.count for name, part in backup.manifest.contents.items()} == {
            "table job": 200,
            "table owner": 3,
        }
        assert differences(backup.manifest.contents, restored(tmp_path, backup), now=0) == []


def test_writers_during_the_backup(tmp_path: Path) -> None:
    """Copy and digests are of the same state, however many rows others commit meanwhile."""
    over, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        with contextlib.closing(sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None, timeout=10)) as db:
            while not over.is_set():
                db.execute("INSERT INTO owner (name) VALUES ('late')")
                written += 1

    with database(tmp_path / "jobs.sqlite"):
        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: written > 10, 10, "others write")
            before = written
            backup = backed_up(tmp_path)
            wait_until(lambda: written > before, 10, "others have written meanwhile")
        finally:
            over.set()
            writer.join()
        assert backup.manifest.contents["table owner"].count > 3
        assert differences(backup.manifest.contents, restored(tmp_path, backup), now=0) == []


def test_old_journals_do_not_change_what_is_restored(tmp_path: Path) -> None:
    """A restore over a database removes the journal of that database."""
    with database(tmp_path / "jobs.sqlite"):
        backup = backed_up(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with database(scratch / "jobs.sqlite") as other:
        other.execute("INSERT INTO owner (name) VALUES ('other')")
        assert (scratch / "jobs.sqlite-wal").stat().st_size > 0
        assert differences(backup.manifest.contents, restored(tmp_path, backup), now=0) == []


def _flip_a_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5 * 4096 : 5 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)


def _flip_a_row(path: Path) -> None:
    """One letter of one row: SQLite finds nothing wrong with this."""
    data = path.read_bytes()
    assert data.count(b"ann") == 1
    path.write_bytes(data.replace(b"ann", b"Ann"))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:8192])


def _orphan(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE job SET owner = 99 WHERE id = 7")
        db.commit()


def _no_database(path: Path) -> None:
    path.write_text("not a database")


@pytest.mark.parametrize("corrupt", [_flip_a_page, _flip_a_row, _truncate, _orphan, _no_database])
def test_a_corrupted_backup_is_not_whole(tmp_path: Path, corrupt: Callable[[Path], None]) -> None:
    """SQLite's own checks find it, or the digests do."""
    with database(tmp_path / "jobs.sqlite"):
        backup = backed_up(tmp_path)
    corrupt(backup.folder / FILE)
    try:
        found = restored(tmp_path, backup)
    except DrillError:
        return
    assert differences(backup.manifest.contents, found, now=0) == ["table owner has other contents"]
    assert corrupt is _flip_a_row


def test_only_the_newest_backups_stay(tmp_path: Path) -> None:
    """Three of five; a backup that fails leaves nothing, and the newest one before stays the newest."""
    with database(tmp_path / "jobs.sqlite"):
        times = iter(AT.replace(minute=minute) for minute in range(0, 20, 2) for _ in range(2))
        taken = [take(store(tmp_path), tmp_path / "backups", clock=lambda: next(times), keep=3) for _ in range(5)]
        (tmp_path / "jobs.sqlite").rename(tmp_path / "moved")
        with pytest.raises(DrillError):
            backed_up(tmp_path)
    assert sorted(path.name for path in (tmp_path / "backups" / "jobs").iterdir()) == [
        "20261127T120400.000000Z",
        "20261127T120600.000000Z",
        "20261127T120800.000000Z",
    ]
    found = newest(store(tmp_path), tmp_path / "backups")
    assert found == taken[-1]
