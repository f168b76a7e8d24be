"""The rollout's state machine: what each event does, by scenarios."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from release.canary.looks import count
from release.canary.machine import TABLE
from release.canary.plan import GatePlan
from release.canary.state import (
    FINAL,
    WATCHED,
    AbJudged,
    AbortAsked,
    Approved,
    AskFreeze,
    CutTraffic,
    Deploy,
    GateState,
    Hold,
    LowerWeight,
    NewRelease,
    NotNow,
    Paused,
    Phase,
    Promoted,
    Resumed,
    RollBack,
    Started,
)
from release.canary.verdict import Verdict
from release.policy.canary import Approval, Ask, Daily
from tests.unit.release.canary.rollouts import APPROVAL, NOTHING, Rollout, both, measured, plan, stage

BREACH, PASS, UNCLEAR = Verdict.BREACH, Verdict.PASS, Verdict.INCONCLUSIVE


def baking(made: Rollout | None = None) -> Rollout:
    """A rollout whose first stage is being watched."""
    return (made or Rollout()).begin().until(Phase.BAKE)


def test_a_good_release_goes_through_every_stage_once() -> None:
    """10 %, 50 %, 100 %, then the last watch; people hear of the beginning, each shift and the end."""
    rollout = Rollout().begin().until(Phase.DONE)
    assert rollout.shifts == [Decimal("0.1"), Decimal("0.5"), Decimal(1)]
    assert rollout.told() == ["canary_started", *["canary_shifted"] * 3, "canary_done"]
    assert rollout.count(AskFreeze) == 3
    assert rollout.count(CutTraffic) == 0


def test_breaches_in_a_row_abort_and_no_fewer() -> None:
    """`errors` needs three: two and a pass begin anew, an unclear look neither counts nor ends the row."""
    rollout = baking()
    for verdict in (BREACH, BREACH, PASS, BREACH, UNCLEAR, BREACH):
        rollout.tick(both(errors=verdict))
        assert (rollout.state.phase in WATCHED, rollout.state.stage) == (True, 0)
    rollout.tick(both(errors=BREACH))
    assert rollout.state.phase is Phase.ROLLED_BACK
    assert rollout.weight == 0
    assert (rollout.count(CutTraffic), rollout.count(RollBack)) == (1, 1)
    assert "gate errors: 0.1 (limit 1), 3 times in a row" in rollout.state.why


def spaced(spaced_s: float) -> Rollout:
    """A rollout whose `errors` needs three breaches that lie this far apart, and is being watched."""
    made = plan(stage("0.1", 600), stage("1", soak=True))
    gates = {**made.gates, "errors": replace(made.gates["errors"], spaced_s=spaced_s)}
    return baking(Rollout(replace(made, gates=gates)))


@pytest.mark.parametrize("looks,ends_at", [(0, 3), (15, 3), (20, 4), (30, 5), (30.5, 5), (32, 6), (45, 7)])
def test_breaches_of_a_row_lie_apart(looks: float, ends_at: int) -> None:
    """Looks each 15 s: with 30 s between breaches, the third one is the fifth look's. A moment early is in time."""
    rollout = spaced(looks)
    for _ in range(ends_at - 1):
        rollout.tick(both(errors=BREACH))
        assert rollout.state.phase in WATCHED
    rollout.tick(both(errors=BREACH))
    assert rollout.state.phase is Phase.ROLLED_BACK
    assert "3 times in a row" in rollout.state.why


def test_a_pass_between_ends_a_row_however_far_its_breaches_lie_apart() -> None:
    """Two breaches and a pass begin anew; a breach that came too soon still blocks the next stage."""
    rollout = spaced(30)
    for verdict in (BREACH, BREACH, BREACH, BREACH, PASS, BREACH, BREACH, BREACH, UNCLEAR):
        rollout.tick(both(errors=verdict))
        assert rollout.state.phase in WATCHED
    assert (rollout.state.stage, rollout.state.gates["errors"].streak) == (0, 2)
    rollout.tick(both(errors=BREACH))
    assert rollout.state.phase is Phase.ROLLED_BACK


@given(
    verdicts=st.lists(st.sampled_from([BREACH, BREACH, PASS, UNCLEAR]), max_size=40),
    consecutive=st.integers(2, 5),
    window_looks=st.integers(1, 8),
    jitter=st.lists(st.floats(-0.7, 0.7), min_size=40, max_size=40),
)
def test_a_full_row_spans_a_window_and_holds_no_pass(
    verdicts: list[Verdict], consecutive: int, window_looks: int, jitter: list[float]
) -> None:
    """Whatever looks say and however late they come: as many breaches as configured, first and last a window apart."""
    over_s = window_looks * 15.0
    gate = GatePlan(consecutive=consecutive, aborts=True, window_s=30, spaced_s=over_s / (consecutive - 1))
    made = replace(plan(), gates={"errors": gate})
    state = GateState()
    row: list[float] = []
    for index, verdict in enumerate(verdicts):
        at = 15.0 * index + jitter[index]
        state = count(made, state, measured("errors", verdict), at)
        row = [] if verdict is PASS else [*row, at] if verdict is BREACH else row
        assert state.streak <= len(row)
        if state.streak >= consecutive:
            assert at - row[0] >= over_s - 1.5
            return


@given(consecutive=st.integers(1, 8), window_looks=st.integers(0, 8), unclear=st.integers(0, 3))
def test_a_clear_outage_fills_its_row_in_a_window_and_a_look(consecutive: int, window_looks: int, unclear: int) -> None:
    """Breach after breach: the row is full after the window, or after as many looks as there are breaches."""
    spaced_s = window_looks * 15.0 / max(1, consecutive - 1)
    gate = GatePlan(consecutive=consecutive, aborts=True, window_s=30, spaced_s=spaced_s)
    made = replace(plan(), gates={"errors": gate})
    state = GateState()
    for look in range(unclear + max(consecutive - 1, window_looks if consecutive > 1 else 0) + 1):
        state = count(made, state, measured("errors", UNCLEAR if look < unclear else BREACH), 15.0 * look)
    assert state.streak == consecutive


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


def test_an_alert_of_the_service_aborts() -> None:
    """`abort_on` does not wait for a gate."""
    rollout = baking()
    rollout.tick(firing=("ShopDown",))
    assert (rollout.state.phase, rollout.state.why) == (Phase.ROLLED_BACK, "alerts fire: ShopDown")


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
