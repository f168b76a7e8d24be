"""Evidence: a stage ends only if its events show that the release does not have twice the allowed failures."""

import math
from decimal import Decimal

import numpy as np
import pytest
from msgspec.structs import replace

from freezeline.problems import Position
from generator.model.canary_gate import CanaryGate, RatioMeasure
from generator.model.canary_proof import Proof, events_to_pass
from generator.promql.text import Selector
from release.canary.machine import NotNow
from release.canary.plan import GatePlan, Plan, WholeStage
from release.canary.state import Hold, Paused, Phase, Promoted, Resumed, Watched
from release.canary.verdict import Counts, Measured, Verdict
from release.canary.whole_stage import breaks, proven
from tests.unit.release.canary.rollouts import Rollout, measured, plan, stage

WHOLE = WholeStage(share=Decimal("0.005"), level=Decimal("0.004"), inflation=Decimal(2), pass_level=0.05)
GATE = GatePlan(consecutive=3, aborts=True, window_s=30, whole=WHOLE)


def saw(bad: int, total: int = 60) -> tuple[Measured]:
    """A look at the gate `errors`, whose window adds these events to the stage."""
    found = measured("errors", Verdict.PASS)
    return (replace(found, part=Counts(bad=bad, total=total), bad=bad),)


def made() -> Plan:
    """A minute at 10 %, a minute at 100 %, and one gate that counts events."""
    return replace(plan(stage("0.1", 60), stage("1", soak=True)), gates={"errors": GATE})


def test_a_stage_without_enough_events_holds_and_goes_on_by_itself() -> None:
    """People hear of the hold once, and nobody needs to resume."""
    rollout = Rollout(made()).begin()
    rollout.ticks(20, saw(0))
    assert (rollout.state.stage, set(rollout.state.holds)) == (0, {Hold.EVIDENCE})
    assert rollout.told().count("canary_held") == 1
    assert rollout.state.holds[Hold.EVIDENCE] == (
        "stage 1 has too few events to tell a good release from a bad one, so the engine watches on:"
        " errors (0 of 180 events are bad)"
    )
    while rollout.state.stage == 0:
        rollout.tick(saw(0))
    assert rollout.state.holds == {}
    assert 60 * rollout.at / 30 >= 1190, "events without a failure, of windows that share none"


def test_one_outage_needs_many_good_events_to_make_up_for() -> None:
    """A single window never aborts, and two looks see this one. All its failures count, so the stage holds."""
    rollout = Rollout(made()).begin()
    for look in range(100):
        rollout.tick(saw(60 if look in (20, 21) else 0))
    assert (rollout.state.stage, set(rollout.state.holds)) == (0, {Hold.EVIDENCE})


def test_a_person_may_promote_what_the_events_do_not_show() -> None:
    """`promote` names who takes the risk. Other holds still refuse."""
    rollout = Rollout(made()).begin()
    rollout.ticks(20, saw(0))
    rollout.frozen = True
    rollout.tick(saw(0))
    with pytest.raises(NotNow):
        rollout.send(Promoted(by="ann"))
    rollout.frozen = False
    rollout.tick(saw(0))
    rollout.send(Promoted(by="ann"))
    rollout.tick(saw(0))
    assert rollout.state.stage == 1


def test_a_pause_keeps_the_evidence() -> None:
    """Only a broken bound makes the person who resumes begin the stage's count anew."""
    rollout = Rollout(made()).begin()
    rollout.ticks(20, saw(0))
    before = rollout.state.gates["errors"].watched
    rollout.send(Paused(by="ann"))
    rollout.send(Resumed(by="ann"))
    assert rollout.state.gates["errors"].watched == before


def test_gates_that_need_no_evidence() -> None:
    """Gauges, policies without `pass_level`, bounds that allow everything, and bounds that allow nothing."""
    nothing = Watched()
    assert proven(replace(GATE, whole=None), nothing)
    assert proven(replace(GATE, whole=replace(WHOLE, pass_level=None)), nothing)
    assert proven(replace(GATE, whole=replace(WHOLE, share=Decimal(1))), Watched(bad=5, every_bad=5, total=5))
    none_allowed = replace(GATE, whole=replace(WHOLE, share=Decimal(0)))
    assert proven(none_allowed, nothing)
    assert not proven(none_allowed, Watched(bad=1, every_bad=1, total=1000))
    assert breaks(none_allowed, Watched(bad=3, every_bad=3, total=1000, beyond=3))


@pytest.mark.parametrize("allowed,part", [("0.005", 0.5), ("0.02", 0), ("0.1", 0.5), ("0.5", 0.5)])
def test_explain_tells_the_events_that_the_engine_needs(allowed: str, part: float) -> None:
    """The generator computes the number, the engine counts: both mean the same test."""
    selector = Selector(text="x", metric="x", matchers=())
    gate = CanaryGate(
        id="errors",
        measure=RatioMeasure(counted=selector, total=selector, good=False),
        over_ms=60_000,
        op="<=",
        value=Decimal(allowed),
        at_most_times=None,
        consecutive=1,
        spaced_ms=0,
        min_samples=1,
        on_breach="abort",
        unit="ratio",
        position=Position("x.yaml"),
    )
    proof = Proof(level=Decimal("0.01"), stage_level=Decimal("0.004"), pass_level=Decimal("0.05"), inflation=Decimal(2))
    events = events_to_pass(gate, proof, Decimal(part))
    assert events is not None
    plan_ = replace(GATE, whole=replace(WHOLE, share=Decimal(allowed)))

    def shown(total: int) -> bool:
        bad = total * float(allowed) * part
        return proven(plan_, Watched(every_bad=math.floor(bad), total=total))

    assert shown(math.ceil(events * 1.05) + 2)
    assert not shown(math.floor(events * 0.8) - 2)


def test_a_bad_release_passes_no_more_often_than_the_level() -> None:
    """Twice the allowed failures in bursts of 1.5, looked at after each window, 1,000 times: at most 5 % ever pass."""
    dice = np.random.default_rng(5)
    runs, windows, events = 1000, 150, 100
    expected = 2 * 0.005 * events
    bursts = dice.poisson(expected / 1.5, (runs, windows))
    bad = np.where(bursts > 0, bursts + dice.negative_binomial(np.maximum(bursts, 1), 1 / 1.5), 0).cumsum(axis=1)
    passed = sum(
        any(proven(GATE, Watched(every_bad=int(row[at]), total=events * (at + 1))) for at in range(windows))
        for row in bad
    )
    assert 0 < passed <= 50 + 3 * math.sqrt(50)


def test_a_held_stage_is_judged_all_the_same() -> None:
    """A row of breaches aborts while the stage waits for evidence."""
    rollout = Rollout(made()).begin()
    rollout.ticks(20, saw(0))
    assert set(rollout.state.holds) == {Hold.EVIDENCE}
    rollout.ticks(3, (replace(saw(60)[0], verdict=Verdict.BREACH),))
    assert rollout.state.phase is Phase.ROLLED_BACK
