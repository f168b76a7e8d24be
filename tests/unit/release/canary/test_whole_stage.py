"""A stage as a whole: windows that share no event, added up, prove what no window alone can prove."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from release.canary.plan import GatePlan, WholeStage
from release.canary.proof import fewest_above, share_is_above
from release.canary.state import Hold, Phase, Resumed, Watched
from release.canary.verdict import Counts, Measured, Verdict
from release.canary.whole_stage import added, breaks
from release.policy.canary import Proof
from tests.unit.release.canary.rollouts import Rollout, measured, plan, stage

WHOLE = WholeStage(share=Decimal("0.005"), level=Decimal("0.004"), inflation=Decimal(2))
GATE = GatePlan(consecutive=3, aborts=True, window_s=30, whole=WHOLE)


def saw(bad: int, total: int = 60, verdict: Verdict = Verdict.PASS) -> Measured:
    """A look at the gate `errors`, with what its window adds to the stage."""
    return replace(measured("errors", verdict), part=Counts(bad=bad, total=total))


def summed(*bad: int) -> Watched:
    """Windows of 60 events, one after the other."""
    watched = Watched()
    for index, one in enumerate(bad):
        watched = added(GATE, watched, saw(one), 30.0 * index)
    return watched


def test_windows_that_share_events_are_added_once() -> None:
    """Looks each 15 s at windows of 30 s: every second look has only new events."""
    watched = Watched()
    for look in range(5):
        watched = added(GATE, watched, saw(1), 15.0 * look)
    assert watched == Watched(bad=3, every_bad=3, total=180, beyond=3, at=60.0)
    assert added(GATE, watched, measured("errors", Verdict.PASS), 900.0) == watched


def test_a_stage_proves_what_no_window_can() -> None:
    """At a bound of 0.5 %, four failures of 60 events prove nothing; in each third window, they do in the end."""
    assert not share_is_above(4, 60, 0.005, Proof(level=WHOLE.level, inflation=WHOLE.inflation))
    assert not breaks(GATE, summed(4, 0, 0, 4))
    assert breaks(GATE, summed(*[4, 0, 0] * 6))
    assert not breaks(GATE, summed(*[4, *[0] * 11] * 6))
    assert not breaks(replace(GATE, whole=None), summed(*[4, 0, 0] * 6))


@given(windows=st.lists(st.integers(0, 60), max_size=2), healthy=st.integers(0, 20))
def test_two_bad_windows_never_condemn_a_stage(windows: list[int], healthy: int) -> None:
    """However bad the windows were: three breaches in a row are asked for, and so are three windows."""
    assert not breaks(GATE, summed(*windows, *[0] * healthy))


@given(
    total=st.integers(1, 3000),
    share=st.sampled_from([0.005, 0.02, 0.05, 0.5]),
    level=st.sampled_from(["0.05", "0.003"]),
    inflation=st.sampled_from(["1", "1.5", "2"]),
)
def test_a_window_adds_no_more_than_a_breach_needs(total: int, share: float, level: str, inflation: str) -> None:
    """One event fewer proves nothing; if no count proves anything, all events are added."""
    proof = Proof(level=Decimal(level), inflation=Decimal(inflation))
    fewest = fewest_above(total, share, proof)
    assert share_is_above(fewest, total, share, proof) or fewest == total
    assert not share_is_above(fewest - 1, total, share, proof) or fewest - 1 < int(total * share)


def slow_leak(*, aborts: bool) -> Rollout:
    """A rollout with one gate, and windows of which each third has four failures: never three breaches in a row.

    Windows without a verdict make no row.
    """
    made = plan(stage("0.1", 900), stage("1", soak=True))
    rollout = Rollout(replace(made, gates={"errors": replace(GATE, aborts=aborts)})).begin()
    for look in range(100):
        if rollout.state.stage or rollout.state.holds or rollout.state.phase is Phase.ROLLED_BACK:
            break
        bad = look % 6 < 2
        rollout.tick((saw(4 * bad, verdict=Verdict.INCONCLUSIVE if bad else Verdict.PASS),))
    return rollout


def test_a_slow_leak_is_taken_back_as_soon_as_the_stage_proves_it() -> None:
    """Too many failures, of which no window has enough: the stage is not over yet."""
    rollout = slow_leak(aborts=True)
    assert rollout.state.phase is Phase.ROLLED_BACK
    assert rollout.state.stage == 0
    assert 400 <= rollout.at < 900
    assert rollout.state.why.startswith("gate errors: ")
    assert rollout.state.why.endswith(" events of the stage are bad")


def test_a_gate_that_holds_asks_a_person() -> None:
    """`on_breach: hold`: the person who resumes has seen the figures, so the stage is judged anew."""
    rollout = slow_leak(aborts=False)
    assert (rollout.state.stage, set(rollout.state.holds)) == (0, {Hold.BREACH})
    rollout.send(Resumed(by="ann"))
    assert rollout.state.gates["errors"].watched == Watched()
    rollout.ticks(60, (saw(0),))
    assert rollout.state.stage == 1


@pytest.mark.parametrize("bad", [0, 2])
def test_the_next_stage_begins_with_nothing(bad: int) -> None:
    """What a smaller share of the traffic saw does not count once more."""
    made = plan(stage("0.1", 60), stage("0.5", 600), stage("1", soak=True))
    rollout = Rollout(replace(made, gates={"errors": GATE})).begin()
    while rollout.state.stage == 0:
        rollout.tick((saw(bad),))
    assert rollout.state.gates["errors"].watched == Watched()
