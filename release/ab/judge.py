"""What an A/B test says at one look: worse, not worse, undecided, or that nobody can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from release.ab.findings import Arm, Judgement, MetricLook, Outcome
from release.ab.shares import difference, log_evidence_of_rise, needed, split_is_wrong, z_score
from release.ab.spending import bounds
from release.policy.canary import AbTest


class Design(Struct, frozen=True, kw_only=True):
    """A test as the policy plans it. `level` is 1 - confidence, split over the metrics; `part` the canary's traffic.

    `inflation` None with `by_user`: the counts are of requests, but users stay with one release, so nobody can tell.
    `apart` is how much of the counted time the counts of both releases may lie apart, because of their scrapes.
    """

    method: str  # "group-sequential", "anytime" or "fixed-horizon"
    level: float
    power: float
    detect: float
    part: float
    by_user: bool
    inflation: float | None
    apart: float = 0.0


class End(Struct, frozen=True, kw_only=True):
    """Whether the test's time is over, and the information times of the looks before."""

    reached: bool
    looks: tuple[float, ...]


def design_of(test: AbTest, weight: Decimal, *, apart: float = 0.0) -> Design:
    """The design of a stage's test. `weight` is the stage's share of traffic for the canary."""
    return Design(
        method=test.method,
        level=1 - float(test.confidence),
        power=float(test.power),
        detect=float(test.detect),
        part=float(weight),
        by_user=test.assignment == "user",
        inflation=None if test.variance_inflation is None else float(test.variance_inflation),
        apart=apart,
    )


History = Sequence[float]
"""Information times of the looks before, in order."""


def judge(
    design: Design, counts: Mapping[str, tuple[Arm, Arm]], history: Mapping[str, History], *, at_the_end: bool
) -> Judgement:
    """Judge one look. `counts` gives canary and stable by metric, `history` the looks before by metric.

    Any worse metric is worse; then any doubt wins; the test has passed where every metric is not worse. Between planned
    looks, call this with the history unchanged and `method="anytime"`: only harm may stop the test there.
    """
    inflation = _inflation(design)
    if inflation is None:
        why = "users stay with one release, but the counts are of requests; write `variance_inflation`"
        return Judgement(outcome=Outcome.CANNOT_TELL, why=why, metrics=())
    level = design.level / max(1, len(counts))
    looks = tuple(
        _look(design, level, inflation, name, arms, end=End(reached=at_the_end, looks=tuple(history.get(name, ()))))
        for name, arms in counts.items()
    )
    for outcome in (Outcome.WORSE, Outcome.CANNOT_TELL, Outcome.UNDECIDED):
        found = [look for look in looks if look.outcome is outcome]
        if found:
            return Judgement(outcome=outcome, why="; ".join(f"{one.metric}: {one.why}" for one in found), metrics=looks)
    if not looks:
        return Judgement(outcome=Outcome.CANNOT_TELL, why="no metric has counts", metrics=())
    return Judgement(outcome=Outcome.NOT_WORSE, why="no metric is worse", metrics=looks)


def _inflation(design: Design) -> float | None:
    if design.inflation is not None:
        return design.inflation
    return None if design.by_user else 1.0


class _Evidence(Struct, frozen=True, kw_only=True):
    """What one metric's counts amount to. `level` is the metric's part of the test's level."""

    level: float
    canary: Arm
    stable: Arm
    z: float
    log_e: float
    needed: int


class _Decided(Struct, frozen=True, kw_only=True):
    """The answer of one look at one metric, and what the statistic was compared with. No bound applies: infinite."""

    outcome: Outcome
    why: str = ""
    bound: float = math.inf
    statistic: Literal["z", "e"] = "z"


def _look(
    design: Design, level: float, inflation: float, metric: str, arms: tuple[Arm, Arm], *, end: End
) -> MetricLook:
    canary, stable = arms
    bad = round(canary.bad / inflation), round(stable.bad / inflation)
    log_e = log_evidence_of_rise(*bad, _part(canary, stable), design.detect)
    low, high = difference(canary, stable, 1 - level, inflation)
    found = _Evidence(
        level=level,
        canary=canary,
        stable=stable,
        z=z_score(canary, stable, inflation),
        log_e=log_e,
        needed=_needed(design, level, inflation, canary, stable),
    )
    if end.looks and end.looks[-1] >= 1:  # the whole level is spent: only new harm may still stop the test
        design = replace(design, method="anytime")
    decided = _decide(design, found, end)
    return MetricLook(
        metric=metric,
        outcome=decided.outcome,
        canary=canary,
        stable=stable,
        z=found.z,
        bound=decided.bound,
        statistic=decided.statistic,
        log_e=log_e,
        low=low,
        high=high,
        needed=found.needed,
        why=decided.why,
    )


def _needed(design: Design, level: float, inflation: float, canary: Arm, stable: Arm) -> int:
    """Events per arm for the planned power, from the share seen so far in the stable release."""
    total, bad = canary.total + stable.total, canary.bad + stable.bad
    share = (bad + 0.5) / (total + 1)
    return needed(min(share, 0.999), design.detect, level, design.power, inflation)


def _part(canary: Arm, stable: Arm) -> float:
    """The canary's part of all events, which is its part of all bad events where both releases are alike."""
    total = canary.total + stable.total
    return min(max(canary.total / total, 1e-9), 1 - 1e-9) if total else 0.5


def _decide(design: Design, found: _Evidence, end: End) -> _Decided:
    canary, stable = found.canary, found.stable
    if not canary.total or not stable.total:
        return _Decided(outcome=Outcome.CANNOT_TELL, why="one release has no events")
    if split_is_wrong(canary, stable, design.part, apart=design.apart):
        seen = canary.total / (canary.total + stable.total)
        why = f"the canary got {seen:.1%} of the events, not {design.part:.1%}"
        return _Decided(outcome=Outcome.CANNOT_TELL, why=why)
    shares = f"{canary.share:.3%} bad, stable {stable.share:.3%}"
    guard = _Decided(outcome=Outcome.WORSE, bound=1 / found.level, statistic="e")
    if found.log_e >= math.log(1 / found.level) and found.z > 0:
        return replace(guard, why=f"{shares}; e = {math.exp(min(found.log_e, 700)):.3g}")
    time = min(1.0, min(canary.total, stable.total) / found.needed)
    if design.method == "anytime":
        return _without_harm(time, end, guard)
    if design.method == "fixed-horizon" and not end.reached:
        return _Decided(outcome=Outcome.UNDECIDED, why="a fixed-horizon test says nothing before its end")
    look = _Decided(outcome=Outcome.WORSE, bound=_bound(design, found.level, time, end))
    if found.z >= look.bound:
        return replace(look, why=f"{shares}; z = {found.z:.2f} ≥ {look.bound:.2f}")
    return _without_harm(time, end, look)


def _without_harm(time: float, end: End, harm: _Decided) -> _Decided:
    """What a look says that does not prove the harm."""
    if time >= 1.0:
        return replace(harm, outcome=Outcome.NOT_WORSE, why="no difference with enough events")
    if end.reached:
        return replace(harm, outcome=Outcome.CANNOT_TELL, why=f"only {time:.0%} of the events that the test needs")
    return replace(harm, outcome=Outcome.UNDECIDED, why=f"{time:.0%} of the events that the test needs")


def _bound(design: Design, level: float, time: float, end: End) -> float:
    """The bound of this look. The last look spends what is left of the level, however many events there are."""
    if design.method == "fixed-horizon":
        return bounds((1.0,), level)[0]
    now = 1.0 if end.reached else max((time, *end.looks))
    return bounds((*(one for one in end.looks if one < now), now), level)[-1]
