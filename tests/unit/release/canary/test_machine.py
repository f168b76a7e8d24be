"""The rollout's state machine: from stage to stage, and how a rollout ends, by scenarios."""

from decimal import Decimal

import pytest

from release.canary.machine import TABLE
from release.canary.state import (
    FINAL,
    AbortAsked,
    AskFreeze,
    CutTraffic,
    Deploy,
    Hold,
    NewRelease,
    NotNow,
    Paused,
    Phase,
    RollBack,
    Started,
)
from release.canary.verdict import Verdict
from tests.unit.release.canary.rollouts import APPROVAL, Rollout, baking, both, plan

BREACH, PASS, UNCLEAR = Verdict.BREACH, Verdict.PASS, Verdict.INCONCLUSIVE


def test_a_good_release_goes_through_every_stage_once() -> None:
    """10 %, 50 %, 100 %, then the last watch; people hear of the beginning, each shift and the end."""
    rollout = Rollout().begin().until(Phase.DONE)
    assert rollout.shifts == [Decimal("0.1"), Decimal("0.5"), Decimal(1)]
    assert rollout.told() == ["canary_started", *["canary_shifted"] * 3, "canary_done"]
    assert rollout.count(AskFreeze) == 3
    assert rollout.count(CutTraffic) == 0


def test_data_of_the_weight_before_do_not_count() -> None:
    """After a shift, a gate is judged only once its window holds nothing from before."""
    rollout = Rollout().begin()
    assert rollout.state.phase is Phase.SETTLE
    rollout.tick(both(p95=BREACH))
    assert rollout.state.gates["p95"].streak == 0
    rollout.tick(both(p95=BREACH))
    assert rollout.state.gates["p95"].streak == 1


def test_no_stage_ends_while_the_last_verdict_is_not_pass() -> None:
    """An open row, and an unclear gate, block the next stage however long the bake was."""
    rollout = baking().ticks(20, both(errors=UNCLEAR))
    assert (rollout.state.phase, rollout.state.stage) == (Phase.BAKE, 0)
    rollout = baking().ticks(3)
    rollout.tick(both(errors=BREACH))
    rollout.ticks(4, both(errors=UNCLEAR))
    assert rollout.state.stage == 0
    assert rollout.until(Phase.SHIFT, Phase.SETTLE).state.stage == 1


def test_an_alert_of_the_service_aborts() -> None:
    """`abort_on` does not wait for a gate."""
    rollout = baking()
    rollout.tick(firing=("ShopDown",))
    assert (rollout.state.phase, rollout.state.why) == (Phase.ROLLED_BACK, "alerts fire: ShopDown")


def test_a_refusal_before_anything_was_touched() -> None:
    """Reasons of the check, or a person, end the rollout without deploy, shift or rollback."""
    rollout = Rollout()
    rollout.precheck = ("the service is frozen",)
    rollout.begin()
    assert (rollout.state.phase, rollout.count(Deploy)) == (Phase.REFUSED, 0)
    waiting = Rollout(plan(start=APPROVAL)).begin()
    waiting.send(AbortAsked(by="ann", reason="wrong build"))
    assert (waiting.state.phase, waiting.count(RollBack)) == (Phase.REFUSED, 0)


def test_a_failed_deploy_is_rolled_back() -> None:
    """Half a deployment may stand."""
    rollout = Rollout()
    rollout.deploy_fails = "exit 1"
    assert rollout.begin().state.phase is Phase.ROLLED_BACK
    assert rollout.shifts == []


def test_a_new_release_supersedes_the_running_one() -> None:
    """Its traffic ends first; an abort in between wins."""
    rollout = baking()
    rollout.send(NewRelease(release="v3"))
    assert (rollout.state.phase, rollout.weight, rollout.count(RollBack)) == (Phase.SUPERSEDED, Decimal(0), 0)


def test_traffic_that_cannot_be_cut_is_cut_later_and_the_rollback_does_not_wait() -> None:
    """The proxy is down: the rollback runs, people are paged, the cut is tried at each look."""
    rollout = baking()
    rollout.proxy_is_up = False
    rollout.send(AbortAsked(by="ann", reason="smells"))
    assert (rollout.state.phase, rollout.count(RollBack)) == (Phase.ABORTING, 1)
    rollout.ticks(3)
    rollout.proxy_is_up = True
    rollout.tick()
    assert (rollout.state.phase, rollout.count(RollBack)) == (Phase.ROLLED_BACK, 1)


def test_a_rollback_that_fails_is_told() -> None:
    """The rollout ends as ROLLBACK_FAILED, with a page."""
    rollout = baking()
    rollout.rollback_fails = "timeout"
    rollout.send(AbortAsked(by="ann", reason="smells"))
    assert rollout.state.phase is Phase.ROLLBACK_FAILED
    assert "canary_rollback_failed" in rollout.told()


def test_an_engine_that_died_while_shifting_reads_before_it_sets() -> None:
    """Shifted already: not again. Not shifted: once. Another weight: a person."""
    for weight, shifts in (("0.1", []), ("0", [Decimal("0.1")]), ("0.07", [Decimal("0.1")])):
        rollout = Rollout()
        rollout.frozen = True
        rollout.begin()
        rollout.frozen = False
        rollout.weight = Decimal(weight)
        rollout.begin()
        assert rollout.shifts == []
        rollout.tick()
        assert (rollout.state.phase, rollout.shifts) == (Phase.SETTLE, shifts)
    rollout = Rollout()
    rollout.frozen = True
    rollout.begin()
    rollout.weight = Decimal("0.6")
    rollout.begin()
    assert (rollout.weight, set(rollout.state.holds)) == (Decimal(0), {Hold.FROZEN, Hold.WEIGHT})


@pytest.mark.parametrize("event", [Paused(by="a"), AbortAsked(by="a", reason="r"), NewRelease(release="v3")])
def test_a_finished_rollout_takes_no_orders(event: Paused | AbortAsked | NewRelease) -> None:
    """Each order of a person is refused with the phase."""
    rollout = Rollout().begin().until(Phase.DONE)
    with pytest.raises(NotNow, match="done"):
        rollout.send(event)


def test_the_table_leaves_final_phases_alone() -> None:
    """And every other phase can be begun again, and aborted."""
    assert {phase for phase, _ in TABLE} & FINAL == set()
    others = set(Phase) - FINAL
    assert {phase for phase, event in TABLE if event is Started} == others
    assert {phase for phase, event in TABLE if event is AbortAsked} == others - {Phase.ABORTING}
