"""A proxy or a source fails just while the weight is shifted: held, told once, and no weight is repaired upwards."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from release.canary.machine import step
from release.canary.state import (
    Command,
    Event,
    Hold,
    LowerWeight,
    Paused,
    Phase,
    Resumed,
    SetWeight,
    ShiftFailed,
    Started,
)
from tests.unit.release.canary.rollouts import Rollout, plan, stage


class Refusing(Rollout):
    """A proxy that says its weight, and takes no new weight while `refuses`, as with a canary server that is down."""

    refuses = False

    def obey(self, command: Command) -> Event | None:
        """Refuse, or obey."""
        if self.refuses and isinstance(command, SetWeight):
            return ShiftFailed(why="HAProxy uses the weight 10.00%, not 50.00%")
        return super().obey(command)


def refused_at_second_shift() -> Refusing:
    """A rollout whose second shift was refused just now."""
    rollout = Refusing()
    rollout.begin()
    rollout.refuses = True
    rollout.until(Phase.SHIFT)
    assert (rollout.state.stage, rollout.weight) == (1, Decimal("0.1"))
    return rollout


def test_a_refused_shift_is_told_once() -> None:
    """The engine tries at each look; people hear of the first refusal; the rollout goes on by itself."""
    rollout = refused_at_second_shift()
    rollout.ticks(10)
    assert set(rollout.state.holds) == {Hold.SHIFT}
    assert rollout.told().count("canary_held") == 1
    rollout.refuses = False
    rollout.until(Phase.DONE)
    assert rollout.shifts == [Decimal("0.1"), Decimal("0.5"), Decimal(1)]


def test_a_refused_first_shift_is_told_once() -> None:
    """No gate is judged yet: the same holds for the first weight."""
    rollout = Refusing()
    rollout.refuses = True
    rollout.begin().ticks(10)
    assert (rollout.state.phase, set(rollout.state.holds)) == (Phase.SHIFT, {Hold.SHIFT})
    assert rollout.told().count("canary_held") == 1
    rollout.refuses = False
    rollout.until(Phase.DONE)


def test_a_proxy_that_lost_its_weight_during_a_shift_waits_for_a_person() -> None:
    """HAProxy went away in a shift and came back with the file's weight 0: no stage begins from there by itself."""
    rollout = refused_at_second_shift()
    rollout.refuses, rollout.weight = False, Decimal(0)
    rollout.ticks(10)
    assert rollout.weight == 0
    assert Hold.WEIGHT in rollout.state.holds
    rollout.send(Resumed(by="ann"))
    assert (rollout.weight, rollout.state.phase, rollout.state.stage) == (Decimal("0.5"), Phase.SETTLE, 1)


def test_an_engine_that_begins_again_in_a_shift_looks_first() -> None:
    """No weight is set before a look has asked Prometheus and the receiver."""
    rollout = refused_at_second_shift()
    rollout.refuses = False
    state, commands = step(rollout.plan, rollout.state, Started(at=rollout.at, weight=rollout.weight))
    assert (state, commands) == (rollout.state, ())
    rollout.until(Phase.DONE)


def test_an_engine_that_begins_again_before_the_first_shift_sets_0_once_more() -> None:
    """The killed engine may have chosen users, who would stay on a canary that nobody judges: set 0, then shift."""
    rollout = Rollout(plan(stage("0.1"), stage("1", soak=True)))
    state = replace(rollout.state, phase=Phase.SHIFT)
    assert step(rollout.plan, state, Started(at=1.0, weight=Decimal(0))) == (state, (LowerWeight(weight=Decimal(0)),))
    half = step(rollout.plan, state, Started(at=1.0, weight=Decimal("0.05")))
    assert half == (state, ()), "a share above 0 is finished, or lowered while held"
    rollout.state = state
    rollout.begin().until(Phase.DONE)


@pytest.mark.parametrize("frozen", [True, False])
def test_chosen_users_lose_the_canary_as_soon_as_the_proxy_answers(frozen: bool) -> None:  # noqa: FBT001 - two cases
    """The engine was killed after choosing users, and begins again without a proxy: weight 0 is set once more.

    A freeze holds the shift meanwhile, and does not keep the users on the canary.
    """
    rollout = Rollout(replace(plan(stage("0.1"), stage("1", soak=True)), chooses_users=True))
    rollout.state = replace(rollout.state, phase=Phase.SHIFT)
    rollout.frozen, rollout.proxy_is_up = frozen, False
    rollout.begin().ticks(3)
    assert rollout.count(LowerWeight) == 0
    assert "chosen users may still get the release" in rollout.state.holds[Hold.SOURCE]
    assert rollout.told().count("canary_held") == 1
    rollout.proxy_is_up = True
    rollout.tick()
    assert rollout.commands.count(LowerWeight(weight=Decimal(0))) == 1
    rollout.ticks(3)
    assert rollout.count(LowerWeight) == 1, "once is enough"
    assert rollout.weight == (0 if frozen else Decimal("0.1"))


def test_half_a_shift_goes_on_where_nothing_holds() -> None:
    """A kill left a weight between both stages: the engine that begins again finishes the shift, and wakes nobody."""
    rollout = refused_at_second_shift()
    rollout.refuses, rollout.weight = False, Decimal("0.3")
    rollout.state = replace(rollout.state, holds={})
    rollout.begin().tick()
    assert (rollout.state.phase, rollout.weight) == (Phase.SETTLE, Decimal("0.5"))
    assert rollout.count(LowerWeight) == 0
    assert rollout.told().count("canary_held") == 1  # the refusal


@pytest.mark.parametrize("held", [Hold.FROZEN, Hold.SOURCE, Hold.PAUSED, Hold.SHIFT])
def test_half_a_shift_is_lowered_while_the_rollout_is_held(held: Hold) -> None:
    """A weight between both stages is more than the stage that was judged: a held rollout keeps the judged stage."""
    rollout = refused_at_second_shift()
    rollout.state = replace(rollout.state, holds={})
    match held:
        case Hold.FROZEN:
            rollout.frozen = True
        case Hold.SOURCE:
            rollout.frozen = None
        case Hold.PAUSED:
            rollout.send(Paused(by="ann"))
        case _:
            rollout.send(ShiftFailed(why="refused"))
    rollout.weight = Decimal("0.3")
    rollout.begin().tick()
    assert (rollout.state.phase, set(rollout.state.holds)) == (Phase.SHIFT, {held})
    assert rollout.weight == Decimal("0.1")
