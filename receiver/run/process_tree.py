"""Finds and ends processes that a command started, wherever they went. Standard library only.

On Linux the runner becomes the subreaper of everything below. The runner therefore finds a process even if the process
leaves its group, its session or its parent. On other systems the runner can end only the command's own process group,
and the result counts no other processes.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PASS_PAUSE_S = 0.005
_STAT_STATE, _STAT_PPID, _STAT_START = 0, 1, 19  # fields of /proc/PID/stat after the command's name; proc(5)

ON_LINUX = sys.platform.startswith("linux")


class Process(Struct, frozen=True, kw_only=True):
    """The identity of a process: its pid and its start. A pid alone may later belong to another process."""

    pid: int
    start_ticks: int
    parent: int
    ended: bool  # a zombie, waiting for its parent


class Ended(Struct, frozen=True, kw_only=True):
    """How the ending of processes went: how many were killed, and how many were still there at the time limit."""

    killed: int
    left: int


def become_subreaper() -> bool:
    """Adopt every orphan below this process. False if the system cannot."""
    if not ON_LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    return True


def die_with_parent() -> Callable[[], None] | None:
    """A function that a child calls before exec, so that the child ends with this process; None if impossible."""
    if not ON_LINUX:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # The parent died before prctl took effect.
            os._exit(127)

    return in_child


def start_ticks(pid: int) -> int:
    """When a process started, in ticks since boot; 0 if the process is gone or the system does not say."""
    process = look(pid)
    return process.start_ticks if process else 0


def look(pid: int) -> Process | None:
    """A process as /proc shows it; None if the process is gone or there is no /proc."""
    try:
        # The name before the last parenthesis may hold anything, blanks and parentheses included.
        values = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(
        pid=pid,
        start_ticks=int(values[_STAT_START]),
        parent=int(values[_STAT_PPID]),
        ended=values[_STAT_STATE] in {b"Z", b"X"},
    )


def processes() -> Iterator[Process]:
    """Every visible process of the machine; none without /proc."""
    if not ON_LINUX:
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := look(int(entry.name))):
            yield process


def descendants(of: int) -> list[Process]:
    """Children of a process, their children, and so on, without processes that have ended."""
    below: dict[int, list[Process]] = {}
    for process in processes():
        below.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    queue = [of]
    while queue:
        children = below.get(queue.pop(), [])
        found += children
        queue += [child.pid for child in children]
    return [process for process in found if not process.ended]


def marked(variable: str, value: str) -> list[Process]:
    """Processes of this user whose environment was started with `variable=value`, except this one."""
    wanted = f"{variable}={value}".encode()
    found = []
    for process in processes():
        if process.ended or process.pid == os.getpid():
            continue
        # Another user's environment cannot be read, and a process may end while it is looked at.
        with contextlib.suppress(PermissionError, FileNotFoundError, ProcessLookupError):
            if wanted in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                found.append(process)
    return found


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process. False if the process is gone, or if its pid belongs to another process now."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        current = look(process.pid)
        if current is None or current.start_ticks != process.start_ticks:
            return False
        signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: the process runs as another user now.
        return False
    finally:
        os.close(fd)
    return True


def send_group(group: int, number: signal.Signals) -> bool:
    """Signal a process group; False if the group is gone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # The rest of the group belongs to another user. (macOS says this of zombies, too.)
        return False
    return True


def group_exists(group: int) -> bool:
    """Whether a process group has members, also ended members that nobody has collected."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill_group(group: int, *, limit_s: float, reap: Callable[[], object]) -> Ended:
    """SIGKILL a process group and wait until the group is gone, on systems without a subreaper."""
    end = time.monotonic() + limit_s
    sent = send_group(group, signal.SIGKILL)
    while group_exists(group):
        reap()
        if time.monotonic() >= end:
            return Ended(killed=int(sent), left=1)
        time.sleep(_PASS_PAUSE_S)
    return Ended(killed=int(sent), left=0)


def kill_all(find: Callable[[], list[Process]], *, limit_s: float, reap: Callable[[], object]) -> Ended:
    """SIGKILL what `find` returns, until `find` returns nothing. The next pass ends children that were born meanwhile.

    After every pass, and once more when nothing is left, `reap` collects the processes that have ended. Without the
    last call, the exit status of a process that ends between `reap` and `find` would be lost.
    """
    end = time.monotonic() + limit_s
    killed: set[tuple[int, int]] = set()
    while True:
        reap()
        present = find()
        if not present or time.monotonic() >= end:
            reap()
            return Ended(killed=len(killed), left=len(present))
        killed |= {(one.pid, one.start_ticks) for one in present if send(one, signal.SIGKILL)}
        time.sleep(_PASS_PAUSE_S)
