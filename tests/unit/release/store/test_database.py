"""The database of rollouts: what is stored is read back, orders are answered once, and the chain shows a change."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from release.canary.state import Approved, Hold, Paused, Phase, Resumed, Tell, Tick
from release.store.database import Database, StoreError
from tests.at_once import at_once
from tests.unit.release.canary.rollouts import Rollout, both


def stored(path: Path, rollout: Rollout) -> Database:
    """A database that follows a rollout to its end, as the engine does."""
    database = Database(path)
    database.begin(rollout.state, policy="{}", every_s=15, at=0)
    return database


def test_an_engine_and_a_command_make_one_database_at_once(tmp_path: Path) -> None:
    """Whichever makes the tables, all of them have it."""
    for number in range(10):
        assert at_once(lambda path: Database(path).close(), tmp_path / f"{number}.db") == []


def test_a_state_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Decimals, holds, gates and answers included."""
    rollout = Rollout().begin().until(Phase.BAKE)
    rollout.send(Paused(by="ann"))
    rollout.ticks(2)
    database = stored(tmp_path / "shop.db", rollout)
    running = database.running()
    assert running is not None
    assert running.state == rollout.state
    assert (running.state.weight, set(running.state.holds)) == (Decimal("0.1"), {Hold.PAUSED})


def test_a_step_is_stored_with_what_people_must_hear(tmp_path: Path) -> None:
    """One transaction: the event, the state, the message."""
    rollout = Rollout().begin().until(Phase.BAKE)
    database = stored(tmp_path / "shop.db", rollout)
    rollout.send(Paused(by="ann"))
    told = Tell(what="canary_held", text="paused by ann", page=False)
    database.save(Paused(by="ann"), rollout.state, [told], at=1)
    (step,) = database.steps("r1")
    assert (step.event, step.phase) == ("Paused", "bake")
    (message,) = database.undelivered()
    assert (message.what, message.text) == ("canary_held", "paused by ann")
    database.delivered(message.id, at=2)
    assert database.undelivered() == ()
    again = Database(tmp_path / "shop.db", writes=False)
    assert [one.state for one in again.rollouts()] == [rollout.state]


def test_quiet_looks_do_not_lengthen_the_chain(tmp_path: Path) -> None:
    """They are kept as looks: each for a day, then one in five minutes; looks that said something stay."""
    rollout = Rollout().begin().until(Phase.BAKE)
    database = stored(tmp_path / "shop.db", rollout)
    day = 86400
    state = rollout.state
    for at in range(0, 3 * day, 60):
        tick = Tick(at=float(at), weight=Decimal("0.1"), measured=both())
        loud = at == 7 * 60
        told = [Tell(what="canary_held", text="x")] if loud else []
        database.save(tick, state, told, at=float(at))
    looks = [look.at for look in database.looks("r1", limit=100_000)]
    old = [at for at in looks if at < 2 * day - 700]
    assert len(old) == pytest.approx(2 * day / 300, abs=10)
    assert 7 * 60 in looks
    assert len([at for at in looks if at >= 2 * day]) == day / 60
    assert len(database.steps("r1")) == 1


def test_the_end_of_a_rollout_is_stored(tmp_path: Path) -> None:
    """Then nothing is running, and the release is known."""
    rollout = Rollout().begin().until(Phase.DONE)
    database = stored(tmp_path / "shop.db", rollout)
    database.save(Resumed(by="ann"), rollout.state, [], at=5)
    assert database.running() is None
    assert [one.ended_at for one in database.of_release("v2")] == [5]


def test_an_order_is_answered(tmp_path: Path) -> None:
    """Another process leaves the order, and reads the engine's answer."""
    engine = stored(tmp_path / "shop.db", Rollout())
    person = Database(tmp_path / "shop.db")
    order = person.ask(Approved(by="ann", rollout="r1", stage=0), at=3)
    assert person.refusal(order) is None
    (found,) = engine.open_orders()
    assert '"Approved"' in found.body
    engine.refuse(found.id, "a gate is breaching", at=4)
    assert person.refusal(order) == "a gate is breaching"
    assert engine.open_orders() == ()


def test_a_changed_step_is_found(tmp_path: Path) -> None:
    """As in the journal: every step carries the hash of the step before."""
    rollout = Rollout().begin()
    database = stored(tmp_path / "shop.db", rollout)
    for by in ("ann", "bob", "cid"):
        database.save(Paused(by=by), rollout.state, [], at=1)
    assert database.verify() is None
    with sqlite3.connect(tmp_path / "shop.db") as other:
        other.execute("UPDATE step SET body = replace(body, 'bob', 'eve') WHERE seq = 2")
    assert database.verify() == 2


def test_another_shape_is_refused(tmp_path: Path) -> None:
    """A newer version wrote the file, or it is no database at all."""
    stored(tmp_path / "shop.db", Rollout()).close()
    with sqlite3.connect(tmp_path / "shop.db") as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="has the shape 99"):
        Database(tmp_path / "shop.db")
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Database(tmp_path / "text.db")
    with pytest.raises(StoreError):
        Database(tmp_path / "missing.db", writes=False)
