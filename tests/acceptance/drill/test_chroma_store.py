"""ChromaDB's backups with a real ChromaDB in a virtual environment of its own, which takes minutes to install.

Recovery by the index, by a rebuild from the export, and a damaged export that nothing can mend.
"""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release.drill.backups import Backup, differences, take
from release.drill.chroma_store import COPY, DATABASE, RECORDS, ChromaStore
from release.drill.experiment import DrillError
from tests.acceptance.drill.chroma import FILL, filled, installed
from tests.tools import ROOT

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python with ChromaDB, kept in the cache of tools."""
    return installed()


@pytest.fixture
def store(tmp_path: Path, python: Path) -> ChromaStore:
    """Three thousand records in one collection and three in another."""
    return ChromaStore(name="memory", directory=filled(python, tmp_path / "live"), python=str(python))


def backed_up(store: ChromaStore, root: Path) -> Backup:
    """A backup in `backups`."""
    return take(store, root / "backups", clock=lambda: datetime.now(UTC), keep=3)


def damage_index(folder: Path) -> None:
    """Other vectors in the index than in the database."""
    (path,) = [one for one in folder.glob(f"{COPY}/*/data_level0.bin") if one.stat().st_size > 100_000]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)


def lose_index(folder: Path) -> None:
    """A directory of index files is gone."""
    for path in folder.glob(f"{COPY}/*/data_level0.bin"):
        path.unlink()


def damage_database(folder: Path) -> None:
    """A page of the database is overwritten."""
    path = folder / COPY / DATABASE
    data = bytearray(path.read_bytes())
    data[8 * 4096 : 9 * 4096] = b"\xff" * 4096
    path.write_bytes(data)


def change_a_document(folder: Path) -> None:
    """One word of one document in the database. SQLite finds nothing wrong."""
    path = folder / COPY / DATABASE
    data = path.read_bytes()
    assert data.count(b"text of record 2718") > 0
    path.write_bytes(data.replace(b"text of record 2718", b"TEXT of record 2718"))


def test_a_backup_is_restored(store: ChromaStore, tmp_path: Path) -> None:
    """By its index: nothing is rebuilt, and every count and digest is as in the manifest."""
    backup = backed_up(store, tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = store.restore(backup.folder, scratch)
    assert found.notes == ()
    assert differences(backup.manifest.contents, found.contents, now=0) == []
    assert {name: part.count for name, part in found.contents.items()} == {
        "collection documents": 3000,
        "collection small": 3,
        "exported records": 3005,
    }


@pytest.mark.parametrize("damage", [damage_index, lose_index, damage_database, change_a_document])
def test_a_damaged_copy_is_rebuilt(store: ChromaStore, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """The copy is not called whole: everything is built anew from the export, equal to the manifest, and noted."""
    backup = backed_up(store, tmp_path)
    damage(backup.folder)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = store.restore(backup.folder, scratch)
    assert len(found.notes) == 1
    assert found.notes[0].startswith("memory: rebuilt from its export: ")
    assert differences(backup.manifest.contents, found.contents, now=0) == []


def test_a_damaged_copy_and_a_damaged_export(store: ChromaStore, tmp_path: Path) -> None:
    """One digit of one embedding in the export: nothing is called whole."""
    backup = backed_up(store, tmp_path)
    lose_index(backup.folder)
    records = backup.folder / RECORDS
    text = records.read_text()
    place = text.rindex("0.7")
    records.write_text(text[:place] + "0.6" + text[place + 3 :])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = store.restore(backup.folder, scratch)
    assert differences(backup.manifest.contents, found.contents, now=0) == ["exported records has other contents"]


def test_a_running_owner_is_not_copied(store: ChromaStore, tmp_path: Path, python: Path) -> None:
    """Two processes must never have the files: the backup says which one has, and leaves nothing."""
    live = tmp_path / "other"
    argv = [str(python), "-c", FILL, str(live), "stay"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        running = ChromaStore(name="memory", directory=live, python=str(python))
        with pytest.raises(DrillError, match=f"process {owner.pid} has .* open: stop the owner first"):
            backed_up(running, tmp_path)
        assert list((tmp_path / "backups" / "memory").iterdir()) == []
        # The owner is our child: it is gone only once this process has collected it.
        stopped = (sys.executable, "-c", f"import os; os.kill({owner.pid}, 9)")
        touched = tmp_path / "started"
        ours = ChromaStore(
            name="memory", directory=live, python=str(python), stop=stopped, start=("/usr/bin/touch", str(touched))
        )
        assert backed_up(ours, tmp_path).manifest.contents["collection documents"].count == 3000
        assert touched.exists()


def test_this_file_names_the_version_of_the_docs() -> None:
    """docs/drill.md names the ChromaDB that these tests use."""
    assert "ChromaDB 1.5" in (ROOT / "docs" / "drill.md").read_text("utf-8")
