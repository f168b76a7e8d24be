"""A run killed at any step leaves the old files or the new ones, and the next run needs no help."""

import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from generator.write import all_or_none as write
from generator.write.places import JOURNAL, MANIFEST
from tests.tools import ROOT
from tests.unit.generator.write.killed_run import OUTPUTS

OLD = {"rules/a.yml": b"a: old\n", "rules/tests/b.yml": b"b: new\n", "rules/gone/e.yml": b"e: old\n"}


def run_killed(root: Path, dies_at: int, what: str) -> bool:
    """Whether the process was killed before it was through."""
    argv = [sys.executable, "-m", "tests.unit.generator.write.killed_run", str(root), str(dies_at), what]
    done = subprocess.run(argv, cwd=ROOT, timeout=60, check=False, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def files(root: Path) -> dict[str, bytes]:
    """Every file of the root that is not our own book-keeping."""
    paths = (path for path in root.rglob("*") if path.is_file() and path.name not in (MANIFEST, JOURNAL))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def targets(root: Path) -> dict[str, bytes]:
    """As `files`, without what is only staged."""
    return {path: data for path, data in files(root).items() if not path.endswith(".freezeline-tmp")}


def each_kill(tmp_path: Path, what: str) -> list[Path]:
    """One root for each operation before which a run was killed."""
    roots: list[Path] = []
    for dies_at in count():
        root = tmp_path / f"{what}-{dies_at}"
        write.write_all(root, OLD)
        if not run_killed(root, dies_at, what):
            assert len(roots) > 10
            return roots
        roots.append(root)
    return roots


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Roots after each possible kill of the run that replaces OLD by OUTPUTS["new"]; tests work on copies."""
    return each_kill(tmp_path_factory.mktemp("killed"), "new")


def test_kills_cover_every_phase(killed: list[Path]) -> None:
    """There are kills before the commit, and between two renames after it."""
    seen = {frozenset(targets(root).items()) for root in killed}
    assert len(seen) > 3


def test_no_file_is_ever_torn(killed: list[Path]) -> None:
    """Whenever the kill came, each target holds its whole old or its whole new content."""
    changed = set()
    for root in killed:
        for path, data in targets(root).items():
            assert data in (OLD.get(path), OUTPUTS["new"].get(path)), (root.name, path)
            changed.add((path, data))
    assert changed >= set(OLD.items()) | set(OUTPUTS["new"].items())


def test_recovery_gives_all_or_none(killed: list[Path], tmp_path: Path) -> None:
    """After `recover` the root is wholly old or wholly new, without left-overs."""
    outcomes = set()
    for root in killed:
        copy = shutil.copytree(root, tmp_path / root.name)
        write.recover(copy)
        assert files(copy) in (OLD, OUTPUTS["new"]), root.name
        outcomes.add("old" if files(copy) == OLD else "new")
        assert not (copy / JOURNAL).exists()
    assert outcomes == {"old", "new"}


def test_next_run_ends_with_its_own_outputs(killed: list[Path], tmp_path: Path) -> None:
    """The run after a kill needs nothing but itself, also when it generates something else."""
    for root in killed:
        copy = shutil.copytree(root, tmp_path / root.name)
        write.write_all(copy, OUTPUTS["other"])
        assert files(copy) == OUTPUTS["other"], root.name
        assert write.check_all(copy, OUTPUTS["other"]) == []


def test_killed_recovery_is_recovered(killed: list[Path], tmp_path: Path) -> None:
    """A recovery that is killed at any step is completed by the one after it."""
    interrupted = killed[-4]
    for dies_at in count():
        copy = shutil.copytree(interrupted, tmp_path / str(dies_at))
        was_killed = run_killed(copy, dies_at, "recover")
        write.recover(copy)
        assert files(copy) == OUTPUTS["new"]
        if not was_killed:
            break
    assert dies_at >= 3


def test_check_reports_an_interrupted_run(killed: list[Path]) -> None:
    """A journal that was left is a difference, so that CI does not pass over it."""
    unfinished = [root for root in killed if (root / JOURNAL).exists()]
    assert unfinished
    for root in unfinished:
        assert "unfinished" in {difference.kind for difference in write.check_all(root, OUTPUTS["new"])}
