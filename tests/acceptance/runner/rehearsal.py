"""Rollbacks of a toy service with faults injected: what the runner, the script, the receiver and the machine may do."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from receiver.run import runs
from receiver.run.rundir import Outcome
from receiver.run.runner import Step
from receiver.run.runs import Finished, NeverRan
from tests.acceptance.runner.processes import runner_pid, runner_signalled_at
from tests.unit.receiver.run.orders import shell, started
from tests.waiting import wait_until

SWITCH = "echo started >> {starts}; ln -sfn old {current}.new && mv -T {current}.new {current}"


class Fault(StrEnum):
    """What goes wrong in one rollback."""

    NONE = "none"
    NOISY = "prints 5 MB"
    SLOW = "takes its time"
    DAEMON = "leaves a server running"
    FAILS_AFTER = "switches, then exits 1"
    HANGS_AFTER = "switches, then hangs and ignores TERM"
    KILLED_EARLY = "runner killed before its claim"
    KILLED_RUNNING = "runner killed while the script runs"
    KILLED_LATE = "runner killed before its result"
    TWO_RUNNERS = "two runners at once"
    RECEIVER_GONE = "receiver restarts in the middle"
    FAILS = "the script itself fails"


# Of 100 rollbacks about two meet a script that does not work: nothing here can make that one succeed.
WEIGHTS = {fault: 2 if fault is Fault.FAILS else 8 for fault in Fault} | {Fault.NONE: 26}

SCRIPTS: Mapping[Fault, str] = {
    Fault.NOISY: SWITCH + "; yes | head -c 5000000",
    Fault.SLOW: "sleep 0.5; " + SWITCH,
    Fault.DAEMON: SWITCH + "; sleep 5 > /dev/null 2>&1 &",
    Fault.FAILS_AFTER: SWITCH + "; exit 1",
    Fault.HANGS_AFTER: "trap '' TERM; " + SWITCH + "; sleep 60",
    Fault.KILLED_RUNNING: SWITCH + "; sleep 60",
    Fault.RECEIVER_GONE: SWITCH + "; sleep 0.5",
    Fault.FAILS: "echo started >> {starts}; exit 1",
}


class Rehearsed(Struct, frozen=True, kw_only=True):
    """One rollback: what was injected, what the receiver would report, and what is true."""

    fault: Fault
    reported_done: bool
    truly_done: bool
    starts: int
    settled: bool  # the run had an answer, not an open end


def faults(seed: int, count: int) -> list[Fault]:
    """The same faults for the same seed."""
    return random.Random(seed).choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)


async def rehearse(directory: Path, fault: Fault) -> Rehearsed:
    """Roll one toy service back, as the receiver does it: attempts until one may have run, then the verification."""
    directory.mkdir()
    current, starts = directory / "current", directory / "starts"
    current.symlink_to("new")
    script = SCRIPTS.get(fault, SWITCH).format(starts=starts, current=current)
    order = shell(script, timeout_s=1.0 if fault is Fault.HANGS_AFTER else 10.0, grace_s=0.3)
    for attempt in range(1, 4):
        run = runs.prepare(directory / "runs", "rollback", attempt, order)
        starter = STARTERS.get(fault, runs.spawn) if attempt == 1 else runs.spawn
        await asyncio.to_thread(starter, run)
        state = await runs.wait(run, start_limit_s=3.0)
        if not isinstance(state, NeverRan):
            break
    return Rehearsed(
        fault=fault,
        reported_done=await verified(directory, f'test "$(readlink {current})" = old'),
        truly_done=str(current.readlink()) == "old",
        starts=started(starts),
        settled=isinstance(state, (Finished, runs.Interrupted)),
    )


async def verified(directory: Path, check: str) -> bool:
    """Whether the verify command says that the rollback is done."""
    run = runs.prepare(directory / "runs", "verify", 1, shell(check))
    runs.spawn(run)
    state = await runs.wait(run)
    assert isinstance(state, Finished)
    return state.result.outcome is Outcome.EXITED and state.result.code == 0


def _killed_at(step: Step) -> Callable[[runs.RunDir], None]:
    def start(run: runs.RunDir) -> None:
        with runner_signalled_at(run, step, "SIGKILL") as process:
            process.wait(20)

    return start


def _killed_running(run: runs.RunDir) -> None:
    """Kill the runner once the script has done its work, as an operator or the kernel might."""
    runs.spawn(run)
    pid = runner_pid(run)
    wait_until(lambda: str((run.path.parents[1] / "current").readlink()) == "old", 10, "the service is switched")
    os.kill(pid, signal.SIGKILL)


def _twice(run: runs.RunDir) -> None:
    runs.spawn(run)
    runs.spawn(run)


def _recovered_at_once(run: runs.RunDir) -> None:
    """A restarted receiver asks right away, while the runner is still starting or already working."""
    runs.spawn(run)
    runs.recover(runs.locate(run.path.parent, "rollback", 1))


STARTERS: Mapping[Fault, Callable[[runs.RunDir], None]] = {
    Fault.KILLED_EARLY: _killed_at(Step.LOCKED),
    Fault.KILLED_RUNNING: _killed_running,
    Fault.KILLED_LATE: _killed_at(Step.RESULT_DRAFTED),
    Fault.TWO_RUNNERS: _twice,
    Fault.RECEIVER_GONE: _recovered_at_once,
}
