"""A command under the runner: limits, cancellation, isolation from the receiver."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from receiver.run import rundir, runs
from receiver.run.rundir import Outcome
from receiver.run.runs import Finished, Interrupted, NeverRan
from tests.acceptance.runner.processes import carry_out, left_of, result_of, runner, runner_pid
from tests.tools import ROOT
from tests.unit.receiver.run.orders import order, python, shell, started
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

BUSY_S = 1.0
"""How long a busy machine may take to end processes that were killed."""
STUBBORN = """
import os, signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM; sleep 300"])      # a session of its own
if os.fork() == 0:                                                       # a daemon by double fork
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
    os._exit(0)
block = b"x" * (1 << 20)
for _ in range(1024):
    os.write(1, block)
os.write(1, b"the last words")
open(sys.argv[1], "w").close()
time.sleep(300)
"""


@pytest.mark.timed
def test_a_stubborn_script_is_gone_within_limit_and_grace(tmp_path: Path) -> None:
    """A script that ignores TERM, has children in other sessions, holds its output open and prints 1 GiB ends."""
    limit_s, grace_s, tail_bytes = 8.0, 2.0, 100_000
    printed = tmp_path / "printed"
    order = python(STUBBORN, printed, timeout_s=limit_s, grace_s=grace_s, output_max_bytes=tail_bytes)
    run = runs.prepare(tmp_path / "runs", "a", 1, order)
    runs.spawn(run)
    pid = runner_pid(run)
    wait_until(printed.exists, limit_s, "1 GiB has been printed")
    peak_kib = peak_memory_kib(pid)
    assert len(left_of(order.nonce)) >= 3
    result = result_of(asyncio.run(runs.wait(run)))
    assert (result.outcome, result.signal, result.left) == (Outcome.TIMED_OUT, signal.SIGKILL, 0)
    assert left_of(order.nonce) == []
    assert result.killed >= 3
    assert result.started_at is not None
    assert limit_s < (result.ended_at - result.started_at).total_seconds() <= limit_s + grace_s + BUSY_S
    log = (run.path / "output.log").read_bytes()
    left_out = 2**30 + len(b"the last words") - rundir.OUTPUT_HEAD_BYTES - tail_bytes
    marker = f"\n[… {left_out} bytes left out …]\n".encode()
    assert log == b"x" * rundir.OUTPUT_HEAD_BYTES + marker + b"x" * (tail_bytes - 14) + b"the last words"
    assert peak_kib < 40 * 1024


@pytest.mark.timed
def test_the_kill_comes_before_the_grace_is_over(tmp_path: Path) -> None:
    """All is gone by then: KILL comes 0.2 s before. A busy machine may eat that up once, hardly three times."""
    limit_s, grace_s = 0.5, 2.0
    took_s: list[float] = []
    for attempt in (1, 2, 3):
        order = shell("trap '' TERM; while :; do sleep 0.1; done", timeout_s=limit_s, grace_s=grace_s)
        result = result_of(carry_out(runs.prepare(tmp_path, "a", attempt, order)))
        assert (result.outcome, result.left) == (Outcome.TIMED_OUT, 0)
        assert result.started_at is not None
        took_s.append((result.ended_at - result.started_at).total_seconds())
        if took_s[-1] <= limit_s + grace_s:
            break
    assert limit_s + grace_s - 0.5 < min(took_s) <= limit_s + grace_s


def peak_memory_kib(pid: int) -> int:
    """The most memory that a process has had at once."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def test_memory_does_not_grow_with_the_output(tmp_path: Path) -> None:
    """Printing 512 MiB takes the runner no more memory than printing 1 MiB, within 2 MiB."""
    peaks = []
    for attempt, mebibytes in enumerate((1, 512), start=1):
        printed = tmp_path / f"printed.{attempt}"
        script = f"head -c {mebibytes}M /dev/zero; touch {printed}; sleep 60"
        run = runs.prepare(tmp_path / "runs", "a", attempt, shell(script, timeout_s=60))
        runs.spawn(run)
        pid = runner_pid(run)
        wait_until(printed.exists, 30, "all has been printed")
        peaks.append(peak_memory_kib(pid))
        runs.request_cancel(run, "measured")
        assert result_of(asyncio.run(runs.wait(run))).outcome is Outcome.CANCELLED
    assert peaks[1] - peaks[0] <= 2 * 1024, peaks


@pytest.mark.parametrize(
    "script,outcome,code,number",
    [
        ("exit 0", Outcome.EXITED, 0, None),
        ("exit 7", Outcome.EXITED, 7, None),
        ("kill -ABRT $$", Outcome.SIGNALLED, None, signal.SIGABRT),
    ],
    ids=["exit 0", "exit 7", "abort"],
)
def test_an_ending_is_told_as_it_was(
    tmp_path: Path, script: str, outcome: Outcome, code: int | None, number: int | None
) -> None:
    """Exit status and signal of the command reach the result."""
    result = result_of(carry_out(runs.prepare(tmp_path, "a", 1, shell(script))))
    assert (result.outcome, result.code, result.signal, result.killed) == (outcome, code, number, 0)


@pytest.mark.timed
def test_a_script_that_ends_on_term_is_not_killed(tmp_path: Path) -> None:
    """A script may use the grace to clean up; what it says and its exit status are kept."""
    script = "trap 'echo cleaned up; exit 9' TERM; echo ready; while :; do sleep 0.05 2>&-; done 2>/dev/null"
    run = runs.prepare(tmp_path, "a", 1, shell(script, timeout_s=1.0, grace_s=10.0))
    begun = time.monotonic()
    result = result_of(carry_out(run))
    assert (result.outcome, result.code, result.killed) == (Outcome.TIMED_OUT, 9, 0)
    assert runs.read_output_tail(run) == "ready\ncleaned up\n"
    assert time.monotonic() - begun < 6


@pytest.mark.parametrize(
    "argv,cwd,reason",
    [
        (["/does/not/exist"], "/", "No such file"),
        (["/etc/passwd"], "/", "Permission denied"),
        (["/bin/true"], "/does/not/exist", "No such file"),
        (["/bin/true", "a\0b"], "/", "null byte"),
    ],
    ids=["missing", "not executable", "no directory", "NUL"],
)
def test_a_command_that_cannot_start_says_why(tmp_path: Path, argv: list[str], cwd: str, reason: str) -> None:
    """A command that cannot be started is an outcome, not an interruption."""
    result = result_of(carry_out(runs.prepare(tmp_path, "a", 1, order(*argv, cwd=cwd))))
    assert (result.outcome, result.code, result.started_at) == (Outcome.SPAWN_FAILED, None, None)
    assert reason in result.reason


@pytest.mark.timed
def test_a_cancellation_is_seen_within_a_second(tmp_path: Path) -> None:
    """The command gets TERM within a second of the request, and the reason is in the result."""
    run = runs.prepare(tmp_path, "a", 1, shell("echo ready; sleep 60"))
    runs.spawn(run)
    wait_until(lambda: "ready" in output(run), 10, "the command runs")
    asked = rundir.now()
    runs.request_cancel(run, "undone by anna")
    result = result_of(asyncio.run(runs.wait(run)))
    assert (result.outcome, result.reason) == (Outcome.CANCELLED, "undone by anna")
    assert (result.ended_at - asked).total_seconds() < 1


def test_a_run_cancelled_before_it_starts_never_starts(tmp_path: Path) -> None:
    """A cancellation that comes before the runner is obeyed without starting anything."""
    starts = tmp_path / "starts"
    run = runs.prepare(tmp_path / "runs", "a", 1, shell(f"echo started >> {starts}"))
    runs.request_cancel(run, "resolved")
    result = result_of(carry_out(run))
    assert (result.outcome, result.started_at, started(starts)) == (Outcome.CANCELLED, None, 0)


def test_term_to_the_runner_ends_the_command(tmp_path: Path) -> None:
    """A machine that shuts down gives the command its grace and leaves a result."""
    run = runs.prepare(tmp_path, "a", 1, shell("echo ready; sleep 60"))
    runs.spawn(run)
    pid = runner_pid(run)
    wait_until(lambda: "ready" in output(run), 10, "the command runs")
    os.kill(pid, signal.SIGTERM)
    result = result_of(asyncio.run(runs.wait(run)))
    assert (result.outcome, result.reason) == (
        Outcome.CANCELLED,
        "the runner was told to stop (SIGTERM)",
    )


def output(run: runs.RunDir) -> str:
    """What the command has written so far."""
    return runs.read_output_tail(run)


@pytest.mark.timed
def test_the_background_of_a_command_that_ended_well_stays(tmp_path: Path) -> None:
    """A rollback may start a server and end: what it left running is not touched, and does not hold up the result."""
    order = shell("sleep 30 & echo started")
    run = runs.prepare(tmp_path, "a", 1, order)
    begun = time.monotonic()
    result = result_of(carry_out(run))
    (server,) = left_of(order.nonce)
    os.kill(server, signal.SIGKILL)
    assert (result.outcome, result.code, output(run)) == (Outcome.EXITED, 0, "started\n")
    assert time.monotonic() - begun < 5


def test_the_command_inherits_nothing(tmp_path: Path) -> None:
    """No descriptor and no variable of the receiver reaches the command; its session is its own."""
    script = (
        "import os, json; print(json.dumps([dict(os.environ), sorted(os.listdir('/proc/self/fd')), os.getcwd(),"
        "os.getsid(0) == os.getpid()]))"
    )
    run = runs.prepare(tmp_path, "a", 1, python(script, env={"LC_ALL": "C.UTF-8"}, nonce="n1", cwd="/tmp"))
    kept_open = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept_open, True)
    os.environ["FREEZELINE_TEST_SECRET"] = "s3cret"
    try:
        assert result_of(carry_out(run)).code == 0
    finally:
        del os.environ["FREEZELINE_TEST_SECRET"]
        os.close(kept_open)
    # Descriptor 3 is the listing of /proc/self/fd itself.
    expected = [{"LC_ALL": "C.UTF-8", "FREEZELINE_RUN": "n1"}, ["0", "1", "2", "3"], "/tmp", True]
    assert json.loads(output(run)) == expected


def test_a_receiver_folder_in_the_working_directory_is_not_imported(tmp_path: Path) -> None:
    """The runner that starts is ours, wherever the receiver was started."""
    fake = tmp_path / "receiver"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise SystemExit('imported the wrong package')")
    run = runs.prepare(tmp_path / "runs", "a", 1, shell("echo right"))
    started_in = Path.cwd()
    os.chdir(tmp_path)
    try:
        carry_out(run)
    finally:
        os.chdir(started_in)
    assert output(run) == "right\n"


RECEIVER_THAT_DIES = """
import os, signal, sys, pathlib
from receiver.run import runs
from tests.unit.receiver.run.orders import shell
run = runs.prepare(pathlib.Path(sys.argv[1]), "a", 1, shell(sys.argv[2]))
runs.spawn(run)
os.killpg(0, signal.SIGKILL)
"""


def test_a_run_outlives_the_receiver(tmp_path: Path) -> None:
    """The receiver's whole process group is killed after the spawn; the run goes on, and is found again."""
    starts = tmp_path / "starts"
    script = f"echo started >> {starts}; sleep 1; exit 5"
    arguments = [sys.executable, "-c", RECEIVER_THAT_DIES, str(tmp_path / "runs"), script]
    with subprocess.Popen(arguments, start_new_session=True, cwd=ROOT) as receiver:
        assert receiver.wait(20) == -signal.SIGKILL
    state = asyncio.run(runs.wait(runs.locate(tmp_path / "runs", "a", 1)))
    assert (result_of(state).code, started(starts)) == (5, 1)


def test_a_runner_killed_while_the_command_runs_leaves_nothing(tmp_path: Path) -> None:
    """Wait notices that the runner is gone, and the command and its children are ended before it answers."""
    order = shell("setsid sleep 300 & echo ready; sleep 300", timeout_s=300)
    run = runs.prepare(tmp_path, "a", 1, order)
    runs.spawn(run)
    wait_until(lambda: "ready" in output(run), 10, "the command runs")
    os.kill(runner_pid(run), signal.SIGKILL)
    state = asyncio.run(runs.wait(run))
    assert isinstance(state, Interrupted)
    assert (left_of(order.nonce), state.left) == ([], 0)


def test_a_stopped_runner_does_not_make_wait_hang(tmp_path: Path) -> None:
    """A runner that has outlived every limit is ended, and its command with it."""
    order = shell("sleep 300", timeout_s=1.0, grace_s=0.5)
    run = runs.prepare(tmp_path, "a", 1, order)
    runs.spawn(run)
    os.kill(runner_pid(run), signal.SIGSTOP)
    state = asyncio.run(runs.wait(run, overdue_s=1.0))
    assert isinstance(state, Interrupted)
    assert left_of(order.nonce) == []


def test_a_runner_that_never_starts_is_given_up_on(tmp_path: Path) -> None:
    """Where no runner comes, waiting ends with the receiver's own claim."""
    run = runs.prepare(tmp_path, "a", 1, shell("true"))
    assert asyncio.run(runs.wait(run, start_limit_s=0.5)) == NeverRan()


def test_planted_links_for_what_the_runner_writes_are_not_followed(tmp_path: Path) -> None:
    """Links for the output and the result are replaced by files; where they led stays empty."""
    elsewhere = tmp_path / "elsewhere"
    run = runs.prepare(tmp_path / "runs", "a", 1, shell("echo hello"))
    for name in ("output.log", "result.json"):
        (run.path / name).symlink_to(elsewhere)
    with runner(run) as process:
        assert process.wait(20) == 0
    assert isinstance(runs.recover(run), Finished)
    assert (output(run), elsewhere.exists()) == ("hello\n", False)


def test_a_planted_claim_keeps_the_command_from_running(tmp_path: Path) -> None:
    """A link in place of the claim leads to no start and is not followed."""
    starts, elsewhere = tmp_path / "starts", tmp_path / "elsewhere"
    run = runs.prepare(tmp_path / "runs", "a", 1, shell(f"echo started >> {starts}"))
    (run.path / "claim").symlink_to(elsewhere)
    with runner(run) as process:
        assert process.wait(20) == 1
    assert (started(starts), elsewhere.exists()) == (0, False)
