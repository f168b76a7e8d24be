"""The shipped specs B, C and E as plans: what `--speed` changes, and system E's 22 days in made-up time."""

import json
import math
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from release.canary.plan import plan_of
from release.canary.state import AbJudged, Approved, AskGate, Phase
from release.canary.verdict import Counts, Measured, Verdict
from release.policy.canary import Canary
from tests.tools import ROOT
from tests.unit.release.canary.rollouts import Rollout

SHIPPED = ("canary-medium", "day0-launch", "assistant-phase4")
DAY_S = 86400
SETTLES_S = 180
"""Windows of two minutes, a scrape of 15 s, and the next look."""


def canary(name: str) -> Canary:
    """The canary of a shipped policy."""
    raw = json.loads((ROOT / "rules" / "policy" / f"{name}.policy.json").read_text())
    return msgspec.convert(raw["canary"], Canary)


@pytest.mark.parametrize("name", SHIPPED)
def test_speed_shortens_bake_soak_days_and_evidence_alone(name: str) -> None:
    """Looks, windows, breaches in a row, silence and weights stay: a rehearsal is judged as the real rollout."""
    real, fast = plan_of(canary(name)), plan_of(canary(name), speed=60)
    assert fast.day_s == real.day_s / 60
    assert [one.watch_s for one in fast.stages] == [one.watch_s / 60 for one in real.stages]
    assert fast.settle_s == real.settle_s > 0
    same = [replace(one, watch_s=0, least_passes=0) for one in real.stages]
    assert [replace(one, watch_s=0, least_passes=0) for one in fast.stages] == same
    for gate, one in fast.gates.items():
        whole = real.gates[gate].whole
        if whole is not None and one.whole is not None:
            levels = [math.log(each.pass_level or 1) for each in (whole, one.whole)]
            assert levels[1] == pytest.approx(levels[0] / 60)
            assert levels[0] < 0
    gates = {gate: replace(one, whole=real.gates[gate].whole) for gate, one in fast.gates.items()}
    assert replace(fast, stages=real.stages, gates=gates, day_s=real.day_s) == real


@pytest.mark.parametrize("speed,questions", [(1, {14}), (100, {13, 14})])
def test_system_e_takes_its_time(speed: int, questions: set[int]) -> None:
    """5 % for 90 min and an approval, 10 % for a week with 14 questions, 50 % for a fortnight, 100 % for a day.

    Days that are shortened have no 08:00. Their questions come at looks, so the last one may fall behind the bake.
    """
    made = plan_of(canary("assistant-phase4"), speed=speed)
    rollout = Rollout(made)
    rollout.every_s = made.every_s
    part = Counts(bad=0, total=1000)
    passed = Measured(gate="", verdict=Verdict.PASS, value=Decimal(0), bound=None, samples=1000, why="", part=part)
    found = tuple(replace(passed, gate=gate) for gate in made.gates)
    began: dict[int, float] = {}
    waited: dict[int, float] = {}
    rollout.begin()
    while rollout.state.phase is not Phase.DONE:
        stage = rollout.state.stage
        began.setdefault(stage, rollout.at)
        if rollout.state.phase is Phase.EVALUATE and made.stages[stage].needs_ab and not rollout.state.answers.ab:
            rollout.send(AbJudged(outcome="not_worse"))
        asked_at = rollout.state.answers.approval_asked_at
        if asked_at is not None and rollout.at >= asked_at + 600:
            waited[stage] = asked_at
            rollout.send(Approved(by="anna", rollout="r1", stage=stage))
        rollout.tick(found)
    assert rollout.shifts == [Decimal("0.05"), Decimal("0.1"), Decimal("0.5"), Decimal(1)]
    assert set(waited) == {0, 2}, "the first stage and the A/B test wait for a person"
    ends = [waited[0], began[2], waited[2], rollout.at]
    for stage, real_s in enumerate((90 * 60, 7 * DAY_S, 14 * DAY_S, DAY_S)):
        took_s = ends[stage] - began[stage]
        assert real_s / speed <= took_s <= real_s / speed + SETTLES_S + 4 * made.every_s, (stage, took_s)
    assert rollout.count(AskGate) in questions
