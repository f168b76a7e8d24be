"""The runner is killed at each of its steps; recovery is right, and no command starts twice."""

import signal
import subprocess
from pathlib import Path

import pytest

from receiver.run import runs
from receiver.run.runner import Step
from receiver.run.runs import Alive, Finished, Interrupted, NeverRan
from tests.acceptance.runner.processes import left_of, runner, runner_signalled_at
from tests.unit.receiver.run.orders import shell, started
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

AFTER_A_KILL: dict[Step, type[runs.RunState]] = {
    Step.STARTED: NeverRan,
    Step.LOCKED: NeverRan,
    Step.CLAIM_DRAFTED: NeverRan,
    Step.CLAIMED: Interrupted,
    Step.SPAWNED: Interrupted,
    Step.ENDED: Interrupted,
    Step.OUTPUT_CLOSED: Interrupted,
    Step.RESULT_DRAFTED: Interrupted,
    Step.RESULT_PUBLISHED: Finished,
}
BEFORE_THE_CLAIM = [Step.STARTED, Step.LOCKED, Step.CLAIM_DRAFTED]
HAS_RUN = {Step.ENDED, Step.OUTPUT_CLOSED, Step.RESULT_DRAFTED, Step.RESULT_PUBLISHED}


def test_every_step_has_its_answer() -> None:
    """A step that is added to the runner needs an answer here."""
    assert set(AFTER_A_KILL) == set(Step)


@pytest.mark.parametrize("step", Step)
def test_recovery_after_a_kill(tmp_path: Path, step: Step) -> None:
    """Recovery says what happened, says so again, and a second runner changes nothing."""
    starts = tmp_path / "starts"
    order = shell(f"echo started >> {starts}; setsid sleep 60 >&- 2>&- & test {step} != spawned || sleep 60")
    run = runs.prepare(tmp_path / "runs", "a", 1, order)
    with runner_signalled_at(run, step, "SIGKILL") as first:
        assert first.wait(20) == -signal.SIGKILL
    answers = [runs.recover(run), runs.recover(run)]
    assert [type(answer) for answer in answers] == [AFTER_A_KILL[step]] * 2
    begun = started(starts)
    assert begun == 1 if step in HAS_RUN else begun <= 1
    if isinstance(answers[0], Interrupted):
        assert left_of(order.nonce) == []
    else:
        assert begun == (1 if isinstance(answers[0], Finished) else 0)
    with runner(run) as late:
        assert late.wait(20) == 1
    assert started(starts) == begun
    end_all(order.nonce)


def end_all(nonce: str) -> None:
    """End what a finished command legitimately left in the background."""
    for pid in left_of(nonce):
        subprocess.run(["kill", "-9", str(pid)], check=False)


@pytest.mark.parametrize("step", BEFORE_THE_CLAIM)
def test_a_late_runner_finds_the_receivers_claim(tmp_path: Path, step: Step) -> None:
    """A runner that was held up before its claim, and given up on, never starts the command."""
    starts = tmp_path / "starts"
    run = runs.prepare(tmp_path / "runs", "a", 1, shell(f"echo started >> {starts}"))
    with runner_signalled_at(run, step, "SIGSTOP") as late:
        wait_until(lambda: state_of(late.pid) == "T", 20, "the runner has stopped")
        answer = runs.recover(run)
        late.send_signal(signal.SIGCONT)
        code = late.wait(20)
    # Once it holds the lock it counts as alive, and then it is the one to decide.
    expected = (NeverRan(), 1, 0) if step is Step.STARTED else (Alive(), 0, 1)
    assert (answer, code, started(starts)) == expected


def state_of(pid: int) -> str:
    """One letter for what a process is doing; proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_two_racing_runners_start_the_command_once(tmp_path: Path) -> None:
    """However two runners and a receiver that recovers meet, there is one start at most, and the answer is true."""
    for attempt in range(1, 13):
        starts = tmp_path / f"starts.{attempt}"
        run = runs.prepare(tmp_path / "runs", "a", attempt, shell(f"echo started >> {starts}"))
        with runner(run) as one, runner(run) as other:
            answers = []
            while one.poll() is None or other.poll() is None:
                if attempt % 2:
                    answers.append(runs.recover(run))
            codes = sorted([one.wait(), other.wait()])
        final = runs.recover(run)
        assert (type(final), started(starts), codes) in [
            (Finished, 1, [0, 1]),
            (NeverRan, 0, [1, 1]),
        ]
        settled = [answer for answer in answers if not isinstance(answer, Alive)]
        assert all(answer == final for answer in settled)
