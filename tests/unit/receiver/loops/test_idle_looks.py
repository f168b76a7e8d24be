"""What the loops read each second costs the same after a storm as before."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.decide.model import FlagFile
from receiver.journal import Journal, Tx, View, open_view
from receiver.loops.heartbeat import must_exist
from receiver.loops.rollouts import aborts
from receiver.steps import pass_by
from tests import journals
from tests.unit.receiver.builders import NOW, episode, freeze_reason

pytestmark = [pytest.mark.usefixtures("sharing"), pytest.mark.sqlite]

FLAG = freeze_reason().flag
STEPS = 100
"""SQLite's instructions between two counts."""


async def steps(path: Path, episodes: int, question: Callable[[View], object]) -> int:
    """How many instructions SQLite takes for a question, in hundreds, with so many frozen episodes."""

    def storm(tx: Tx) -> None:
        names = [f"E{number}" for number in range(episodes)]
        for name in names:
            tx.add_episode(episode(id=name, incident=name, fingerprint=name))
            tx.add_freeze_reason(freeze_reason(episode=name))
        file = FlagFile(path=FLAG, service="gateway", generation=1, text="frozen", written_at=NOW)
        tx.freeze_reasons_written(FLAG, names, file)

    journal = Journal(journals.store(path), clock=lambda: NOW, reached=pass_by)
    journal.start()
    try:
        await journal.write(storm)
    finally:
        await journal.close()
    view, connection = open_view(path)
    counted: list[None] = []
    assert isinstance(connection, sqlite3.Connection)
    connection.set_progress_handler(lambda: counted.append(None), STEPS)
    question(view)
    connection.close()
    return len(counted)


async def test_aborts_are_found_among_many_open_episodes(tmp_path: Path) -> None:
    """Two thousand open episodes of other rules are not read."""
    assert await steps(tmp_path / "calm.db", 1, aborts) + 1 >= await steps(tmp_path / "storm.db", 2000, aborts)


async def test_a_flag_with_many_reasons_is_known_as_written(tmp_path: Path) -> None:
    """The first written reason answers."""

    def written(view: View) -> bool:
        return view.has_written_reason(FLAG)

    assert await steps(tmp_path / "calm.db", 1, written) + 1 >= await steps(tmp_path / "storm.db", 2000, written)
    view, connection = open_view(tmp_path / "storm.db")
    assert must_exist(view) == {FLAG: True}
    connection.close()
