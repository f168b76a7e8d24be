"""The command line itself, as a process."""

import os
import subprocess
import sys

from freezeline.cli import OK, READER_LEFT, USAGE

COMMAND = [sys.executable, "-m", "freezeline"]


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    """`freezeline --help | head -0` says nothing on stderr and exits as a program that SIGPIPE ended."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([*COMMAND, "--help"], stdout=write_end, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write_end)
    assert done.returncode == READER_LEFT
    assert done.stderr == b""


def test_help_is_data_and_usage_is_an_error() -> None:
    """Asked for, help goes to stdout and exits 0; without any command it exits 2."""
    for words, code in ((["--help"], OK), ([], USAGE)):
        done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert "commands:" in done.stdout
