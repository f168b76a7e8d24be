"""The command of a rollout that has ended: it begins nothing, and its exit code is that of the release's end."""

from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec.structs import replace

from release.canary.state import Phase, State, Tell, Tick
from release.engine import begin
from release.engine.readings import Tracks
from release.policy.canary import Canary
from release.policy.read import ReleasePolicy
from release.store.database import Database
from tests.tools import ROOT

POLICY = ROOT / "rules" / "policy" / "canary-medium.policy.json"


class ToldError(Exception):
    """The command wants to deliver a message."""


def ended(state: Path, release: str, phase: Phase, *, told: tuple[Tell, ...] = ()) -> None:
    """Leave a rollout behind that ended so."""
    with closing(Database(begin.database_path(state, "shop"))) as database:
        at = float(len(database.rollouts()))
        first = State(rollout=f"of-{release}", release=release, stable="v1")
        database.begin(first, policy=POLICY.read_text(), every_s=15, at=at)
        last = Tick(at=at, weight=None, measured=())
        database.save(last, replace(first, phase=phase), told, at=at)


async def run_again(state: Path, release: str, *, runs: str = "") -> State:
    """The same command once more. `runs`: the release that the release command prints."""

    async def outside(_p: ReleasePolicy, _c: Canary, _t: Tracks, _d: Database, _s: float) -> NoReturn:
        raise ToldError

    script = state / "current.sh"
    script.write_text(f"#!/bin/sh\necho {runs}\n")
    script.chmod(0o755)
    wanted = begin.Wanted(
        policy_text=POLICY.read_text().replace("/opt/shop/current-release.sh", str(script)),
        policy_file=str(POLICY),
        release=release,
        stable="v1",
        again=False,
        speed=1.0,
        state_dir=state,
    )
    return await begin.run(wanted, outside, clock=lambda: 9.0, new_rollout=lambda: "r9", command_environment={})


@pytest.mark.parametrize("runs", ["", "v2"])
async def test_a_release_that_ended_well_ends_well_again(tmp_path: Path, runs: str) -> None:
    """Nothing is touched, and the answer is the rollout's own end."""
    ended(tmp_path, "v2", Phase.DONE)
    assert (await run_again(tmp_path, "v2", runs=runs)).phase is Phase.DONE
    with closing(Database(begin.database_path(tmp_path, "shop"), writes=False)) as database:
        assert len(database.rollouts()) == 1


async def test_what_a_killed_engine_had_to_tell_is_told_first(tmp_path: Path) -> None:
    """Then the command ends as the rollout did."""
    ended(tmp_path, "v2", Phase.DONE, told=(Tell(what="canary_done", text="done"),))
    with pytest.raises(ToldError):
        await run_again(tmp_path, "v2")


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.SUPERSEDED])
async def test_a_release_that_ended_badly_is_refused(tmp_path: Path, phase: Phase) -> None:
    """As before: only a person tries the release again."""
    ended(tmp_path, "v2", phase)
    with pytest.raises(begin.RefusedError, match=f"v2 was rolled out before and ended {phase.value.replace('_', ' ')}"):
        await run_again(tmp_path, "v2")


async def test_a_release_that_another_one_has_replaced_is_refused(tmp_path: Path) -> None:
    """By a later rollout, or by a hand: a pipeline must not believe that the release has the traffic."""
    ended(tmp_path, "v2", Phase.DONE)
    with pytest.raises(begin.RefusedError, match="v2 was rolled out before"):
        await run_again(tmp_path, "v2", runs="v1")
    ended(tmp_path, "v3", Phase.DONE)
    with pytest.raises(begin.RefusedError, match="v2 was rolled out before"):
        await run_again(tmp_path, "v2", runs="v2")
