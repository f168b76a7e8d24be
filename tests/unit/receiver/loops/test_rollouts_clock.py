"""Rollouts and heartbeats go by the clock of their own machine, also where the journal has another."""

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from receiver.context import Context
from receiver.loops.heartbeat import Heartbeat
from receiver.loops.rollouts import RolloutWatch
from receiver.policy.model import Rollouts as Canary
from tests.unit.receiver.builders import policies, policy, raw_policy
from tests.unit.receiver.conftest import now

EVERY_S = 15.0
"""How often the engine of the rollout looks."""


class Machine:
    """A machine whose clock is wrong."""

    def __init__(self, minutes: float) -> None:
        self.ahead = timedelta(minutes=minutes)

    def __call__(self) -> datetime:
        """What its clock says."""
        return now() + self.ahead


def rollout(directory: Path, looked_at: datetime) -> None:
    """A running rollout at which its engine looked last at this time."""
    directory.mkdir()
    with sqlite3.connect(directory / "gateway.db") as db:
        db.execute("CREATE TABLE rollout (id, release, begun_at, ended_at, every_s, state, speed, policy)")
        db.execute("CREATE TABLE look (rollout, at, body)")
        db.execute("PRAGMA user_version = 1")
        state, stages = json.dumps({"phase": "bake", "weight": "0.1"}), json.dumps({"canary": {"stages": [{}]}})
        at = looked_at.timestamp()
        db.execute("INSERT INTO rollout VALUES ('r1', 'v2', ?, NULL, ?, ?, 1, ?)", (at, EVERY_S, state, stages))


@pytest.mark.parametrize("minutes", [10, -10])
async def test_nobody_is_paged_while_the_engine_looks(context: Context, tmp_path: Path, minutes: float) -> None:
    """The engine writes the time of its machine. After three intervals without a look, people are paged."""
    machine = Machine(minutes)
    context = replace(context, host_clock=machine)
    context.box.policies = policies(replace(policy(), rollouts=Canary(on_abort=(), every_s=EVERY_S, weights=())))
    rollout(tmp_path / "canary", machine())
    watch = RolloutWatch(context)

    async def paged() -> int:
        await watch.look()
        return len(await context.journal.read(lambda view: view.last_decisions(10)))

    assert await paged() == 0
    machine.ahead += timedelta(seconds=3 * EVERY_S)
    assert await paged() == 1


async def test_a_heartbeat_is_fresh_by_the_clock_of_its_machine(context: Context, tmp_path: Path) -> None:
    """Whoever asks whether a receiver watches reads the heartbeat on the same machine."""
    machine = Machine(10)
    actions = raw_policy()["actions"]
    actions["freeze"]["flag"] = str(tmp_path / "flags" / "FREEZE.FLAG")
    context = replace(context, host_clock=machine)
    context.box.policies = policies(policy(actions=actions))
    await Heartbeat(context, check_flag=lambda _flag: None, watchdog_seen=lambda _at: None).beat()
    at = json.loads((tmp_path / "flags" / "FREEZE.HEARTBEAT").read_text())["at"]
    assert abs(datetime.fromisoformat(at) - machine()) < timedelta(minutes=1)
