"""The parts of a receiver, for tests of its loops."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from receiver.context import Context, PolicyBox
from receiver.decide.model import new_id
from receiver.faults import Faults
from receiver.journal import Journal
from receiver.meters import Meters
from receiver.rollouts import Rollouts
from receiver.steps import pass_by
from tests import journals


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    """What a receiver passes to its loops, without the receiver."""
    journal = Journal(journals.store(tmp_path / "j.db"), clock=now, reached=pass_by)
    journal.start()
    yield Context(
        journal=journal,
        clock=now,
        host_clock=now,
        ids=new_id,
        jitter=lambda: 0.5,
        reached=pass_by,
        box=PolicyBox(),
        meters=Meters(CollectorRegistry()),
        host="here",
        owner="here:1:me",
        runs_dir=tmp_path / "runs",
        rollouts=Rollouts(directory=tmp_path / "canary"),
        faults=Faults(now),
    )
    await journal.close()
