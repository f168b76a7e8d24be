"""The flag on disk: whole or not there, in a directory that nobody else can write."""

import json
import threading
from pathlib import Path

import pytest

from receiver.act import flagfile
from receiver.act.flagfile import FlagDirectoryError
from receiver.decide.model import FlagView
from receiver.steps import Step
from tests.tools import ROOT
from tests.unit.receiver.builders import NOW, episode, freeze_reason


def view(*episodes: str) -> FlagView:
    """A flag held by some episodes."""
    return FlagView(
        path="/f",
        seq=4711,
        freeze_reasons=tuple(freeze_reason(episode=name) for name in episodes),
        count=len(episodes),
        episodes={name: episode(id=name) for name in episodes},
        file=None,
    )


def test_the_text_is_that_of_the_contract() -> None:
    """Every key, one reason per episode."""
    text = flagfile.flag_text(
        view("E1"), generation=7, host="h", written_at="w", unfreeze_when={"E1": "alert resolved for 5 min"}
    )
    assert json.loads(text) == {
        "format": "freezeline.flag/2",
        "generation": 7,
        "service": "gateway",
        "host": "h",
        "written_at": "w",
        "since": "2026-11-21T08:20:00.000Z",
        "journal_seq": 4711,
        "reasons_total": 1,
        "reasons": [
            {
                "episode": "E1",
                "rule": "failure-rate-high",
                "alert": "FailureRateHigh",
                "spec": "failure-budget@sha256:9f2c0d",
                "reason": "failure rate 2.31 % > 0.5 %",
                "since": "2026-11-21T08:20:00.000Z",
                "unfreeze_when": "alert resolved for 5 min",
                "review_at": "2026-11-22T08:20:00.000Z",
            }
        ],
        "rollbacks": [],
    }
    assert flagfile.named_episodes(text) == {"E1"}


@pytest.mark.parametrize("service", ["billing", "checkout", "gateway", "search"])
def test_a_flag_of_the_first_format_names_its_episodes(service: str) -> None:
    """A receiver of an earlier version wrote it."""
    text = (ROOT / "tests" / "data" / "journal" / "shape-1" / "flags" / service / "FREEZE.FLAG").read_text()
    raw = json.loads(text)
    assert (raw["format"], "release_when" in raw["reasons"][0]) == ("freezeline.flag/1", True)
    assert flagfile.named_episodes(text) == {raw["reasons"][0]["episode"]}


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"reasons": [{}]}', '{"reasons": 1}'])
def test_a_text_that_is_not_ours_names_nobody(text: str | None) -> None:
    """It is a freeze all the same; only whose is unknown."""
    assert flagfile.named_episodes(text) == frozenset()


def test_writing_makes_the_directory_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    """Mode 0644 in 0755, in the order of the contract."""
    flag = tmp_path / "gateway" / "FREEZE.FLAG"
    steps: list[Step] = []
    flagfile.write_flag(flag, "one", steps.append)
    flagfile.write_flag(flag, "two")
    assert flag.read_text() == "two"
    assert [path.name for path in flag.parent.iterdir()] == ["FREEZE.FLAG"]
    assert (flag.stat().st_mode & 0o777, flag.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert steps == [Step.FREEZE_TEMPORARY_WRITTEN, Step.FREEZE_FLAG_RENAMED, Step.FREEZE_DIRECTORY_SYNCED]


def test_a_left_over_temporary_file_is_no_obstacle(tmp_path: Path) -> None:
    """As a kill leaves it; a link planted there is removed, not followed."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".FREEZE.FLAG.tmp").symlink_to(victim)
    flagfile.write_flag(tmp_path / "FREEZE.FLAG", "text")
    assert (victim.read_text(), (tmp_path / "FREEZE.FLAG").read_text()) == ("precious", "text")


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """They could remove the freeze."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(FlagDirectoryError, match="must not be writable"):
        flagfile.write_flag(tmp_path / "open" / "FREEZE.FLAG", "text")


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """It may lead anywhere tomorrow."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(FlagDirectoryError):
        flagfile.write_flag(tmp_path / "link" / "FREEZE.FLAG", "text")


def test_removing_is_idempotent(tmp_path: Path) -> None:
    """The second time there is nothing to remove."""
    flag = tmp_path / "FREEZE.FLAG"
    flagfile.write_flag(flag, "text")
    assert [flagfile.remove_flag(flag), flagfile.remove_flag(flag)] == [True, False]
    assert flagfile.remove_flag(tmp_path / "nowhere" / "FREEZE.FLAG") is False


def test_reading_tells_nothing_from_something(tmp_path: Path) -> None:
    """No file is None; anything else is a freeze."""
    flag = tmp_path / "FREEZE.FLAG"
    assert flagfile.read_flag(flag) is None
    flag.write_bytes(b"\xff")
    assert flagfile.read_flag(flag) == "\ufffd"
    flag.unlink()
    flag.symlink_to(tmp_path / "gone")
    assert flagfile.read_flag(flag) == ""


def test_a_reader_beside_a_writer_sees_whole_flags_only(tmp_path: Path) -> None:
    """A thread reads as fast as it can while flags are written and removed."""
    flag = tmp_path / "FREEZE.FLAG"
    texts = [
        flagfile.flag_text(view(*names), generation=n, host="h", written_at="w", unfreeze_when={})
        for n, names in enumerate((["E1"], ["E1", "E2"], ["E1", "E2", "E3"]))
    ]
    torn: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            found = flagfile.read_flag(flag)
            if found is not None and found not in texts:
                torn.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        flagfile.write_flag(flag, texts[number % 3])
        if number % 5 == 0:
            flagfile.remove_flag(flag)
    stop.set()
    reader.join(10)
    assert torn == []


def test_the_heartbeat_stands_beside_the_flag(tmp_path: Path) -> None:
    """Its own format, one line."""
    flagfile.write_heartbeat(tmp_path / "FREEZE.FLAG", {"at": str(NOW)})
    found = json.loads((tmp_path / "FREEZE.HEARTBEAT").read_text())
    assert found == {"format": "freezeline.heartbeat/1", "at": str(NOW)}
    assert [path.name for path in tmp_path.iterdir()] == ["FREEZE.HEARTBEAT"]
