"""Rows of breaches: how many abort, and how far they lie apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from release.canary.looks import count
from release.canary.plan import GatePlan
from release.canary.state import (
    WATCHED,
    CutTraffic,
    GateState,
    Phase,
    RollBack,
)
from release.canary.verdict import Verdict
from tests.unit.release.canary.rollouts import Rollout, baking, both, measured, plan, stage

BREACH, PASS, UNCLEAR = Verdict.BREACH, Verdict.PASS, Verdict.INCONCLUSIVE


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
