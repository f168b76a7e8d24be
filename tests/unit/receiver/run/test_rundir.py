"""Preparing and reading a run's directory."""

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from receiver.run import rundir, runs
from receiver.run.rundir import RunDirectoryError
from receiver.run.runs import Alive, Finished, Interrupted, NeverRan, RunClaimedError
from tests.unit.receiver.run.orders import order


def mode(path: Path) -> int:
    """Permission bits of a file, not following links."""
    return stat.S_IMODE(path.lstat().st_mode)


def names(directory: Path) -> list[str]:
    """What lies in a directory."""
    return sorted(entry.name for entry in directory.iterdir())


def test_prepare_lays_down_order_and_lock(tmp_path: Path) -> None:
    """A prepared run is one private directory with the order in it, and nothing of its making stays behind."""
    wanted = order("/bin/true", nonce="n1")
    run = runs.prepare(tmp_path / "runs", "rollback-1", 2, wanted)
    assert run.path == tmp_path / "runs" / "rollback-1.2"
    assert mode(run.path) == 0o700
    assert names(run.path) == ["lock", "order.json"]
    assert {mode(file) for file in run.path.iterdir()} == {0o600}
    assert names(tmp_path / "runs") == ["rollback-1.2"]
    assert json.loads((run.path / "order.json").read_text()) == {
        **asdict(wanted),
        "argv": ["/bin/true"],
    }


def test_preparing_again_replaces_a_run_in_which_nothing_ran(tmp_path: Path) -> None:
    """A receiver killed between preparing and recording prepares the same attempt anew."""
    runs.prepare(tmp_path, "a", 1, order("/bin/true", nonce="first"))
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true", nonce="second"))
    assert json.loads((run.path / "order.json").read_text())["nonce"] == "second"


def test_preparing_again_refuses_a_claimed_run(tmp_path: Path) -> None:
    """What a runner has claimed is never prepared again."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true"))
    claim_as_runner(run.path)
    with pytest.raises(RunClaimedError):
        runs.prepare(tmp_path, "a", 1, order("/bin/true"))


@pytest.mark.parametrize("action_id", ["", ".", "..", "a/b", "../a", "a.b", "a\0", "-a", "a" * 200])
def test_an_identifier_unfit_for_a_path_is_refused(tmp_path: Path, action_id: str) -> None:
    """No identifier leads out of the directory of runs."""
    with pytest.raises(ValueError, match="not an action"):
        runs.prepare(tmp_path, action_id, 1, order("/bin/true"))


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ()},
        {"argv": ("true",)},
        {"cwd": "tmp"},
        {"nonce": ""},
        {"timeout_s": 0},
        {"grace_s": -1},
        {"output_max_bytes": -1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_order_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    """An order is checked before anything is written."""
    with pytest.raises(ValueError):  # noqa: PT011 - which of the messages it is does not matter here
        runs.prepare(tmp_path / "runs", "a", 1, order("/bin/true", **changes))
    assert not (tmp_path / "runs").exists()


def claim_as_runner(path: Path) -> None:
    """Claim a run as a runner that was killed at once would have."""
    claim = rundir.Claim(by=rundir.Claimant.RUNNER, pid=2**22 + 1, start_ticks=1)
    with rundir.opened(path) as dir_fd:
        assert rundir.claim(dir_fd, rundir.write_draft(dir_fd, "claim", rundir.encode(claim)))


def test_an_unclaimed_run_never_ran_and_stays_so(tmp_path: Path) -> None:
    """The receiver's claim settles it; asking again, after a restart as well, gives the same answer."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true"))
    assert [runs.recover(run), runs.recover(runs.locate(tmp_path, "a", 1))] == [NeverRan(), NeverRan()]


def test_a_held_lock_is_a_live_runner(tmp_path: Path) -> None:
    """Whoever holds the lock is alive, whatever else lies in the directory."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true"))
    claim_as_runner(run.path)
    with rundir.opened(run.path) as dir_fd:
        lock = rundir.take_lock(dir_fd)
        assert lock is not None
        assert runs.recover(run) == Alive()
        os.close(lock)
    assert isinstance(runs.recover(run), Interrupted)


def test_a_result_of_another_order_is_not_adopted(tmp_path: Path) -> None:
    """Only a result that carries the order's nonce counts."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true", nonce="mine"))
    claim_as_runner(run.path)
    result = rundir.Result(
        nonce="other",
        outcome=rundir.Outcome.EXITED,
        code=0,
        signal=None,
        started_at=rundir.now(),
        ended_at=rundir.now(),
        killed=0,
    )
    (run.path / "result.json").write_bytes(rundir.encode(result))
    assert isinstance(runs.recover(run), Interrupted)
    mine = replace(result, nonce="mine")
    (run.path / "result.json").write_bytes(rundir.encode(mine))
    assert runs.recover(run) == Finished(mine)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"nonce": "n"}', b"\xff", b"9" * 5000])
def test_a_damaged_result_is_no_result(tmp_path: Path, content: bytes) -> None:
    """Half a result or rubbish is not believed."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true", nonce="n"))
    claim_as_runner(run.path)
    (run.path / "result.json").write_bytes(content)
    assert isinstance(runs.recover(run), Interrupted)


@pytest.mark.parametrize("name", ["order.json", "lock", "claim", "result.json"])
def test_a_planted_link_is_not_followed(tmp_path: Path, name: str) -> None:
    """A link in place of any file makes the run unknown at worst; what it points to stays as it was."""
    elsewhere = tmp_path / "elsewhere"
    run = runs.prepare(tmp_path / "runs", "a", 1, order("/bin/true"))
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(elsewhere)
    expected = NeverRan if name == "result.json" else Interrupted
    assert isinstance(runs.recover(run), expected)
    assert not elsewhere.exists()


def test_a_planted_link_for_the_output_is_not_read(tmp_path: Path) -> None:
    """The tail of the output never shows another file."""
    run = runs.prepare(tmp_path / "runs", "a", 1, order("/bin/true"))
    (run.path / "output.log").symlink_to("/etc/passwd")
    with pytest.raises(RunDirectoryError, match=r"output\.log: is a symbolic link"):
        runs.read_output_tail(run)


def test_the_output_tail_is_inert(tmp_path: Path) -> None:
    """Escape sequences are gone, lines and tabs stay, and a cut character does no harm."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true"))
    assert runs.read_output_tail(run) == ""
    (run.path / "output.log").write_bytes("ü\x1b[2Jok\tyes\nend\0".encode())
    assert runs.read_output_tail(run) == "ü[2Jok\tyes\nend"
    assert runs.read_output_tail(run, max_bytes=4) == "end"


@pytest.mark.parametrize("what", ["missing", "a link", "open to others"])
def test_a_directory_that_is_not_ours_alone_is_refused(tmp_path: Path, what: str) -> None:
    """A directory reached through a link, or that others may read, is not trusted."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true"))
    if what == "open to others":
        run.path.chmod(0o755)
    else:
        run.path.rename(tmp_path / "moved")
    if what == "a link":
        run.path.symlink_to(tmp_path / "moved")
    assert isinstance(runs.recover(run), Interrupted)
    with pytest.raises(RunDirectoryError):
        runs.spawn(run)


def test_the_first_reason_to_cancel_stays(tmp_path: Path) -> None:
    """Cancelling twice is cancelling once."""
    run = runs.prepare(tmp_path, "a", 1, order("/bin/true"))
    runs.request_cancel(run, "resolved")
    runs.request_cancel(run, "operator")
    assert (run.path / "cancel").read_text() == "resolved"


def test_old_runs_are_pruned_and_live_ones_stay(tmp_path: Path) -> None:
    """What is old and settled goes, half-prepared directories too; new, live and foreign ones stay."""
    for attempt in range(1, 4):
        runs.prepare(tmp_path, "a", attempt, order("/bin/true"))
    for name in (".a.9.x.tmp", "notes"):
        (tmp_path / name).mkdir()
    for name in ("a.1", "a.2", ".a.9.x.tmp", "notes"):
        os.utime(tmp_path / name, (0, 0))
    with rundir.opened(tmp_path / "a.2") as dir_fd:
        lock = rundir.take_lock(dir_fd)
        assert lock is not None
        assert runs.prune(tmp_path, before=datetime(2020, 1, 1, tzinfo=UTC)) == 2
        os.close(lock)
    assert names(tmp_path) == ["a.2", "a.3", "notes"]
