"""The programs that `./dev` links for tests start, with the libraries that they need."""

import subprocess

import pytest

from devtools.programs import SOURCES
from tests.tools import program

PROGRAMS = [program for source in SOURCES.values() for program in source.programs]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_linked_program_runs(name: str) -> None:
    """`-v` prints the version, and Redis keeps each of its names apart although they share one file."""
    ran = subprocess.run([program(name), "-v"], capture_output=True, text=True, timeout=20, check=False)
    said = f"{ran.stdout}{ran.stderr}".lower()
    assert ran.returncode == 0, said
    assert name.partition("-")[0] in said
