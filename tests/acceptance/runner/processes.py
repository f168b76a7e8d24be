"""Real runner processes, and what is left of the commands that they ran."""

import asyncio
import subprocess
import sys
from pathlib import Path

from receiver.run import process_tree, rundir, runs
from receiver.run.runner import Step
from tests.waiting import wait_until

KILLED_AT = Path(__file__).with_name("killed_at.py")


def runner(run: runs.RunDir) -> subprocess.Popen[bytes]:
    """A runner as the receiver starts it, but as a child of the test."""
    return subprocess.Popen([sys.executable, "-I", "-m", "receiver.run.runner", str(run.path)])


def runner_signalled_at(run: runs.RunDir, step: Step, signal_name: str) -> subprocess.Popen[bytes]:
    """A runner that signals itself right after `step`."""
    return subprocess.Popen([sys.executable, "-I", str(KILLED_AT), str(run.path), step, signal_name])


def left_of(nonce: str) -> list[int]:
    """Processes that carry the run's mark."""
    return [process.pid for process in process_tree.marked(rundir.RUN_MARK, nonce)]


def carry_out(run: runs.RunDir) -> runs.RunState:
    """Start a runner and wait for what becomes of it."""
    runs.spawn(run)
    return asyncio.run(runs.wait(run))


def result_of(state: runs.RunState) -> rundir.Result:
    """The result of a run that must have finished."""
    assert isinstance(state, runs.Finished), state
    return state.result


def runner_pid(run: runs.RunDir) -> int:
    """The runner's process, once it has claimed the run."""

    def claimed() -> int:
        with rundir.opened(run.path) as dir_fd:
            claim = rundir.read_claim(dir_fd)
        return claim.pid if claim else 0

    return wait_until(claimed, 10, "the runner claims the run")
