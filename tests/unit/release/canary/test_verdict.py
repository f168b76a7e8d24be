"""What a measurement says: BREACH only where counts prove it, PASS only with enough samples."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from release.canary.verdict import Counts, Measured, Reading, Verdict, counted, counted_above, judge, quantile_limit
from release.policy.canary import CanaryGate, Proof, PushGate, QuantileGate, QueryGate, RatioGate

SURE = Proof(level=Decimal("0.05"), inflation=Decimal(1))
BURSTS = Proof(level=Decimal("0.05"), inflation=Decimal(2))


def ratio(value: str | None = "0.005", op: str = "<=", times: str | None = None) -> RatioGate:
    """A gate on the share of bad (or, with `>=`, of good) events."""
    return RatioGate(
        id="errors",
        bad="b",
        total="t",
        over_s=120,
        op=op,  # type: ignore[arg-type]
        value=Decimal(value) if value else None,
        at_most_times=Decimal(times) if times else None,
        consecutive=3,
        min_samples=50,
        on_breach="abort",
    )


def quantile(value: str | None = "0.8", times: str | None = None) -> QuantileGate:
    """A gate on the 95th percentile."""
    return QuantileGate(
        id="p95",
        quantile=Decimal("0.95"),
        observed="q",
        buckets="b",
        over_s=120,
        value=Decimal(value) if value else None,
        at_most_times=Decimal(times) if times else None,
        consecutive=3,
        min_samples=50,
        on_breach="abort",
    )


def query(value: str = "0.85", op: str = "<=") -> QueryGate:
    """A gate on a gauge."""
    return QueryGate(
        id="memory",
        query="m",
        op=op,  # type: ignore[arg-type]
        value=Decimal(value),
        consecutive=2,
        min_samples=50,
        on_breach="abort",
    )


def of(bad: int, total: int) -> Reading:
    """A reading of counts."""
    return Reading(counts=Counts(bad=bad, total=total))


def said(gate: CanaryGate, canary: Reading, stable: Reading | None = None, proof: Proof | None = SURE) -> str:
    """The verdict alone."""
    made = replace(gate, proof=proof) if isinstance(gate, RatioGate | QuantileGate) else gate
    return judge(made, canary, stable).verdict.value


@pytest.mark.parametrize(
    "bad,total,proof,expected",
    [
        (0, 50, SURE, "pass"),
        (0, 49, SURE, "inconclusive"),
        (0, 0, SURE, "inconclusive"),
        (49, 49, SURE, "inconclusive"),
        (1, 200, SURE, "pass"),
        (1, 50, SURE, "inconclusive"),
        (1, 50, None, "breach"),
        (2, 50, SURE, "breach"),
        (10, 1000, SURE, "breach"),
        (7, 1000, SURE, "inconclusive"),
        (1000, 1000, SURE, "breach"),
        (2, 50, BURSTS, "inconclusive"),
        (3, 50, BURSTS, "inconclusive"),
        (4, 50, BURSTS, "breach"),
        (50, 50, BURSTS, "breach"),
    ],
)
def test_a_share_breaches_only_with_proof(bad: int, total: int, proof: Proof | None, expected: str) -> None:
    """0.5 % allowed: a perfect release passes, one failure, or one burst, says nothing at low traffic."""
    assert said(ratio(), of(bad, total), None, proof) == expected


def test_a_good_share_is_judged_by_its_bad_events() -> None:
    """At least 90 % good is at most 10 % bad; the value and the bound are shown as the spec writes them."""
    found = judge(ratio("0.9", ">="), of(300, 1000), None)
    assert (found.verdict, found.value, found.bound) == (Verdict.BREACH, Decimal("0.7"), Decimal("0.9"))
    assert said(ratio("0.9", ">="), of(100, 1000)) == "pass"


@pytest.mark.parametrize(
    "canary,stable,expected",
    [
        (of(10, 1000), of(10, 1000), "pass"),
        (of(12, 1000), of(10, 1000), "pass"),
        (of(14, 1000), of(10, 1000), "inconclusive"),
        (of(60, 1000), of(10, 1000), "breach"),
        (of(60, 1000), of(0, 40), "inconclusive"),
        (of(60, 1000), Reading(), "inconclusive"),
        (of(60, 1000), None, "inconclusive"),
        (of(0, 1000), of(0, 1000), "pass"),
        (of(20, 1000), of(0, 1000), "breach"),
    ],
)
def test_a_share_is_compared_with_the_stable_release(canary: Reading, stable: Reading | None, expected: str) -> None:
    """1.2 times the stable share is allowed; a difference must be proven by the counts of both."""
    assert said(ratio(None, times="1.2"), canary, stable) == expected


def test_both_bounds_hold_together() -> None:
    """Within 5 % but far worse than stable: BREACH. As stable, but above 5 %: BREACH."""
    assert said(ratio("0.05", times="1.2"), of(40, 1000), of(10, 1000)) == "breach"
    assert said(ratio("0.05", times="1.2"), of(100, 1000), of(100, 1000)) == "breach"
    assert said(ratio("0.05", times="1.2"), of(11, 1000), of(10, 1000)) == "pass"


def test_the_bound_of_a_good_share_beside_stable() -> None:
    """Twice the stable release's failures are allowed: 98 % good of stable's 99 %."""
    found = judge(ratio(None, ">=", "2"), of(15, 1000), of(10, 1000))
    assert (found.verdict, found.bound) == (Verdict.PASS, Decimal("0.98"))


@pytest.mark.parametrize("slow,expected", [(0, "pass"), (50, "pass"), (55, "inconclusive"), (80, "breach")])
def test_a_quantile_is_a_share_above_its_bound(slow: int, expected: str) -> None:
    """The 95th percentile is above 0.8 s where more than 5 % of the requests take longer."""
    assert said(quantile(), Reading(counts=Counts(bad=slow, total=1000), value=Decimal("0.7"))) == expected


def test_a_quantile_beside_stable_has_its_limit_from_stable() -> None:
    """1.2 times 0.5 s is 0.6 s; with a fixed bound of 0.55 s, the tighter one counts."""
    stable = Reading(value=Decimal("0.5"))
    assert quantile_limit(quantile(None, "1.2"), stable) == Decimal("0.6")
    assert quantile_limit(quantile("0.55", "1.2"), stable) == Decimal("0.55")
    assert quantile_limit(quantile(None, "1.2"), Reading(value=Decimal("NaN"))) is None
    canary = Reading(counts=Counts(bad=0, total=100), value=Decimal("0.4"))
    assert said(quantile(None, "1.2"), canary) == "inconclusive"
    assert said(quantile(None, "1.2"), canary, stable) == "pass"


@pytest.mark.parametrize(
    "reading,op,expected",
    [
        (Reading(value=Decimal("0.85")), "<=", "pass"),
        (Reading(value=Decimal("0.8500001")), "<=", "breach"),
        (Reading(value=Decimal("NaN")), "<=", "inconclusive"),
        (Reading(value=Decimal("Infinity")), "<=", "breach"),
        (Reading(), "<=", "inconclusive"),
        (Reading(value=Decimal(1), samples=49), "<=", "inconclusive"),
        (Reading(value=Decimal(1), samples=50), "<=", "breach"),
        (Reading(value=Decimal("0.8")), ">=", "breach"),
    ],
)
def test_a_gauge_is_compared_as_it_stands(reading: Reading, op: str, expected: str) -> None:
    """No counts stand behind a gauge, unless the spec names a query for them."""
    assert said(query(op=op), reading) == expected


def test_every_verdict_explains_itself() -> None:
    """The value, the bound, the samples and the reason are kept for status, page and report."""
    found = judge(replace(ratio(), proof=SURE), of(1, 50), None)
    assert found == Measured(
        gate="errors",
        verdict=Verdict.INCONCLUSIVE,
        value=Decimal("0.02"),
        bound=Decimal("0.005"),
        samples=50,
        why="1 of 50 bad events may be chance",
    )
    push = PushGate(id="x", value=Decimal(1), consecutive=1, min_samples=10, on_breach="abort")
    assert judge(push, Reading(value=Decimal(2), samples=3), None).why == "3 of 10 samples"


@pytest.mark.parametrize(
    "bad,total,expected",
    [
        ("1.2", "99.7", (1, 100)),
        ("100.4", "99.7", (100, 100)),
        ("-0.0001", "5", (0, 5)),
        ("NaN", "5", None),
        (None, "5", None),
        ("1", None, None),
        ("Infinity", "5", None),
    ],
)
def test_counts_are_whole(bad: str | None, total: str | None, expected: tuple[int, int] | None) -> None:
    """`increase` extrapolates: 99.7 requests were 100, and never more bad requests than requests."""
    found = counted(None if bad is None else Decimal(bad), None if total is None else Decimal(total))
    assert (None if found is None else (found.bad, found.total)) == expected


def test_the_next_edge_above_the_bound_counts() -> None:
    """Between two edges, only observations above the upper edge are surely above the bound."""
    buckets = {Decimal(edge): Decimal(count) for edge, count in (("0.5", 80), ("1", 95), ("Infinity", 100))}
    assert counted_above(buckets, Decimal("0.5")) == Counts(bad=20, total=100)
    assert counted_above(buckets, Decimal("0.8")) == Counts(bad=5, total=100)
    assert counted_above(buckets, Decimal(2)) is None
    assert counted_above({Decimal(1): Decimal(3)}, Decimal(1)) is None
