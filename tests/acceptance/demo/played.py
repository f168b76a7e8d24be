"""Plays `freezeline demo` as a process, and finds what the demo leaves behind."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.tools import Generation


def environment(generation: Generation, directory: Path) -> dict[str, str]:
    """An environment with one generation of the tools first, and temporary files in `directory`."""
    path = os.pathsep.join([str(generation.prometheus.parent), str(generation.alertmanager.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "TMPDIR": str(directory)}


def left_running(directory: Path) -> list[str]:
    """Command lines of processes that name `directory` or work in it."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError, NotADirectoryError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if process.name.isdigit() and (
                str(directory) in words or str(directory) in str((process / "cwd").readlink())
            ):
                found.append(words)
    return found


@contextlib.contextmanager
def demo(generation: Generation, directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`freezeline demo`, its lines in DIRECTORY.out and .err; ended where the test does not get that far."""
    with (
        directory.with_suffix(".out").open("w") as out,
        directory.with_suffix(".err").open("w") as err,
        subprocess.Popen(
            [sys.executable, "-m", "freezeline", "demo", *options],
            env=environment(generation, directory),
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def says(process: subprocess.Popen[str], said: Path, text: str) -> bool:
    """Whether the demo has said `text`; a demo that has ended before fails the test with what it said."""
    spoken = said.read_text()
    assert text in spoken or process.poll() is None, spoken
    return text in spoken
