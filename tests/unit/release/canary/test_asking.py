"""The questions of a stage: the gate, approvals, daily questions, the A/B test, and a promotion by hand."""

import pytest

from release.canary.state import (
    AbJudged,
    Approved,
    Deploy,
    Hold,
    NotNow,
    Paused,
    Phase,
    Promoted,
)
from release.canary.verdict import Verdict
from release.policy.canary import Approval, Ask, Daily
from tests.unit.release.canary.rollouts import APPROVAL, Rollout, baking, both, plan, stage

BREACH, PASS, UNCLEAR = Verdict.BREACH, Verdict.PASS, Verdict.INCONCLUSIVE


def test_a_no_of_the_gate_holds_and_is_asked_again() -> None:
    """`then: {gate: true}`: NO-GO holds, once a minute the gate is asked again."""
    rollout = Rollout(plan(stage("0.1", then=Ask(gate=True)), stage("1", soak=True)))
    rollout.gate_says = False
    rollout.begin().ticks(30)
    assert (rollout.state.phase, set(rollout.state.holds)) == (Phase.EVALUATE, {Hold.GATE})
    asked = sum(type(command).__name__ == "AskGate" for command in rollout.commands)
    assert 4 <= asked <= 7
    rollout.gate_says = True
    rollout.until(Phase.DONE)


def test_an_approval_names_rollout_and_stage_and_is_used_once() -> None:
    """Another rollout's or stage's approval is refused; the next stage asks anew."""
    two = stage("0.1", then=APPROVAL), stage("0.5", then=APPROVAL), stage("1", soak=True)
    rollout = Rollout(plan(*two)).begin().until(Phase.EVALUATE).ticks(2)
    for wrong in (Approved(by="ann", rollout="r0", stage=0), Approved(by="ann", rollout="r1", stage=1)):
        with pytest.raises(NotNow):
            rollout.send(wrong)
    rollout.send(Approved(by="ann", rollout="r1", stage=0))
    rollout.ticks(2)
    assert rollout.state.stage == 1
    rollout.until(Phase.EVALUATE).ticks(10)
    assert rollout.state.stage == 1


def test_an_approval_is_void_after_a_breach() -> None:
    """What the person saw is no longer true."""
    rollout = Rollout(plan(stage("0.1", then=APPROVAL), stage("1", soak=True))).begin().until(Phase.EVALUATE)
    rollout.tick(both(errors=UNCLEAR))
    rollout.send(Approved(by="ann", rollout="r1", stage=0))
    rollout.tick(both(errors=BREACH))
    rollout.ticks(10)
    assert (rollout.state.stage, rollout.state.answers.approved_by) == (0, "")
    assert rollout.told().count("canary_approval") == 2


@pytest.mark.parametrize("then,ended", [("hold", Phase.EVALUATE), ("abort", Phase.ROLLED_BACK)])
def test_an_approval_has_an_end(then: str, ended: Phase) -> None:
    """`approval: {within: 60s, then: …}`."""
    ask = Ask(approval=Approval(within_s=60, then=then))  # type: ignore[arg-type]
    rollout = Rollout(plan(stage("0.1", then=ask), stage("1", soak=True))).begin().until(Phase.EVALUATE)
    rollout.ticks(6)
    assert rollout.state.phase is ended
    if then == "hold":
        rollout.send(Approved(by="ann", rollout="r1", stage=0))
        rollout.until(Phase.DONE)


def test_an_approval_to_begin() -> None:
    """`start: {approval: manual}`: nothing is deployed before."""
    rollout = Rollout(plan(start=APPROVAL)).begin().ticks(3)
    assert (rollout.state.phase, rollout.count(Deploy)) == (Phase.PRECHECK, 0)
    rollout.send(Approved(by="ann", rollout="r1", stage=-1))
    rollout.until(Phase.DONE)


def test_a_daily_question_is_asked_at_its_times_and_once_after_a_pause() -> None:
    """08:00 and 16:00 UTC; an engine that was down over three of them asks once."""
    daily = Daily(at=("08:00", "16:00"), zone="UTC", gate=True)
    rollout = Rollout(plan(stage("0.1", 10 * 86400, daily=daily), stage("1", soak=True))).begin().until(Phase.BAKE)
    assert rollout.state.daily_due == 8 * 3600
    rollout.at = 8 * 3600 - 20
    rollout.tick()
    assert rollout.told() == ["canary_started", "canary_shifted"]
    rollout.gate_says = False
    rollout.tick()
    assert set(rollout.state.holds) == {Hold.GATE}
    rollout.gate_says = True
    rollout.ticks(6)
    assert rollout.state.holds == {}
    rollout.at = 48 * 3600
    asked = len(rollout.commands)
    rollout.tick()
    assert [type(command).__name__ for command in rollout.commands[asked:]] == ["AskGate"]
    assert rollout.state.daily_due == 56 * 3600


def test_an_ab_test_decides() -> None:
    """Worse: taken back. Cannot tell: a person. Not worse: on."""
    made = plan(stage("0.5", ab=True), stage("1", soak=True))
    worse = Rollout(made).begin().until(Phase.EVALUATE)
    worse.send(AbJudged(outcome="worse", why="errors +40 %"))
    assert worse.state.phase is Phase.ROLLED_BACK
    unclear = Rollout(made).begin().until(Phase.EVALUATE)
    unclear.send(AbJudged(outcome="cannot_tell", why="sample-ratio mismatch"))
    assert set(unclear.ticks(5).state.holds) == {Hold.APPROVAL}
    good = Rollout(made).begin().until(Phase.EVALUATE).ticks(5)
    assert good.state.stage == 0
    good.send(AbJudged(outcome="not_worse"))
    good.until(Phase.DONE)


def test_promote_ends_the_bake_but_not_the_gates() -> None:
    """A person may shorten the watch; a gate that does not pass, or a hold, refuses."""
    rollout = baking(Rollout(plan(stage("0.1", 7200), stage("1", 7200, soak=True))))
    rollout.tick(both(errors=UNCLEAR))
    with pytest.raises(NotNow, match="not every gate"):
        rollout.send(Promoted(by="ann"))
    rollout.tick()
    rollout.send(Promoted(by="ann"))
    rollout.tick()
    assert rollout.state.stage == 1
    rollout.until(Phase.SOAK)
    rollout.send(Paused(by="ann"))
    with pytest.raises(NotNow, match="held"):
        rollout.send(Promoted(by="ann"))
