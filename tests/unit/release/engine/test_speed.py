"""`--speed` belongs to the rollout that began with it, whatever a later command asks for."""

from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from release.canary.plan import DAY_S
from release.canary.state import State
from release.engine import begin
from release.engine.readings import Tracks
from release.policy.canary import Canary
from release.policy.read import ReleasePolicy
from release.store.database import Database
from tests.tools import ROOT

POLICY = ROOT / "rules" / "policy" / "canary-medium.policy.json"


class DayError(Exception):
    """Ends a command as soon as the length of its rollout's days is known."""


async def day_s(state: Path, release: str, *, speed: float) -> float:
    """How long a day is for the rollout that `canary run --speed` runs first."""

    async def outside(_p: ReleasePolicy, _c: Canary, _t: Tracks, _d: Database, found: float) -> NoReturn:
        raise DayError(found)

    wanted = begin.Wanted(
        policy_text=POLICY.read_text(),
        policy_file=str(POLICY),
        release=release,
        stable="v1",
        again=False,
        speed=speed,
        state_dir=state,
    )
    with pytest.raises(DayError) as ended:
        await begin.run(wanted, outside, clock=lambda: 0.0, new_rollout=lambda: "r2", command_environment={})
    return float(ended.value.args[0])


def killed(state: Path, *, speed: float) -> None:
    """Leave a rollout of v2 behind, whose engine was killed."""
    with closing(Database(begin.database_path(state, "shop"))) as database:
        first = State(rollout="r1", release="v2", stable="v1")
        database.begin(first, policy=POLICY.read_text(), every_s=15, speed=speed, at=0.0)


async def test_a_new_rollout_has_the_speed_that_is_asked_for(tmp_path: Path) -> None:
    """Days of 2400 s."""
    assert await day_s(tmp_path, "v2", speed=36) == 2400


@pytest.mark.parametrize("release", ["v2", "v3"])
async def test_what_a_killed_engine_left_keeps_its_speed(tmp_path: Path, release: str) -> None:
    """The command may be the same one, or that of another release, which first ends the rollout that was left."""
    killed(tmp_path, speed=36)
    assert await day_s(tmp_path, release, speed=1) == DAY_S / 36
