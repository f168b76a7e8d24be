"""The history of rehearsals: lines that the gate and the report read, whole after every crash."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.rehearsals import HistoryError, Rehearsal, newest, read
from release.drill import history, report

AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def rehearsal(hours_ago: float = 1.0, **changes: Any) -> Rehearsal:
    """A rehearsal that went well."""
    usual: dict[str, Any] = {
        "kind": "recovery",
        "service": "shop",
        "spec": "shop@sha256:00",
        "host": "deploy-1",
        "ended_at": AT - timedelta(hours=hours_ago),
        "ok": True,
    }
    return Rehearsal(**{**usual, **changes})


def test_a_line_is_what_was_written(tmp_path: Path) -> None:
    """Every member survives, and members that were not measured are not in the line."""
    path = tmp_path / "state" / "rehearsals.jsonl"
    full = rehearsal(rto_s=12.5, rpo_s=60.0, integrity=True, faults=("slow",), legs={"a": 0.5}, why=("x",), runs=3)
    history.append(path, full)
    history.append(path, rehearsal(0.5))
    assert read(path.read_bytes()) == (full, rehearsal(0.5))
    assert set(json.loads(path.read_text().splitlines()[1])) == {"kind", "service", "spec", "host", "ended_at", "ok"}


def test_half_a_line_is_removed(tmp_path: Path) -> None:
    """A crash in the middle of a line neither hides the line nor spoils the next one."""
    path = tmp_path / "rehearsals.jsonl"
    history.append(path, rehearsal())
    with path.open("ab") as file:
        file.write(b'{"kind": "recov')
    assert read(path.read_bytes()) == (rehearsal(),)
    history.append(path, rehearsal(0.5))
    assert read(path.read_bytes()) == (rehearsal(), rehearsal(0.5))


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.pop("service"),
        lambda line: line.update(ended_at="2026-11-27T10:00:00"),
        lambda line: line.update(ended_at="yesterday"),
        lambda line: line.update(rto_s="12"),
        lambda line: line.update(ok="yes"),
    ],
)
def test_a_line_that_is_no_rehearsal(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The error names the line."""
    path = tmp_path / "rehearsals.jsonl"
    history.append(path, rehearsal())
    line = json.loads(path.read_text())
    change(line)
    with pytest.raises(HistoryError, match="line 2 of the history is no rehearsal"):
        read(path.read_bytes() + json.dumps(line).encode() + b"\n")


def test_the_newest_of_each_kind() -> None:
    """By the time of the end, wherever the line stands."""
    last, first, other = rehearsal(1), rehearsal(2, ok=False), rehearsal(3, kind="loop")
    assert newest((last, first, other)) == {("shop", "recovery"): last, ("shop", "loop"): other}


def test_the_report_adds_up() -> None:
    """RTO, RPO and MTTR: last, mean and worst; the overall MTTR counts every kind."""
    found = (
        rehearsal(3, rto_s=10.0, rpo_s=60.0, mttr_s=10.0),
        rehearsal(1, rto_s=20.0, rpo_s=30.0, mttr_s=20.0, ok=False, why=("restore: broken",)),
        rehearsal(2, kind="rollback", mttr_s=3.0),
        rehearsal(2, service="other", mttr_s=1000.0),
        rehearsal(24 * 40, rto_s=1000.0),
    )
    made = report.report(found, service="shop", since=AT - timedelta(days=30), at=AT)
    assert [(one.kind, one.succeeded, one.rehearsals) for one in made.kinds] == [("recovery", 1, 2), ("rollback", 1, 1)]
    recovery = made.kinds[0].measures
    assert recovery["rto"] == report.Measured(last_s=20.0, mean_s=15.0, worst_s=20.0)
    assert recovery["rpo"] == report.Measured(last_s=30.0, mean_s=45.0, worst_s=60.0)
    assert made.mttr_s == 11.0
    assert report.as_values(made)["kinds"][0]["measures"]["rto"] == {"last_s": 20.0, "mean_s": 15.0, "worst_s": 20.0}


def test_the_report_for_people() -> None:
    """Text and Markdown name the failure; text of others cannot break the table."""
    found = (rehearsal(1, ok=False, rto_s=90.0, why=("restore: a|b <c>",)),)
    made = report.report(found, service=None, since=AT - timedelta(days=30), at=AT)
    text, page = "\n".join(report.as_text(made)), report.as_markdown(made)
    assert "recovery: FAILED 1.0 h ago, 0 of 1 succeeded" in text
    assert "RTO: last 1.5 min" in text
    assert "**failed**" in page
    assert "a\\|b &lt;c>" in page
    nothing = report.as_text(report.report((), service=None, since=AT, at=AT))
    assert nothing == ["no rehearsal since 2026-11-27 12:00 UTC"]
