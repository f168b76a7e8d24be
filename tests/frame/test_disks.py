"""Directories of tests are removed when nobody uses them any more, and not before."""

import sys
from pathlib import Path

import pytest

from receiver.run import runs
from tests.disks import public_directory
from tests.unit.receiver.run.orders import shell
from tests.waiting import wait_until

WORK = 'touch {root}/begun; for n in 1 2 3 4 5 6 7 8 9; do sleep 0.05; touch "{root}/$n"; done; touch {done}'


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the command lines of other processes")
def test_a_public_directory_waits_for_runners(tmp_path: Path) -> None:
    """A runner goes on after its receiver has ended, and its command works in the directory to its own end."""
    with public_directory() as root:
        order = shell(WORK.format(root=root, done=tmp_path / "done"))
        runs.spawn(runs.prepare(root / "runs", "busy", 1, order))
        wait_until((root / "begun").exists, 30, "the command works in the directory")
    assert (tmp_path / "done").exists()
    assert not root.exists()
