"""When counts prove a breach: how the confidence of a rollout is shared over all its windows.

A gate speaks once in each window of each stage, so a healthy release has many chances to look bad. Half of the level
of the rollout (1 - confidence) is shared over all bounds and windows (Bonferroni's inequality). A row of breaches spans
several windows that share no event, and the release must look bad in each of them. The other half is shared over all
bounds and stages: a stage is judged as a whole, too.

The other way round, a stage must show at its end that the release does not have twice the allowed failures.
"""

from __future__ import annotations

import math
from decimal import ROUND_UP, Context, Decimal

from msgspec import Struct

from generator.model.canary import Canary
from generator.model.canary_gate import CanaryGate, QuantileMeasure, RatioMeasure, allowed_share
from generator.units import decimal_text

HEALTHY = Decimal("0.5")
"""The part of the allowed failures that a healthy release has, where the events for evidence are estimated."""

_EXACT, _WRITTEN = Context(prec=30), Context(prec=3)
_WRITTEN_UP = Context(prec=3, rounding=ROUND_UP)


class Proof(Struct, frozen=True, kw_only=True):
    """`level`: the chance that one window proves a breach of a release at its very bound.

    `stage_level`: the same for all windows of a stage together. `pass_level`: the chance that a release with twice the
    allowed failures passes a stage; None: nothing must be shown. `inflation`: how many times more the counts vary than
    those of independent events.
    """

    level: Decimal
    stage_level: Decimal
    pass_level: Decimal | None
    inflation: Decimal


def proof_of(canary: Canary, gate: CanaryGate) -> Proof | None:
    """The proof that a gate needs. None: the gate counts no events, or the bare bound decides."""
    if canary.confidence is None or not _bounds(gate):
        return None
    half, bounds = (1 - canary.confidence) / 2, sum(_bounds(one) for one in canary.gates)
    watched_ms = sum(stage.bake_ms + stage.soak_ms for stage in canary.stages)
    windows = max(Decimal(1), Decimal(watched_ms) / gate.over_ms)
    level = min(half, _EXACT.power(half / (windows * bounds), Decimal(1) / windows_of_row(canary, gate)))
    return Proof(
        level=_WRITTEN.create_decimal(level),
        stage_level=_WRITTEN.create_decimal(half / (max(1, len(canary.stages)) * bounds)),
        pass_level=None if canary.evidence is None else 1 - canary.evidence,
        inflation=canary.variance_inflation,
    )


def windows_of_row(canary: Canary, gate: CanaryGate) -> int:
    """How many windows without a common event a full row of breaches spans at least."""
    spans_ms = (gate.consecutive - 1) * max(gate.spaced_ms, canary.every_ms)
    return 1 + spans_ms // gate.over_ms


def _bounds(gate: CanaryGate) -> int:
    """How many bounds of a gate are judged by counts."""
    match gate.measure:
        case RatioMeasure():
            return (gate.value is not None) + (gate.at_most_times is not None)
        case QuantileMeasure():
            return 1
        case _:
            return 0


def least_events(gate: CanaryGate, proof: Proof | None) -> int:
    """The fewest events in the window with which the gate can speak, even if every event is bad.

    k bad events of k independent ones prove a share above `p` where p^k is at most the level (exact binomial tail).
    """
    bound = allowed_share(gate)
    if bound is None or proof is None:
        return gate.min_samples
    needed, chance = 0, Decimal(1)
    while chance > proof.level:
        needed, chance = needed + 1, chance * bound
    return max(math.ceil(needed * proof.inflation), gate.min_samples)


def events_to_pass(gate: CanaryGate, proof: Proof | None, part: Decimal) -> int | None:
    """Events of a stage that show as a rule that the release is good, where `part` of the allowed failures happen.

    None: nothing must be shown. The engine compares the likelihoods of the allowed share and of twice that share.
    """
    allowed = allowed_share(gate)
    if allowed is None or proof is None or proof.pass_level is None or not 0 < allowed < 1:
        return None
    share, worse = float(allowed), float(min(2 * allowed, (1 + allowed) / 2))
    happen = share * float(part)
    gained = (1 - happen) * math.log((1 - share) / (1 - worse)) - happen * math.log(worse / share)
    return math.ceil(-math.log(proof.pass_level) * float(proof.inflation) / gained)


def least_rate(canary: Canary, gate: CanaryGate) -> Decimal | None:
    """The canary's fewest events a second with which the gate can find an outage; None: the gate counts no events."""
    if not _bounds(gate) or not gate.over_ms:
        return None
    return Decimal(least_events(gate, proof_of(canary, gate))) * 1000 / gate.over_ms


def rate_text(rate: Decimal) -> str:
    """A rate of events for people, rounded up to three digits: 0.41666 → `0.417 requests/s`."""
    return f"{decimal_text(_WRITTEN_UP.create_decimal(rate))} requests/s"
