"""`freezeline incidents`: the journal's incidents with their mean times, and a limit for the recovery."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from freezeline.cli import main
from receiver.decide.model import EpisodeState
from receiver.journal import Journal, Tx
from receiver.steps import pass_by
from tests import journals
from tests.unit.receiver.builders import episode

NOW = datetime.now(UTC)


def ago(seconds: float) -> datetime:
    """So many seconds before this test began."""
    return NOW - timedelta(seconds=seconds)


EPISODES: tuple[dict[str, Any], ...] = (
    {"id": "E0", "opened_at": ago(40 * 86400), "closed_at": ago(39 * 86400)},
    {"id": "E1", "opened_at": ago(3000), "closed_at": ago(2900)},
    {"id": "E2", "opened_at": ago(2000), "closed_at": ago(1900)},
    {"id": "E3", "incident": "E2", "opened_at": ago(1950), "closed_at": ago(1700)},
    {"id": "E4", "service": "billing", "opened_at": ago(60), "acked_at": ago(50)},
    {"id": "E5", "policy": "operator", "rule": "canary", "opened_at": ago(30)},
)
"""Two incidents that ended, one of another service that is open, one rollout's record, and an old incident."""


async def write(folder: Path, *episodes: dict[str, Any]) -> None:
    """A journal with these episodes."""

    def fill(tx: Tx) -> None:
        for values in episodes:
            state = EpisodeState.CLOSED if "closed_at" in values else EpisodeState.OPEN
            tx.add_episode(episode(**{"incident": values["id"], "fingerprint": values["id"], "state": state, **values}))

    journal = Journal(journals.store(folder / "journal.db"), clock=lambda: NOW, reached=pass_by)
    journal.start()
    try:
        await journal.write(fill)
    finally:
        await journal.close()


@pytest.fixture
def state(tmp_path: Path) -> str:
    """A state directory with the journal."""
    asyncio.run(write(tmp_path, *EPISODES))
    return str(tmp_path)


def test_the_mean_is_over_incidents_and_the_last_thirty_days(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An incident ends with its last episode: 100 s and 300 s. The rollout's record is no incident."""
    assert main(["incidents", "--state", state, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["mttr_s"], found["longest_s"], found["mtta_s"]) == (200.0, 300.0, 10.0)
    assert (found["ended"], found["open"]) == (2, 1)
    assert [one["id"] for one in found["incidents"]] == ["E4", "E2", "E1"]


def test_of_one_service(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the incidents and the means of this service."""
    assert main(["incidents", "--state", state, "--service", "gateway"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in said[:2]] == ["300.0 s", "100.0 s"]
    assert said[2:] == ["2 ended, 0 open", "mean time to recovery: 200.0 s, the longest 300.0 s"]


def test_the_time_for_which_an_alert_must_stay_resolved_is_no_outage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service has recovered when the last alert has: a freeze that goes on is a precaution."""
    first = {"resolved_at": ago(1970), "closed_at": ago(1670), "id": "E1", "opened_at": ago(2000)}
    later = {"resolved_at": ago(1950), "closed_at": ago(1650), "id": "E2", "opened_at": ago(1980), "incident": "E1"}
    asyncio.run(write(tmp_path, first, later))
    assert main(["incidents", "--state", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["mttr_s"], found["ended"]) == (50.0, 1)


@pytest.mark.parametrize("limit, code", [("200", 0), ("199", 1)])
def test_a_limit(state: str, limit: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A mean time above the limit is exit code 1, and says both."""
    assert main(["incidents", "--state", state, "--mttr-at-most", limit]) == code
    assert ("the mean time to recovery is 200.0 s, more than 199 s" in capsys.readouterr().err) is (code == 1)


def test_no_ended_incident_keeps_no_limit(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that never recovered has not recovered in time."""
    assert main(["incidents", "--state", state, "--service", "billing", "--mttr-at-most", "300"]) == 1
    assert "no incident has ended" in capsys.readouterr().err


def test_no_journal_is_an_environment_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made."""
    assert main(["incidents", "--state", str(tmp_path)]) == 3
    assert "journal.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
