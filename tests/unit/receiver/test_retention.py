"""What goes with time."""

import os
from datetime import timedelta
from pathlib import Path

from receiver.retention import remove_old_runs
from tests.unit.receiver.builders import NOW


def test_runs_go_once_they_are_old(tmp_path: Path) -> None:
    """Only directories, and only those that nobody touched since."""
    assert remove_old_runs(tmp_path / "none", older_than=NOW) == 0
    for name, days in (("old.1", 31), ("new.1", 29)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text("{}")
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(tmp_path / name, (at, at))
    (tmp_path / "link").symlink_to(tmp_path / "old.1")
    assert remove_old_runs(tmp_path, older_than=NOW - timedelta(days=30)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new.1"]
