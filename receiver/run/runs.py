"""The receiver's side of a run: prepare the run, start its runner, and find out how the run ended.

The runner is a separate process (`receiver.run.runner`) and outlives the receiver. The state of a run is on disk and in
its lock; this module remembers nothing between calls. docs/runner.md explains the protocol.
"""

import asyncio
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from receiver.run import process_tree, rundir
from receiver.run.run_environment import child_environment, labels_json, runner_environment
from receiver.run.rundir import Claim, Claimant, Order, Outcome, Result, RunDirectoryError

__all__ = [
    "Alive",
    "Finished",
    "Interrupted",
    "NeverRan",
    "Order",
    "Outcome",
    "Result",
    "RunClaimedError",
    "RunDir",
    "RunDirectoryError",
    "RunState",
    "child_environment",
    "labels_json",
    "locate",
    "prepare",
    "prune",
    "read_output_tail",
    "recover",
    "request_cancel",
    "spawn",
    "wait",
]

START_LIMIT_S = 15.0
"""Seconds until a runner without a claim counts as dead. If the runner comes later, it finds the receiver's claim."""

OVERDUE_S = 30.0
"""Seconds after timeout and grace until the receiver ends a silent runner."""

KILL_LIMIT_S = 5.0
LOCK_CHECK_S = 1.0

_ACTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_RUN_OR_DRAFT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\.\d+|\.[A-Za-z0-9][^/]*\.tmp")


class RunClaimedError(Exception):
    """A runner has already claimed the attempt that was to be prepared: recover this attempt, do not run it again."""


class RunDir(Struct, frozen=True):
    """One attempt of one action: `<runs>/<action>.<attempt>/`."""

    path: Path


class Alive(Struct, frozen=True):
    """A runner holds the lock: wait for it."""


class Finished(Struct, frozen=True):
    """The command has ended, and this is how."""

    result: Result


class NeverRan(Struct, frozen=True):
    """The command was not started, and this attempt will never start it. The next attempt may."""


class Interrupted(Struct, frozen=True, kw_only=True):
    """The runner is gone without a result: the command may have run wholly, partly or not at all.

    The receiver has ended the processes that it found (`ended`). Of these, `left` could not be ended.
    """

    reason: str
    ended: int = 0
    left: int = 0


RunState = Alive | Finished | NeverRan | Interrupted


def locate(runs_dir: Path, action_id: str, attempt: int) -> RunDir:
    """The run of an attempt, existing or not. Raises ValueError for an invalid identifier."""
    if not _ACTION_ID.fullmatch(action_id) or attempt < 1:
        raise ValueError(f"not an action and attempt: {action_id!r}, {attempt}")
    return RunDir(runs_dir.absolute() / f"{action_id}.{attempt}")


def prepare(runs_dir: Path, action_id: str, attempt: int, order: Order) -> RunDir:
    """Write everything that a runner needs, durably. The directory appears whole or not at all.

    A directory of the same attempt in which nothing ran is replaced. Raises RunClaimedError if a runner claimed the
    directory, ValueError for an invalid identifier or order, and OSError if the files cannot be written.
    """
    run = locate(runs_dir, action_id, attempt)
    _check(order)
    runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.path.lexists(run.path):
        _discard_unclaimed(run)
    draft = Path(tempfile.mkdtemp(prefix=f".{run.path.name}.", suffix=".tmp", dir=runs_dir))
    try:
        with rundir.opened(draft) as dir_fd:
            rundir.write_new(dir_fd, rundir.ORDER, rundir.encode(order))
            rundir.write_new(dir_fd, rundir.LOCK, b"")
            os.fsync(dir_fd)
        draft.rename(run.path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _sync_directory(runs_dir)
    return run


def _check(order: Order) -> None:
    if not order.argv or not order.nonce:
        raise ValueError("an order needs a command and a nonce")
    if not Path(order.argv[0]).is_absolute() or not Path(order.cwd).is_absolute():
        raise ValueError(f"command and working directory must be absolute: {order.argv[0]!r}, {order.cwd!r}")
    if order.timeout_s <= 0 or order.grace_s < 0 or order.output_max_bytes < 0:
        raise ValueError("timeout_s must be above 0, grace_s and output_max_bytes at least 0")


def _discard_unclaimed(run: RunDir) -> None:
    if not isinstance(recover(run), NeverRan):
        raise RunClaimedError(f"{run.path.name} has been run or is running")
    shutil.rmtree(run.path)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def spawn(run: RunDir) -> None:
    """Start a runner for a prepared run: own session, allowed environment only, no descriptors of the receiver.

    Returns at once; `wait` says how the run ended. Raises OSError if no process can be made.
    """
    with rundir.opened(run.path) as dir_fd:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(rundir.RUNNER_LOG, flags, 0o600, dir_fd=dir_fd)
    try:
        runner = subprocess.Popen(
            [sys.executable, "-I", "-m", "receiver.run.runner", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=runner_environment(),
            start_new_session=True,
        )
    finally:
        os.close(log)
    # The receiver must collect the runner's exit status, or the runner stays a zombie for the receiver's lifetime.
    threading.Thread(target=runner.wait, name=f"reap-{run.path.name}", daemon=True).start()


def recover(run: RunDir) -> RunState:
    """Find out how a run ended, by the lock and the claim alone. Safe at any time, and repeatable.

    Blocks for up to KILL_LIMIT_S if an interrupted run left processes behind. Raises OSError if the disk cannot be read
    or written: the answer is then unknown, and the caller must try again later.
    """
    try:
        with rundir.opened(run.path) as dir_fd:
            order = rundir.read_order(dir_fd)
            lock = rundir.take_lock(dir_fd)
            if lock is None:
                return Alive()
            try:
                return _settle(dir_fd, order)
            finally:
                os.close(lock)
    except RunDirectoryError as error:
        return Interrupted(reason=str(error))


def _settle(dir_fd: int, order: Order) -> RunState:
    """Decide for good what happened. The caller holds the lock, so no runner works in this directory."""
    result = rundir.read_result(dir_fd, order.nonce)
    if result is not None:
        return Finished(result)
    mine = Claim(by=Claimant.RECEIVER, pid=os.getpid(), start_ticks=0)
    if rundir.claim(dir_fd, rundir.write_draft(dir_fd, rundir.CLAIM, rundir.encode(mine))):
        return NeverRan()
    found = rundir.read_claim(dir_fd)
    if found is not None and found.by is Claimant.RECEIVER:
        return NeverRan()
    ended = process_tree.kill_all(
        lambda: process_tree.marked(rundir.RUN_MARK, order.nonce), limit_s=KILL_LIMIT_S, reap=lambda: None
    )
    return Interrupted(reason="the runner ended without a result", ended=ended.killed, left=ended.left)


async def wait(
    run: RunDir, *, poll_s: float = 0.1, start_limit_s: float = START_LIMIT_S, overdue_s: float = OVERDUE_S
) -> RunState:
    """Wait until a spawned or re-attached run is settled.

    Never longer than the order's timeout, grace and `overdue_s`. A runner that is stuck by then is killed, and the run
    is Interrupted. Alive is returned only if the kill failed. Raises OSError as `recover` does.
    """
    begun = time.monotonic()
    checked = begun
    try:
        with rundir.opened(run.path) as dir_fd:
            order = rundir.read_order(dir_fd)
    except RunDirectoryError as error:
        return Interrupted(reason=str(error))
    limit_s = order.timeout_s + order.grace_s + overdue_s
    while True:
        waited_s = time.monotonic() - begun
        if (result := _result(run, order.nonce)) is not None:
            return Finished(result)
        if time.monotonic() - checked >= LOCK_CHECK_S:
            checked = time.monotonic()
            if _abandoned(run, may_be_starting=waited_s < start_limit_s):
                return await asyncio.to_thread(recover, run)
        if waited_s >= limit_s:
            return await asyncio.to_thread(_end_overdue, run)
        await asyncio.sleep(poll_s)


def _result(run: RunDir, nonce: str) -> Result | None:
    try:
        with rundir.opened(run.path) as dir_fd:
            return rundir.read_result(dir_fd, nonce)
    except RunDirectoryError:
        return None


def _abandoned(run: RunDir, *, may_be_starting: bool) -> bool:
    """Whether no runner holds the lock. A runner without a claim may still be starting."""
    try:
        with rundir.opened(run.path) as dir_fd:
            if may_be_starting and not rundir.exists(dir_fd, rundir.CLAIM):
                return False
            lock = rundir.take_lock(dir_fd)
    except RunDirectoryError:
        return True
    if lock is None:
        return False
    os.close(lock)
    return True


def _end_overdue(run: RunDir) -> RunState:
    """Kill a runner that has outlived every limit, by the identity in its claim."""
    with rundir.opened(run.path) as dir_fd:
        found = rundir.read_claim(dir_fd)
    runner = process_tree.look(found.pid) if found and found.by is Claimant.RUNNER else None
    if runner is not None and found is not None and runner.start_ticks == found.start_ticks:
        process_tree.send(runner, signal.SIGKILL)
    end = time.monotonic() + KILL_LIMIT_S
    while isinstance(state := recover(run), Alive) and time.monotonic() < end:
        time.sleep(0.02)
    return state


def prune(runs_dir: Path, *, before: datetime) -> int:
    """Remove runs, and half-prepared directories, that nobody has touched since; return their number.

    A run with a living runner stays, however old. Raises OSError.
    """
    if not runs_dir.is_dir():
        return 0
    gone = 0
    for entry in runs_dir.iterdir():
        if entry.lstat().st_mtime >= before.timestamp() or not _RUN_OR_DRAFT.fullmatch(entry.name):
            continue
        if entry.name.startswith(".") or not isinstance(recover(RunDir(entry)), Alive):
            shutil.rmtree(entry)
            gone += 1
    return gone


def request_cancel(run: RunDir, reason: str) -> None:
    """Ask the runner to end the command; the runner obeys within a second. Of several reasons the first stays."""
    with rundir.opened(run.path) as dir_fd:
        try:
            rundir.write_new(dir_fd, rundir.CANCEL, reason.encode(errors="replace")[: rundir.CANCEL_MAX_BYTES])
        except FileExistsError:
            return
        os.fsync(dir_fd)


def read_output_tail(run: RunDir, max_bytes: int = 4096) -> str:
    """The end of the command's output as inert text: no control characters but line ends and tabs."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with rundir.opened(run.path) as dir_fd:
            fd = os.open(rundir.OUTPUT, flags, dir_fd=dir_fd)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RunDirectoryError(f"{rundir.OUTPUT}: is a symbolic link") from error
        raise
    with os.fdopen(fd, "rb") as file:
        file.seek(max(os.fstat(fd).st_size - max_bytes, 0))
        text = file.read(max_bytes).decode(errors="replace")
    return "".join(char for char in text if char.isprintable() or char in "\n\t")
