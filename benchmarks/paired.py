"""Whole commands, timed beside an empty Python, so that a busy machine slows both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

RUN_DEADLINE_S = 300

EMPTY = (sys.executable, "-E", "-s", "-c", "pass")
FREEZELINE = str(Path(sys.executable).with_name("freezeline"))


MEMORY = Path("/dev/shm")  # noqa: S108 - each use makes a folder with a name of its own in it


def in_memory(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A folder that no disk holds, where the system has a place for that.

    To create a file, ext4 takes 0.05 to 0.6 ms of processor time: more, the more was deleted in the last minutes.
    """
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return tempfile.TemporaryDirectory(prefix=prefix, dir=MEMORY if usable else None)


class Run(Struct, frozen=True, kw_only=True):
    """One run of a command, the processes that it started included."""

    wall_s: float
    cpu_s: float
    peak_mib: float  # of the largest process


class Ratio(Struct, frozen=True, kw_only=True):
    """Medians over several runs, each held against the empty Pythons right before and after it."""

    wall: float
    cpu: float
    wall_s: float
    empty_s: float
    peak_mib: float


def environment() -> dict[str, str]:
    """Without settings that change how Python starts, and without promtool: another program's start is not ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FREEZELINE_", "PYTHON"))}
    return kept | {"PATH": str(Path(sys.executable).parent)}


def run(command: Sequence[str]) -> Run:
    """Run to the end. Raises CalledProcessError where the command fails, also by the deadline."""
    begun = time.perf_counter()
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = threading.Timer(RUN_DEADLINE_S, process.kill)
        deadline.start()
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        deadline.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(wall_s=wall_s, cpu_s=used.ru_utime + used.ru_stime, peak_mib=used.ru_maxrss / 1024)


def ratio(command: Sequence[str], runs: int, before: Callable[[], object] = lambda: None) -> Ratio:
    """The command against an empty Python; `before` is done before each run, and not timed."""
    before()
    run(command)  # fill the caches: compiled files, the file system's
    walls, cpus, whole, empties, peak_mib = [], [], [], [], 0.0
    for _ in range(runs):
        before()
        around = [run(EMPTY)]
        found = run(command)
        around.append(run(EMPTY))
        empty_s = statistics.fmean(each.wall_s for each in around)
        walls.append(found.wall_s / empty_s)
        cpus.append(found.cpu_s / statistics.fmean(each.cpu_s for each in around))
        whole.append(found.wall_s)
        empties.append(empty_s)
        peak_mib = max(peak_mib, found.peak_mib)
    return Ratio(
        wall=statistics.median(walls),
        cpu=statistics.median(cpus),
        wall_s=statistics.median(whole),
        empty_s=statistics.median(empties),
        peak_mib=peak_mib,
    )
