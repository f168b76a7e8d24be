"""Outputs reach the disk all or none; only what we generated is ever replaced or removed."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from generator.write import all_or_none as write
from generator.write.journal import Disk
from generator.write.places import JOURNAL, MANIFEST, WriteError
from tests.tools import ROOT

FIRST = {"rules/a.yml": b"a: 1\n", "rules/tests/a.yml": b"t: 1\n"}


def test_writes_everything_and_says_so(tmp_path: Path) -> None:
    """A first run makes the root, its directories and all files."""
    report = write.write_all(tmp_path / "out", FIRST)
    assert report == write.Report(written=("rules/a.yml", "rules/tests/a.yml"))
    assert (tmp_path / "out/rules/tests/a.yml").read_bytes() == b"t: 1\n"


def test_leaves_unchanged_files_alone(tmp_path: Path) -> None:
    """A second run with one new content rewrites that file only."""
    write.write_all(tmp_path, FIRST)
    before = (tmp_path / "rules/tests/a.yml").stat()
    report = write.write_all(tmp_path, FIRST | {"rules/a.yml": b"a: 2\n"})
    assert report == write.Report(written=("rules/a.yml",), unchanged=("rules/tests/a.yml",))
    assert (tmp_path / "rules/tests/a.yml").stat().st_mtime_ns == before.st_mtime_ns


def test_repeating_a_run_changes_nothing(tmp_path: Path) -> None:
    """The same outputs again leave even the book-keeping as it is."""
    write.write_all(tmp_path, FIRST)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write.write_all(tmp_path, FIRST)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_removes_what_is_no_longer_generated(tmp_path: Path) -> None:
    """A stale file goes, and the directory that held nothing else."""
    write.write_all(tmp_path, FIRST)
    report = write.write_all(tmp_path, {"rules/a.yml": b"a: 1\n"})
    assert report.removed == ("rules/tests/a.yml",)
    assert not (tmp_path / "rules/tests").exists()


def test_keeps_a_stale_file_that_was_edited(tmp_path: Path) -> None:
    """A stale file with other content than we gave it is reported and left to its editor."""
    write.write_all(tmp_path, FIRST)
    (tmp_path / "rules/tests/a.yml").write_bytes(b"mine\n")
    report = write.write_all(tmp_path, {"rules/a.yml": b"a: 1\n"})
    assert (report.removed, report.kept) == ((), ("rules/tests/a.yml",))
    assert (tmp_path / "rules/tests/a.yml").read_bytes() == b"mine\n"


def test_a_partial_run_speaks_only_for_its_part(tmp_path: Path) -> None:
    """What `covers` leaves out is neither removed nor forgotten."""
    write.write_all(tmp_path, FIRST)
    write.write_all(tmp_path, {"rules/a.yml": b"a: 2\n"}, covers=lambda path: not path.startswith("rules/tests/"))
    assert (tmp_path / "rules/tests/a.yml").exists()
    assert write.write_all(tmp_path, {"rules/a.yml": b"a: 2\n"}).removed == ("rules/tests/a.yml",)


def test_never_touches_files_of_other_origin(tmp_path: Path) -> None:
    """Files beside ours stay, whatever is generated or removed."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/own.yml").write_bytes(b"own\n")
    write.write_all(tmp_path, FIRST)
    write.write_all(tmp_path, {})
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["own.yml"]


def test_refuses_to_replace_a_foreign_file(tmp_path: Path) -> None:
    """A file in our way that no run made is named, and nothing is written; `adopt` replaces it."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yml").write_bytes(b"own\n")
    with pytest.raises(WriteError, match=r"were not generated here: rules/a\.yml; .*--adopt"):
        write.write_all(tmp_path, FIRST)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.yml", "rules"]
    assert write.write_all(tmp_path, FIRST, adopt=True).written == ("rules/a.yml", "rules/tests/a.yml")


def test_takes_over_a_file_with_the_wanted_content(tmp_path: Path) -> None:
    """A checkout without its manifest is no obstacle where the files are up to date."""
    write.write_all(tmp_path, FIRST)
    (tmp_path / MANIFEST).unlink()
    assert write.write_all(tmp_path, FIRST).written == ()
    assert (tmp_path / MANIFEST).exists()


def test_overwrites_an_edited_generated_file(tmp_path: Path) -> None:
    """What the mending command promises: generated files come back as generated."""
    write.write_all(tmp_path, FIRST)
    (tmp_path / "rules/a.yml").write_bytes(b"edited\n")
    assert write.write_all(tmp_path, FIRST).written == ("rules/a.yml",)


def test_keeps_the_mode_of_a_file(tmp_path: Path) -> None:
    """Permissions that somebody set on a generated file survive regeneration."""
    write.write_all(tmp_path, FIRST)
    (tmp_path / "rules/a.yml").chmod(0o640)
    write.write_all(tmp_path, FIRST | {"rules/a.yml": b"a: 2\n"})
    assert stat.S_IMODE((tmp_path / "rules/a.yml").stat().st_mode) == 0o640


@pytest.mark.parametrize("path", ["../x", "/x", "a/../x", "a//x", "./x", "", ".", "a\0b", MANIFEST, JOURNAL])
def test_refuses_paths_out_of_the_root(tmp_path: Path, path: str) -> None:
    """No output can be named so that it lands elsewhere, or on our own files."""
    with pytest.raises(WriteError, match="not a path that can be written"):
        write.write_all(tmp_path / "out", {path: b""})
    assert list(tmp_path.iterdir()) == []


def test_refuses_symbolic_links(tmp_path: Path) -> None:
    """Neither a linked file nor a linked directory is written through, and nothing else is written either."""
    root, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    (root / "rules").symlink_to(outside)
    with pytest.raises(WriteError, match="out/rules: is a symbolic link"):
        write.write_all(root, FIRST | {"b.txt": b""})
    (root / "rules").unlink()
    (root / "b.txt").symlink_to(outside / "b.txt")
    with pytest.raises(WriteError, match=r"b\.txt: is a symbolic link"):
        write.write_all(root, FIRST | {"b.txt": b""})
    assert list(outside.iterdir()) == []
    assert [path.name for path in root.iterdir()] == ["b.txt"]


def test_refuses_a_directory_in_a_files_place(tmp_path: Path) -> None:
    """And a file in a directory's place: both are named."""
    (tmp_path / "rules/a.yml").mkdir(parents=True)
    with pytest.raises(WriteError, match=r"rules/a\.yml: is not a regular file"):
        write.write_all(tmp_path, FIRST)
    (tmp_path / "rules/a.yml").rmdir()
    (tmp_path / "rules").rmdir()
    (tmp_path / "rules").write_bytes(b"")
    with pytest.raises(WriteError, match="rules: is not a directory"):
        write.write_all(tmp_path, FIRST)


_AS_NOBODY = """
import os, sys
from pathlib import Path
from generator.write import all_or_none as write
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    write.write_all(Path(sys.argv[1]), {"open/a.yml": b"new", "shut/b.yml": b"new"})
except write.WriteError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become a user without rights")
def test_an_unwritable_directory_stops_all(tmp_path: Path) -> None:
    """The error names the directory, and the file that could have been written was not."""
    root = tmp_path / "out"
    for directory in (root, root / "open", root / "shut"):
        directory.mkdir()
        directory.chmod(0o777)
    (root / "shut").chmod(0o555)
    for parent in root.parents[:4]:  # with pytest-xdist there is one more
        parent.chmod(parent.stat().st_mode | 0o055)
    argv = [sys.executable, "-c", _AS_NOBODY, str(root)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"{root / 'shut'}: permission denied\n")
    assert sorted(path.name for path in root.rglob("*")) == ["open", "shut"]


class FullDisk(Disk):
    """Has room for one file only, besides the journal."""

    files = 0

    def write_new(self, path: Path, data: bytes, mode: int | None) -> None:
        """ENOSPC from the second file on."""
        self.files += JOURNAL not in path.name
        if self.files > 1:
            raise OSError(28, "No space left on device", str(path))
        super().write_new(path, data, mode)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """What was staged before the disk was full is taken back, with the directories made for it."""
    with pytest.raises(WriteError, match="no space left on device"):
        write.write_all(tmp_path, FIRST, disk=FullDisk())
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """Two runs never interleave."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(WriteError, match="another run is writing here"):
            write.write_all(tmp_path, FIRST)
    finally:
        os.close(descriptor)
    assert write.write_all(tmp_path, FIRST).written == tuple(FIRST)


@pytest.mark.parametrize("name", [MANIFEST, JOURNAL])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"format": "freezeline.other/1"}'])
def test_damaged_book_keeping_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    """A manifest or journal that cannot be read stops the run instead of being guessed at."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WriteError, match=name):
        write.write_all(tmp_path, FIRST)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("path", ["../victim", "/etc/victim"])
def test_a_journal_cannot_reach_out_of_the_root(tmp_path: Path, path: str) -> None:
    """A journal from a hostile checkout removes nothing elsewhere."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    journal = f'{{"format":"freezeline.journal/1","phase":"commit","moves":{{}},"removals":["{path}"],"made_dirs":[]}}'
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / JOURNAL).write_text(journal)
    with pytest.raises(WriteError, match="not a path that can be written"):
        write.write_all(tmp_path / "out", FIRST)
    assert victim.exists()
