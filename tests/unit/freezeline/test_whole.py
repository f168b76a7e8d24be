"""Reports are written whole or not at all, wherever people want them."""

import subprocess
import sys
from pathlib import Path

import pytest

from freezeline.commands.whole import write
from tests.tools import ROOT


def test_a_file_keeps_its_mode_and_a_link_its_place(tmp_path: Path) -> None:
    """The link's target gets the text; nothing lies beside the files."""
    target, link = tmp_path / "report.md", tmp_path / "latest.md"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target.name)
    write(link, "new ü")
    assert (target.read_text("utf-8"), link.is_symlink()) == ("new ü", True)
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [link, target]


def test_a_pipe_is_written_to() -> None:
    """`--markdown /dev/stdout` works, as with other tools."""
    lines = "from pathlib import Path; from freezeline.commands.whole import write; write(Path('/dev/stdout'), 'text')"
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"text", b"")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """An OSError that names the place, for the command to report."""
    with pytest.raises(FileNotFoundError, match="reports"):
        write(tmp_path / "reports" / "report.md", "text")
