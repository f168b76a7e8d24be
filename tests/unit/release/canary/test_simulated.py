"""A sample of `./dev bench canary`: healthy releases get through, bad ones are taken back, as the docs say."""

import msgspec
import pytest

from benchmarks.canary import BADNESS, GOOD, RATES, SPECS, Judge, fate, policy, rollout
from benchmarks.canary_table import ALWAYS, PAGE, holds, page, stored
from benchmarks.canary_traffic import BURST, Shares, Traffic
from release.canary.state import Phase
from release.policy.canary import Canary

SEED = 20  # not that of the documentation


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("spec,runs", [("B", 25), ("C", 3)])
def test_healthy_releases_get_through(spec: str, rate: float, runs: int) -> None:
    """With half of the failures that are allowed, in bursts: each of some is promoted, sooner or later."""
    assert fate(spec, rate, GOOD, runs, SEED).promoted == runs


@pytest.mark.parametrize("kind", ALWAYS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("spec", SPECS)
def test_clearly_bad_releases_are_taken_back(spec: str, rate: float, kind: str) -> None:
    """Five and ten times the allowed failures, and outages: every one, the latter within the time of the spec."""
    found = fate(spec, rate, BADNESS[kind], 10, SEED)
    assert found.aborted == found.runs
    if kind == "later":
        promise_s = {"B": 120, "C": 60}[spec]  # the windows of `errors`
        assert found.median_s is not None
        assert found.median_s <= promise_s + (15 if rate >= 1 else 45)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("spec", SPECS)
def test_twice_the_allowed_failures_are_never_promoted(spec: str, rate: float) -> None:
    """Each of some is aborted, or held for as long as anybody waits."""
    assert fate(spec, rate, BADNESS["2x"], 15, SEED).promoted == 0


def test_stages_that_need_no_evidence_promote_bad_releases() -> None:
    """`evidence: off`: at half a request per second, a stage of system B has too few events to find anything."""
    raw = msgspec.to_builtins(policy("B"))
    for gate in raw["gates"]:
        if gate.get("proof"):
            gate["proof"]["pass_level"] = None
    canary = msgspec.convert(raw, Canary)
    ended = [rollout(canary, Judge(canary), 0.5, BADNESS["2x"], (SEED, run)) for run in range(15)]
    assert sum(one.phase is Phase.DONE for one in ended) >= 5


def without_bursts(canary: Canary) -> Canary:
    """The same canary, whose rows count every look, and whose proof takes each look and each failure for itself."""
    raw = msgspec.to_builtins(canary)
    for gate in raw["gates"]:
        gate["spaced_s"] = 0
        if gate.get("proof"):
            gate["proof"] = {"level": "0.05", "inflation": "1"}
    return msgspec.convert(raw, Canary)


def test_the_simulation_sees_what_it_is_for() -> None:
    """Rows that one burst fills, at 95 % for each look: most healthy releases of system B are aborted."""
    canary = without_bursts(policy("B"))
    ended = [rollout(canary, Judge(canary), 1.0, GOOD, (SEED, run)) for run in range(20)]
    assert sum(one.phase is Phase.ROLLED_BACK for one in ended) >= 12


def test_failures_come_as_they_are_meant_to() -> None:
    """The mean is the share that is asked for, the variance that of bursts; windows add up; seeds repeat."""
    canary = policy("B")
    shares = Shares(gate="errors", badness=4)
    looks = 8  # in a window of two minutes
    traffic, again = Traffic(canary, 20, shares, (SEED,)), Traffic(canary, 20, shares, (SEED,))
    counts = [traffic.look()["errors"] for _ in range(looks * 3000)]
    assert counts[:600] == [again.look()["errors"] for _ in range(600)]
    bad = [one[0] for one in counts[looks - 1 :: looks]]
    total = sum(one[1] for one in counts[looks - 1 :: looks])
    mean = sum(bad) / len(bad)
    assert sum(bad) / total == pytest.approx(0.02, rel=0.02)
    variance = sum((one - mean) ** 2 for one in bad) / len(bad)
    assert variance / mean == pytest.approx(2 * BURST - 1, rel=0.1)


def test_the_documentation_shows_the_stored_results() -> None:
    """After a change by hand, `./dev bench canary --write` would write another table."""
    assert page(stored()) == PAGE.read_text(encoding="utf-8")


def test_every_stored_result_meets_its_aim() -> None:
    """At every rate: few healthy releases are aborted, no bad one is promoted, clearly bad ones are taken back."""
    rows = stored()
    assert [(one.spec, one.rate) for one in rows] == [(spec, rate) for spec in SPECS for rate in RATES]
    assert [one for one in rows if not holds(one)] == []
    assert all(one.healthy.runs >= 500 and one.bad.keys() == BADNESS.keys() for one in rows)
