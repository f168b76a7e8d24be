"""The verdict on a rollout: what went as said has no complaint, and everything else has one."""

import pytest

from freezeline.demo.rollout.acts import OPENING
from freezeline.demo.rollout.record import ONCE, Outcome, Step, complaints
from tests.unit.freezeline.demo.rollout.records import ERRS, EXPECTED, WHY, outcome, record


def taken_back(*, why: str = WHY, streak: int = 3, starts: int = 1) -> Outcome:
    """How a release that errs ended, almost as said."""
    return outcome("rolled_back", why, streak=streak, starts=starts, code=1)


def test_rollouts_as_said_have_no_complaint() -> None:
    """The good release and the bad one."""
    made = record()
    assert (complaints(OPENING, made, EXPECTED), complaints(ERRS, made, EXPECTED)) == ((), ())


@pytest.mark.parametrize("step", [*ONCE, Step.ALERT])
def test_a_step_that_is_missing_or_comes_twice(step: Step) -> None:
    """Each step of a bad release counts once."""
    assert f"seen 0 times, not 1: {step}" in complaints(ERRS, record(without=step), EXPECTED)
    assert f"seen 2 times, not 1: {step}" in complaints(ERRS, record(twice=step), EXPECTED)


@pytest.mark.parametrize(
    "ended,complaint",
    [
        (outcome("done", starts=1), "the rollout ended done with exit code 0: "),
        (taken_back(why="gate p95: x"), "not the gate errors stopped the release, but: gate p95: x"),
        (taken_back(streak=2), "2 breaches in a row, not 3"),
        (taken_back(streak=4), "4 breaches in a row, not 3"),
        (taken_back(starts=0), "the rollback script started 0 times"),
        (taken_back(starts=2), "the rollback script started 2 times"),
    ],
)
def test_a_bad_release_that_ends_otherwise(ended: Outcome, complaint: str) -> None:
    """Phase, gate, breaches in a row, and rollbacks."""
    made = record()
    made.outcomes["v3"] = ended
    assert complaint in complaints(ERRS, made, EXPECTED)


def test_people_who_are_not_told_or_told_twice() -> None:
    """Each headline counts once."""
    assert "Slack heard 0 times: shop: CANARY ABORTED" in complaints(ERRS, record(without=Step.TOLD), EXPECTED)
    assert "Slack heard 2 times: shop: rollout done" in complaints(OPENING, record(twice=Step.TOLD), EXPECTED)


def test_an_effect_before_its_cause() -> None:
    """Traffic that ends before it began."""
    made = record(without=Step.NO_TRAFFIC)
    made.saw(Step.NO_TRAFFIC, 30.0, "0 %")
    assert "no traffic came before taken back" in complaints(ERRS, made, EXPECTED)


def test_a_good_release_that_does_not_get_everything() -> None:
    """A stage that is missing, a failed request, an abort."""
    assert complaints(OPENING, record(without=Step.TRAFFIC), EXPECTED) == (
        "HAProxy gave nothing, not 10 %, 50 %, 100 %",
    )
    made = record()
    made.outcomes["v2"] = outcome("rolled_back", "gate p95: slow", failed=3, starts=1, code=1)
    made.release = "v2"
    made.saw(Step.FROZEN, 20.0, "FREEZE.FLAG")
    assert complaints(OPENING, made, EXPECTED) == (
        "the rollout ended rolled_back with exit code 1: gate p95: slow",
        "unexpected: frozen",
        "3 of 1000 requests failed",
        "the rollback script started 1 times",
    )


def test_a_rollout_that_did_not_end() -> None:
    """No outcome is a complaint."""
    made = record()
    del made.outcomes["v3"]
    assert complaints(ERRS, made, EXPECTED) == ("the rollout did not end in time",)
