"""What one measurement of a gate says: PASS, BREACH, or nothing that can be proven.

A breach counts only where the counts prove the breach, and a pass only with enough samples. Everything between is
INCONCLUSIVE: an inconclusive measurement neither breaks a row of breaches nor lets the rollout advance.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from release.canary.proof import fewest_above, share_is_above, times_is_above
from release.policy.canary import CanaryGate, Proof, PushGate, QuantileGate, QueryGate, RatioGate


class Verdict(enum.Enum):
    """What a measurement says about a gate."""

    PASS = "pass"  # noqa: S105 - a verdict
    BREACH = "breach"
    INCONCLUSIVE = "inconclusive"


class Counts(Struct, frozen=True, kw_only=True):
    """Bad events and all events in a gate's window, as counted: whole numbers, bad ≤ total."""

    bad: int
    total: int

    @property
    def share(self) -> Decimal:
        """The share of bad events. There must be events."""
        return Decimal(self.bad) / Decimal(self.total)


class Measured(Struct, frozen=True, kw_only=True):
    """One measurement with all that explains its verdict. `value`, `bound` and `samples` are None where unknown.

    `part` is what the window adds to the stage as a whole: never more bad events than prove a breach. `bad` counts all.
    `unit` is the gate's.
    """

    gate: str
    verdict: Verdict
    value: Decimal | None
    bound: Decimal | None
    samples: int | None
    why: str
    part: Counts | None = None
    bad: int | None = None
    unit: str = ""


class Reading(Struct, frozen=True, kw_only=True):
    """What a gate's queries returned for one release. Absent members: no answer, or NaN.

    `counts` for gates that count events, `value` for the others and, for a quantile, the value that people see.
    `samples` counts the events behind a value; None: the value stands for itself.
    """

    counts: Counts | None = None
    value: Decimal | None = None
    samples: int | None = None


def counted(bad: Decimal | None, total: Decimal | None) -> Counts | None:
    """Counts from two results of `increase`, which extrapolates: rounded, and bad is never more than total."""
    if bad is None or total is None or not bad.is_finite() or not total.is_finite():
        return None
    whole = max(0, round(total))
    return Counts(bad=min(whole, max(0, round(bad))), total=whole)


def counted_above(buckets: Mapping[Decimal, Decimal], bound: Decimal) -> Counts | None:
    """Observations above a bound, from cumulative counts by `le`. Between two edges, the next edge above counts.

    None without a bucket at or above the bound, or without the bucket `+Inf`.
    """
    total = buckets.get(Decimal("Infinity"))
    edges = [edge for edge in buckets if edge.is_finite() and edge >= bound]
    if total is None or not edges:
        return None
    return counted(total - buckets[min(edges)], total)


def judge(gate: CanaryGate, canary: Reading, stable: Reading | None) -> Measured:
    """The verdict of one gate. `stable` is the other release's reading, for gates that compare.

    A gate without `proof` compares bare values. A comparison's bound is `at_most_times` the stable release's value.
    """
    if isinstance(gate, RatioGate | QuantileGate):
        return _judge_counts(gate, canary, stable)
    return _judge_value(gate, canary, stable)


def _judge_counts(gate: RatioGate | QuantileGate, canary: Reading, stable: Reading | None) -> Measured:
    counts = canary.counts
    if counts is None:
        return _inconclusive(gate, canary.value, None, "no data")
    value = _shown(gate, canary)
    if counts.total < gate.min_samples:
        why = f"{counts.total} of {gate.min_samples} samples"
        return _inconclusive(gate, value, counts.total, why)
    findings = []
    allowed = allowed_share(gate)
    if isinstance(gate, QuantileGate) and gate.at_most_times is not None and _bound(gate, stable) is None:
        return _inconclusive(gate, value, counts.total, "no data of the stable release")
    if allowed is not None:
        findings.append(_against_share(counts, allowed, gate.proof))
    if gate.at_most_times is not None and isinstance(gate, RatioGate):
        findings.append(_against_stable(gate, counts, stable, gate.at_most_times))
    verdict, why = _worst(findings)
    part = _part(counts, allowed, gate.proof)
    return Measured(
        gate=gate.id,
        verdict=verdict,
        value=value,
        bound=_bound(gate, stable),
        samples=counts.total,
        why=why,
        part=part,
        bad=None if part is None else counts.bad,
        unit=gate.unit,
    )


def _part(counts: Counts, allowed: Decimal | None, proof: Proof | None) -> Counts | None:
    """One outage must not condemn a stage, so a window adds no more bad events than prove a breach."""
    if allowed is None or proof is None or proof.stage_level is None:
        return None
    if counts.share <= allowed:
        return counts
    return Counts(bad=min(counts.bad, fewest_above(counts.total, float(allowed), proof)), total=counts.total)


def allowed_share(gate: RatioGate | QuantileGate) -> Decimal | None:
    """The share of bad events that a gate allows; None if the gate only compares with the stable release."""
    if isinstance(gate, QuantileGate):
        return 1 - gate.quantile
    if gate.value is None:
        return None
    return 1 - gate.value if gate.op == ">=" else gate.value


def _against_share(counts: Counts, allowed: Decimal, proof: Proof | None) -> tuple[Verdict, str]:
    if counts.share <= allowed:
        return Verdict.PASS, ""
    if proof is None or share_is_above(counts.bad, counts.total, float(allowed), proof):
        return Verdict.BREACH, f"{counts.bad} of {counts.total} events are bad"
    return Verdict.INCONCLUSIVE, f"{counts.bad} of {counts.total} bad events may be chance"


def _against_stable(gate: RatioGate, counts: Counts, stable: Reading | None, times: Decimal) -> tuple[Verdict, str]:
    other = stable.counts if stable is not None else None
    if other is None:
        return Verdict.INCONCLUSIVE, "no data of the stable release"
    if other.total < gate.min_samples:
        return Verdict.INCONCLUSIVE, f"{other.total} of {gate.min_samples} samples of the stable release"
    if counts.share <= times * other.share:
        return Verdict.PASS, ""
    pair = (counts.bad, counts.total), (other.bad, other.total)
    if gate.proof is None or times_is_above(*pair, float(times), gate.proof):
        return Verdict.BREACH, f"{counts.bad} of {counts.total}; stable: {other.bad} of {other.total}"
    return Verdict.INCONCLUSIVE, f"{counts.bad} of {counts.total} bad events may be chance"


def _judge_value(gate: QueryGate | PushGate, canary: Reading, stable: Reading | None) -> Measured:
    value, bound = canary.value, _bound(gate, stable)
    if value is None or value.is_nan():
        return _inconclusive(gate, None, canary.samples, "no data")
    if canary.samples is not None and canary.samples < gate.min_samples:
        return _inconclusive(gate, value, canary.samples, f"{canary.samples} of {gate.min_samples} samples")
    if bound is None:
        return _inconclusive(gate, value, canary.samples, "no data of the stable release")
    holds = value <= bound if gate.op == "<=" else value >= bound
    return Measured(
        gate=gate.id,
        verdict=Verdict.PASS if holds else Verdict.BREACH,
        value=value,
        bound=bound,
        samples=canary.samples,
        why="",
        unit=gate.unit,
    )


def _bound(gate: CanaryGate, stable: Reading | None) -> Decimal | None:
    """The bound that people see: the tighter one of the fixed bound and the multiple of the stable value.

    None without a value of the stable release to compare with.
    """
    bounds = [] if gate.value is None else [gate.value]
    if gate.at_most_times is not None:
        value = _shown(gate, stable) if stable is not None else None
        if value is None or value.is_nan():
            return None
        good = isinstance(gate, RatioGate) and gate.op == ">="
        bounds.append(1 - gate.at_most_times * (1 - value) if good else gate.at_most_times * value)
    return max(bounds) if gate.op == ">=" else min(bounds)


def quantile_limit(gate: QuantileGate, stable: Reading | None) -> Decimal | None:
    """The bound above which observations of the canary count as bad, in the metric's unit; None: nothing to compare."""
    return _bound(gate, stable)


def _shown(gate: CanaryGate, reading: Reading) -> Decimal | None:
    """The value as people read the gate: a share of bad or of good events, a quantile, or the query's own value."""
    if isinstance(gate, RatioGate) and reading.counts is not None and reading.counts.total:
        return 1 - reading.counts.share if gate.op == ">=" else reading.counts.share
    return reading.value


def _worst(findings: Sequence[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """A breach wins over an inconclusive finding, which wins over a pass."""
    order = (Verdict.BREACH, Verdict.INCONCLUSIVE, Verdict.PASS)
    return min(findings, key=lambda finding: order.index(finding[0]))


def _inconclusive(gate: CanaryGate, value: Decimal | None, samples: int | None, why: str) -> Measured:
    return Measured(
        gate=gate.id,
        verdict=Verdict.INCONCLUSIVE,
        value=value,
        bound=gate.value,
        samples=samples,
        why=why,
        unit=gate.unit,
    )
