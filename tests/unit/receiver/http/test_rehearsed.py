"""What the metrics say of rehearsals: the newest of each kind, and when one last succeeded."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.http.rehearsed import newest_of
from receiver.rehearsals import FILE, Rehearsal, encode
from receiver.report import StandingCollector

AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
OK, LAST = "freezeline_rehearsal_ok", "freezeline_rehearsal_last_success_timestamp_seconds"
TOOK = "freezeline_rehearsal_seconds"


def rehearsal(hours_ago: float, **changes: Any) -> Rehearsal:
    """A rehearsal of a recovery that went well."""
    usual = {"kind": "recovery", "service": "shop", "ended_at": AT - timedelta(hours=hours_ago), "ok": True}
    return Rehearsal(**{**usual, **changes})


async def told(directory: Path) -> dict[tuple[str, ...], float]:
    """The metrics of rehearsals by name and label values."""
    collector = StandingCollector()
    collector.rehearsals = await newest_of(directory)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
        if sample.name.startswith("freezeline_rehearsal")
    }


async def test_a_failure_does_not_hide_the_last_success(tmp_path: Path) -> None:
    """The newest one failed: not ok, while the last success keeps its time, and the measures are the newest's."""
    lines = (rehearsal(3, rto_s=10.0), rehearsal(1, ok=False, rto_s=400.0), rehearsal(2, kind="loop"))
    (tmp_path / FILE).write_bytes(b"".join(map(encode, lines)))
    assert await told(tmp_path) == {
        (OK, "shop", "recovery"): 0.0,
        (OK, "shop", "loop"): 1.0,
        (LAST, "shop", "recovery"): (AT - timedelta(hours=3)).timestamp(),
        (LAST, "shop", "loop"): (AT - timedelta(hours=2)).timestamp(),
        (TOOK, "shop", "recovery", "rto"): 400.0,
    }


@pytest.mark.parametrize("make", [lambda path: path.write_text("{}\n"), lambda path: path.mkdir(), lambda _path: None])
async def test_a_history_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    """Broken, unreadable or missing: the other metrics are told all the same."""
    make(tmp_path / FILE)
    assert await told(tmp_path) == {}
