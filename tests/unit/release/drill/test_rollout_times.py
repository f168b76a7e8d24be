"""The times of a rollout that was taken back, by the steps that the engine stored or that the demo saw."""

import pytest

from freezeline.demo.rollout.record import Record, Step
from freezeline.drill.canary import measured_of
from release.drill.canary import Times, times
from release.store.database import Step as Stored


def stored(*steps: tuple[str, float]) -> list[Stored]:
    """Steps with these phases and times."""
    return [
        Stored(seq=number, rollout="r", at=at, event="Tick", body="{}", phase=phase, stage=0, hash="")
        for number, (phase, at) in enumerate(steps, start=1)
    ]


WHOLE = (
    ("precheck", 1.0),
    ("deploy", 2.0),
    ("deploy", 3.0),
    ("shift", 22.0),
    ("bake", 30.0),
    ("aborting", 40.0),
    ("aborting", 41.0),
    ("rolled_back", 47.5),
)


def test_a_whole_rollout() -> None:
    """From the first step of a phase to the first of the other."""
    assert times(stored(*WHOLE)) == Times(deploy_s=20.0, rollback_s=7.5)


@pytest.mark.parametrize("lost", ["deploy", "shift", "aborting", "rolled_back"])
def test_a_part_that_did_not_happen(lost: str) -> None:
    """Is not measured."""
    found = times(stored(*(one for one in WHOLE if one[0] != lost)))
    assert (found.deploy_s is None) == (lost in {"deploy", "shift"})
    assert (found.rollback_s is None) == (lost in {"aborting", "rolled_back"})


def test_the_demo() -> None:
    """The bad release alone counts."""
    record = Record(told=lambda _record, _one: None)
    for release, offset in (("v2", 0.0), ("v3", 100.0)):
        record.release = release
        for step, at in ((Step.BEGIN, 1.0), (Step.DEPLOYED, 3.0), (Step.TAKEN_BACK, 10.0), (Step.ROLLED_BACK, 14.0)):
            record.saw(step, offset + (at if release == "v3" else 0.0), "")
    assert measured_of(record, "v3") == Times(deploy_s=2.0, rollback_s=4.0)
    record.release = "v4"
    record.saw(Step.BEGIN, 0.0, "")
    assert measured_of(record, "v4") == Times(deploy_s=None, rollback_s=None)
