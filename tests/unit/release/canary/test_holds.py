"""What holds a rollout, and what ends a hold: no data, persons, weights, freezes, sources."""

from decimal import Decimal

import pytest

from release.canary.state import (
    Hold,
    LowerWeight,
    Paused,
    Phase,
    Resumed,
)
from release.canary.verdict import Verdict
from tests.unit.release.canary.rollouts import APPROVAL, NOTHING, Rollout, baking, both, plan, stage

BREACH, PASS, UNCLEAR = Verdict.BREACH, Verdict.PASS, Verdict.INCONCLUSIVE


def test_time_without_data_is_no_bake_and_then_holds() -> None:
    """Two minutes without a verdict hold the rollout and page; nothing advances and nothing aborts."""
    rollout = baking()
    rollout.ticks(7, NOTHING)
    assert rollout.state.baked_s == 0
    rollout.ticks(1, NOTHING)
    assert set(rollout.state.holds) == {Hold.NO_DATA}
    rollout.ticks(50, NOTHING)
    assert (rollout.state.phase, rollout.state.stage) == (Phase.BAKE, 0)
    rollout.until(Phase.DONE)


def test_time_without_data_aborts_where_the_spec_says_so() -> None:
    """`no_data: {then: abort}`."""
    rollout = baking(Rollout(plan(no_data_aborts=True))).ticks(10, NOTHING)
    assert rollout.state.phase is Phase.ROLLED_BACK


def test_a_gate_that_holds_waits_for_a_person() -> None:
    """`on_breach: hold`: no rollback; a person resumes, and the row begins anew."""
    rollout = baking(Rollout(plan(aborts=False))).ticks(4, both(errors=BREACH))
    assert (rollout.state.phase, set(rollout.state.holds)) == (Phase.BAKE, {Hold.BREACH})
    rollout.ticks(20)
    assert rollout.state.stage == 0
    rollout.send(Resumed(by="ann"))
    rollout.until(Phase.DONE)


@pytest.mark.parametrize("phase", [Phase.SETTLE, Phase.BAKE, Phase.EVALUATE])
def test_gates_are_judged_while_a_person_is_waited_for(phase: Phase) -> None:
    """Held, or waiting for an approval: a bad release is taken back all the same."""
    rollout = Rollout(plan(stage("0.1", then=APPROVAL), stage("1", soak=True))).begin().until(phase)
    rollout.send(Paused(by="ann"))
    rollout.ticks(5, both(p95=BREACH))
    assert rollout.state.phase is Phase.ROLLED_BACK


def test_a_weight_raised_by_hand_is_lowered_at_once() -> None:
    """The engine holds and pages; a person resumes, and the stage begins again."""
    rollout = baking()
    rollout.weight = Decimal("0.9")
    rollout.tick()
    assert rollout.weight == Decimal("0.1")
    assert (rollout.count(LowerWeight), set(rollout.state.holds)) == (1, {Hold.WEIGHT})
    rollout.ticks(30)
    assert rollout.state.stage == 0
    rollout.send(Resumed(by="ann"))
    rollout.until(Phase.DONE)


def test_a_lower_weight_is_never_repaired_upwards() -> None:
    """HAProxy was reloaded: weight 0. Only a person has the weight set again, and the stage begins anew."""
    rollout = baking()
    rollout.weight = Decimal(0)
    rollout.ticks(30, NOTHING)
    assert (rollout.weight, rollout.count(LowerWeight)) == (Decimal(0), 0)
    assert Hold.WEIGHT in rollout.state.holds
    rollout.send(Resumed(by="ann"))
    assert (rollout.weight, rollout.state.phase, rollout.state.baked_s) == (Decimal("0.1"), Phase.SETTLE, 0)


def test_a_freeze_stops_the_next_shift_until_it_ends() -> None:
    """The freeze is asked just before each shift too."""
    rollout = baking()
    rollout.frozen = True
    rollout.ticks(30)
    assert (rollout.state.stage, set(rollout.state.holds)) == (0, {Hold.FROZEN})
    rollout.frozen = False
    rollout.until(Phase.DONE)
    assert rollout.told().count("canary_held") == 1


@pytest.mark.parametrize("frozen", [True, None])
def test_nothing_begins_during_a_freeze(frozen: bool | None) -> None:  # noqa: FBT001 - three values
    """Neither while the service is frozen, nor while nobody can tell."""
    rollout = Rollout()
    rollout.frozen = frozen
    rollout.begin().ticks(5)
    assert (rollout.state.phase, rollout.shifts) == (Phase.SHIFT, [])
    rollout.frozen = False
    rollout.until(Phase.DONE)


def test_a_source_that_is_away_holds() -> None:
    """Prometheus, receiver or proxy: never an advance; the hold ends by itself."""
    rollout = baking()
    for _ in range(20):
        rollout.tick(away="Prometheus cannot be asked")
    rollout.proxy_is_up = False
    rollout.ticks(20)
    assert (rollout.state.stage, set(rollout.state.holds)) == (0, {Hold.SOURCE})
    rollout.proxy_is_up = True
    rollout.until(Phase.DONE)
