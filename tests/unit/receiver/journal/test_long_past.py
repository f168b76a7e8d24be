"""What the receiver asks at every freeze, notice and look costs the same after a year of freezes as after a day."""

import functools
import itertools
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.decide.model import Action, ActionState, ActionType, EpisodeState, FlagFile
from receiver.journal import Journal, SqliteStore, Tx, View, open_view
from receiver.steps import pass_by
from tests.unit.receiver.builders import NOW, episode, freeze_reason

pytestmark = pytest.mark.sqlite

FLAG = freeze_reason().flag
STEPS = 50
"""SQLite's instructions between two counts."""

DAY, YEAR = 3, 1000
"""Freezes that are over."""

TYPES = (ActionType.FREEZE, ActionType.UNFREEZE, ActionType.ROLLBACK, ActionType.NOTIFY, ActionType.SWITCH)

QUESTIONS: dict[str, Callable[[View], object]] = {
    "unfinished_actions": lambda view: view.unfinished_actions(limit=10),
    "due_actions": lambda view: view.due_actions(NOW, limit=10),
    "due_actions but for a channel": lambda view: view.due_actions(NOW, but_channels=["slack"], limit=10),
    "is_freezing": lambda view: view.is_freezing(FLAG),
    "flag_view": lambda view: view.flag_view(FLAG),
    "unfinished_rollbacks": lambda view: view.unfinished_rollbacks("gateway"),
    "incident": lambda view: view.incident("gateway"),
    "seen": lambda view: view.seen(["f0"]),
    "newest_episodes": lambda view: view.newest_episodes(["f0"]),
    "switches_of": lambda view: view.switches_of(["E0"]),
    "thread": lambda view: view.thread(channel="slack", service="gateway", incident="E0"),
    "policies_in_use": lambda view: view.policies_in_use(),
    "due_reviews": lambda view: view.due_reviews(NOW, after=(NOW, ""), limit=10),
    "resolving": lambda view: view.resolving(),
}


def freeze(tx: Tx, name: str) -> None:
    """One freeze from its alert to its end, with every action that it brings about."""
    opened = episode(id=name, incident=name, fingerprint=f"f{name[1:]}", opened_at=tx.now)
    tx.add_episode(opened)
    reason = freeze_reason(episode=name)
    tx.add_freeze_reason(reason)
    for kind in TYPES:
        payload = {"flag": FLAG, "incident": name, "file": "flags.json"}
        action = Action(
            id=f"{name}-{kind}",
            key=f"{kind}:{name}",
            episode=name,
            service="gateway",
            type=kind,
            name="slack",
            created_at=tx.now,
            payload=payload,
        )
        tx.add_action(action)
        for state in (ActionState.STARTING, ActionState.RUNNING, ActionState.SUCCEEDED):
            action = tx.move(action, state)
    tx.end_freeze_reason(reason, by="people", reason="all is well")
    for to in (EpisodeState.RESOLVING, EpisodeState.CLOSED):
        found = tx.episode(name)
        assert found is not None
        tx.move_episode(found, to)
    tx.put_flag_file(FlagFile(path=FLAG, service="gateway", generation=1, text=None, written_at=tx.now))


async def past(path: Path, freezes: int) -> None:
    """A journal with so many freezes that are over, one an hour. The newest is E0."""
    hours_ago = itertools.chain(range(freezes, 0, -1), itertools.repeat(0))
    journal = Journal(SqliteStore(path), clock=lambda: NOW - timedelta(hours=next(hours_ago)), reached=pass_by)
    journal.start()
    try:
        for number in reversed(range(freezes)):
            await journal.write(functools.partial(freeze, name=f"E{number}"))
    finally:
        await journal.close()


def steps(path: Path, question: Callable[[View], object]) -> int:
    """How often SQLite was counted while it answered."""
    view, connection = open_view(path)
    assert isinstance(connection, sqlite3.Connection)
    counted: list[None] = []
    connection.set_progress_handler(lambda: counted.append(None), STEPS)
    question(view)
    connection.close()
    return len(counted)


async def test_a_long_past_costs_nothing(tmp_path: Path) -> None:
    """Ended actions, closed episodes and old receipts are not read."""
    await past(tmp_path / "day.db", DAY)
    await past(tmp_path / "year.db", YEAR)
    cost = {
        name: (steps(tmp_path / "day.db", question), steps(tmp_path / "year.db", question))
        for name, question in QUESTIONS.items()
    }
    assert {name: (short, long) for name, (short, long) in cost.items() if long > short + 2} == {}
