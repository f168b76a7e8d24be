"""Runs one command under a time limit, in a process that outlives the receiver. Standard library only.

Started as `python -I -m receiver.run.runner DIR`; everything that the runner needs is in DIR. Lock and claim decide
whether the command runs at all. The runner then keeps the deadline, ends the whole process tree if necessary, and
writes the result. docs/runner.md explains the protocol; `Step` names every point at which a kill may come.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from enum import StrEnum

from receiver.run import process_tree, rundir
from receiver.run.rundir import Claim, Claimant, Order, Outcome, Result, RunDirectoryError
from receiver.run.watch import Watch

LOCK_RETRY_S = 5.0
"""The receiver holds the lock only for moments. If the lock is taken for longer, another runner has the lock."""


class Step(StrEnum):
    """The step that has just ended, in this order. docs/runner.md says what recovery finds after a kill there."""

    STARTED = "started"
    LOCKED = "locked"
    CLAIM_DRAFTED = "claim_drafted"
    CLAIMED = "claimed"
    SPAWNED = "spawned"
    ENDED = "ended"
    OUTPUT_CLOSED = "output_closed"
    RESULT_DRAFTED = "result_drafted"
    RESULT_PUBLISHED = "result_published"


AtStep = Callable[[Step], None]


class NotOursError(Exception):
    """Another runner or the receiver decided about this run, so this runner does nothing."""


def run(path: str, at_step: AtStep = lambda _: None) -> Result:
    """Carry out the order in `path` and return the written result.

    Every step ends with a call of `at_step`. Raises NotOursError if another process has the lock or the claim,
    RunDirectoryError for an unusable directory, and OSError if a file cannot be written.
    """
    at_step(Step.STARTED)
    with rundir.opened(path) as dir_fd:
        order = rundir.read_order(dir_fd)
        lock = _take_lock(dir_fd)
        at_step(Step.LOCKED)
        try:
            _claim(dir_fd, at_step)
            result = _carry_out(dir_fd, order, at_step)
            draft = rundir.write_draft(dir_fd, rundir.RESULT, rundir.encode(result))
            at_step(Step.RESULT_DRAFTED)
            rundir.publish_result(dir_fd, draft)
            at_step(Step.RESULT_PUBLISHED)
        finally:
            os.close(lock)
    return result


def _take_lock(dir_fd: int) -> int:
    end = time.monotonic() + LOCK_RETRY_S
    while (lock := rundir.take_lock(dir_fd)) is None:
        if time.monotonic() >= end:
            raise NotOursError("another process holds the lock")
        time.sleep(0.02)
    return lock


def _claim(dir_fd: int, at_step: AtStep) -> None:
    pid = os.getpid()
    mine = Claim(by=Claimant.RUNNER, pid=pid, start_ticks=process_tree.start_ticks(pid))
    draft = rundir.write_draft(dir_fd, rundir.CLAIM, rundir.encode(mine))
    at_step(Step.CLAIM_DRAFTED)
    if not rundir.claim(dir_fd, draft):
        raise NotOursError("this run has been claimed before")
    at_step(Step.CLAIMED)


def _carry_out(dir_fd: int, order: Order, at_step: AtStep) -> Result:
    """Start the command, unless it was cancelled before, and follow it to its end."""
    if rundir.exists(dir_fd, rundir.CANCEL):
        return _not_started(order, Outcome.CANCELLED, rundir.read_cancel(dir_fd))
    watch = Watch(dir_fd, order)
    try:
        watch.start()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        watch.close()
        return _not_started(order, Outcome.SPAWN_FAILED, str(error))
    at_step(Step.SPAWNED)
    watch.until_over()
    at_step(Step.ENDED)
    watch.close()
    at_step(Step.OUTPUT_CLOSED)
    return watch.result()


def _not_started(order: Order, outcome: Outcome, reason: str) -> Result:
    return Result(
        nonce=order.nonce,
        outcome=outcome,
        code=None,
        signal=None,
        started_at=None,
        ended_at=rundir.now(),
        killed=0,
        reason=reason,
    )


def main(arguments: list[str]) -> int:
    """Exit status: 0 a result was written; 1 somebody else decided; 2 usage; 3 the directory is unusable."""
    if len(arguments) != 1:
        print("usage: python -I -m receiver.run.runner DIR", file=sys.stderr)  # noqa: T201 - its only voice
        return 2
    try:
        run(arguments[0])
    except NotOursError as error:
        print(f"nothing done: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except (RunDirectoryError, OSError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
