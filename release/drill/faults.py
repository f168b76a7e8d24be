"""Rollbacks of a stand-in service with faults injected: what script, runner, receiver and machine may do.

The real runner carries each rollback out, in a directory of its own. The stand-in service is a link: `new` before, and
`old` after a rollback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from receiver.run import rundir, runs
from receiver.run.commands import ask
from receiver.run.run_environment import child_environment, runner_environment
from receiver.run.rundir import Order
from receiver.run.runs import Finished, Interrupted, NeverRan

ATTEMPTS = 3
START_LIMIT_S = 3.0
KILLED_WITHIN_S = 0.4
CLAIM_LIMIT_S = 10.0
POLL_S = 0.01

SWITCH = 'echo started >> "{starts}"; ln -sfn old "{current}.new" && mv -T "{current}.new" "{current}"'


class Fault(StrEnum):
    """What goes wrong in one rollback."""

    NONE = "none"
    NOISY = "noisy"
    SLOW = "slow"
    DAEMON = "daemon"
    FAILS_AFTER = "fails-after"
    HANGS_AFTER = "hangs-after"
    RUNNER_KILLED_EARLY = "runner-killed-early"
    RUNNER_KILLED_LATE = "runner-killed-late"
    RUNNER_KILLED = "runner-killed"
    TWO_RUNNERS = "two-runners"
    RECEIVER_RESTARTS = "receiver-restarts"
    FAILS = "fails"


ABOUT: Mapping[Fault, str] = {
    Fault.NONE: "nothing goes wrong",
    Fault.NOISY: "the script prints 5 MB",
    Fault.SLOW: "the script takes its time",
    Fault.DAEMON: "the script leaves a server running",
    Fault.FAILS_AFTER: "the script rolls back, and exits 1",
    Fault.HANGS_AFTER: "the script rolls back, hangs, and ignores TERM",
    Fault.RUNNER_KILLED_EARLY: "the runner is killed before it begins",
    Fault.RUNNER_KILLED_LATE: "the runner is killed once the service is rolled back",
    Fault.RUNNER_KILLED: "the runner is killed at any time",
    Fault.TWO_RUNNERS: "two runners start at once",
    Fault.RECEIVER_RESTARTS: "the receiver restarts in the middle",
    Fault.FAILS: "the script does not roll back at all",
}

SURVIVED = tuple(fault for fault in Fault if fault not in {Fault.FAILS, Fault.RUNNER_KILLED})
"""Faults that every rollback survives. A script that does nothing, or is never begun again, cannot be survived."""

SCRIPTS: Mapping[Fault, str] = {
    Fault.NOISY: SWITCH + "; yes | head -c 5000000",
    Fault.SLOW: "sleep 0.5; " + SWITCH,
    Fault.DAEMON: SWITCH + "; sleep 5 > /dev/null 2>&1 &",
    Fault.FAILS_AFTER: SWITCH + "; exit 1",
    Fault.HANGS_AFTER: "trap '' TERM; " + SWITCH + "; sleep 60",
    Fault.RUNNER_KILLED_LATE: SWITCH + "; sleep 60",
    Fault.RUNNER_KILLED: "sleep 0.1; " + SWITCH + "; sleep 0.1",
    Fault.RECEIVER_RESTARTS: SWITCH + "; sleep 0.5",
    Fault.FAILS: 'echo started >> "{starts}"; exit 1',
}


class Rolled(Struct, frozen=True, kw_only=True):
    """One rollback: the injected fault, what the receiver would report, and what is true.

    `settled` says that the run had an answer. `done_s` is the time until the rollback was verified.
    """

    fault: Fault
    reported_done: bool
    truly_done: bool
    starts: int
    settled: bool
    done_s: float

    @property
    def ok(self) -> bool:
        """Whether the service was rolled back, once, and reported so."""
        return self.truly_done and not self.wrong

    @property
    def wrong(self) -> str:
        """What must never happen, whatever the fault; "" for a run that kept every promise."""
        if self.starts > 1:
            return f"the script was started {self.starts} times"
        if not self.settled:
            return "the run never had an answer"
        if self.reported_done != self.truly_done:
            return "reported as done, and was not" if self.reported_done else "was done, and not reported so"
        return ""


def chosen(faults: Sequence[Fault], count: int, seed: int) -> list[Fault]:
    """`count` faults, each kind as often as the others, in an order that the seed gives."""
    found = [faults[number % len(faults)] for number in range(count)]
    random.Random(seed).shuffle(found)  # noqa: S311 - an order to be repeated, not a secret
    return found


async def roll_back(directory: Path, fault: Fault, *, killed_after_s: float) -> Rolled:
    """Roll one stand-in service back, as the receiver does: attempts until one may have run, then the verification.

    `killed_after_s` is when a runner is killed whose fault names no moment.
    """
    current, starts, begun = directory / "current", directory / "starts", time.monotonic()
    _begin(directory, current)
    script = SCRIPTS.get(fault, SWITCH).format(starts=starts, current=current)
    order = _shell(script, timeout_s=1.0 if fault is Fault.HANGS_AFTER else 10.0)
    for attempt in range(1, ATTEMPTS + 1):
        run = runs.prepare(directory / "runs", "rollback", attempt, order)
        starter = _starter(fault, current, killed_after_s) if attempt == 1 else runs.spawn
        await asyncio.to_thread(starter, run)
        state = await runs.wait(run, start_limit_s=START_LIMIT_S)
        if not isinstance(state, NeverRan):
            break
    verify = f'test "$(readlink "{current}")" = old'
    answer = await ask(("/bin/sh", "-c", verify), timeout_s=10.0, env=child_environment({}, {}))
    return Rolled(
        fault=fault,
        reported_done=answer.ok,
        truly_done=_is_old(current),
        starts=_started(starts),
        settled=isinstance(state, Finished | Interrupted),
        done_s=time.monotonic() - begun,
    )


def _begin(directory: Path, current: Path) -> None:
    directory.mkdir(mode=0o700, parents=True)
    current.symlink_to("new")


def _is_old(current: Path) -> bool:
    return str(current.readlink()) == "old"


def _started(starts: Path) -> int:
    return len(starts.read_text().splitlines()) if starts.exists() else 0


def _shell(script: str, *, timeout_s: float) -> Order:
    return Order(
        argv=("/bin/sh", "-c", script),
        cwd="/",
        env=child_environment({}, {}),
        timeout_s=timeout_s,
        grace_s=0.3,
        output_max_bytes=4096,
        nonce=secrets.token_hex(16),
    )


Starter = Callable[[runs.RunDir], None]


def _starter(fault: Fault, current: Path, killed_after_s: float) -> Starter:
    """How the first attempt's runner is started, and what happens to the runner."""

    def killed_early(run: runs.RunDir) -> None:
        _killed(run, after_s=0.0)

    def killed(run: runs.RunDir) -> None:
        _killed(run, after_s=killed_after_s)

    def killed_late(run: runs.RunDir) -> None:
        runs.spawn(run)
        _until(lambda: _is_old(current))
        _kill_runner_of(run)

    def twice(run: runs.RunDir) -> None:
        runs.spawn(run)
        runs.spawn(run)

    def recovered(run: runs.RunDir) -> None:
        """A receiver that has just restarted asks at once what became of the run."""
        runs.spawn(run)
        runs.recover(runs.locate(run.path.parent, "rollback", 1))

    return {
        Fault.RUNNER_KILLED_EARLY: killed_early,
        Fault.RUNNER_KILLED: killed,
        Fault.RUNNER_KILLED_LATE: killed_late,
        Fault.TWO_RUNNERS: twice,
        Fault.RECEIVER_RESTARTS: recovered,
    }.get(fault, runs.spawn)


def _killed(run: runs.RunDir, *, after_s: float) -> None:
    """Start a runner, and kill it after a while."""
    argv = [sys.executable, "-I", "-m", "receiver.run.runner", str(run.path)]
    with subprocess.Popen(argv, env=runner_environment(), stderr=subprocess.DEVNULL, start_new_session=True) as runner:
        with contextlib.suppress(subprocess.TimeoutExpired):
            runner.wait(after_s)
        runner.kill()


def _kill_runner_of(run: runs.RunDir) -> None:
    with rundir.opened(run.path) as dir_fd:
        claim = rundir.read_claim(dir_fd)
    if claim is not None and claim.by is rundir.Claimant.RUNNER:
        with contextlib.suppress(ProcessLookupError):
            os.kill(claim.pid, signal.SIGKILL)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + CLAIM_LIMIT_S
    while not condition() and time.monotonic() < end:
        time.sleep(POLL_S)
