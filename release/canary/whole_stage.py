"""A stage as a whole: the windows of a gate that share no event, added up, and what they prove together.

With little traffic, a window has too few events to prove anything; all windows of a stage together have enough. Two
questions are asked of them at each look, by Wald's sequential test (1945) of the gate's share against twice that share.
The test may be asked at any time: however often the engine looks, the chance of a wrong answer stays below its level.
"""

from __future__ import annotations

import math

from release.canary.plan import GatePlan, WholeStage
from release.canary.state import Watched
from release.canary.verdict import Measured

FACTOR = 2
"""How many times the allowed share a release must have to count as bad."""


def added(gate: GatePlan, watched: Watched, one: Measured, at: float) -> Watched:
    """The stage with one more window, if this window shares no event with those before."""
    if one.part is None or gate.whole is None or (watched.at is not None and at < watched.at + gate.window_s):
        return watched
    return Watched(
        bad=watched.bad + one.part.bad,
        every_bad=watched.every_bad + (one.part.bad if one.bad is None else one.bad),
        total=watched.total + one.part.total,
        beyond=watched.beyond + (one.part.share > gate.whole.share),
        at=at,
    )


def breaks(gate: GatePlan, watched: Watched) -> bool:
    """Whether the stage as a whole proves a breach. As many windows as a row has breaches must be beyond the bound."""
    if gate.whole is None or watched.beyond < gate.consecutive:
        return False
    return _weight(gate.whole, watched.bad, watched.total) >= -math.log(gate.whole.level)


def proven(gate: GatePlan, watched: Watched) -> bool:
    """Whether the stage as a whole proves that the release does not have twice the allowed share of bad events."""
    if gate.whole is None or gate.whole.pass_level is None:
        return True
    return _weight(gate.whole, watched.every_bad, watched.total) <= math.log(gate.whole.pass_level)


def _weight(whole: WholeStage, bad: int, total: int) -> float:
    """The weight of evidence for twice the allowed share, against the allowed share: a logarithm of likelihoods."""
    allowed = float(whole.share)
    if allowed <= 0:
        return math.inf if bad else -math.inf
    if allowed >= 1:
        return -math.inf
    worse = min(FACTOR * allowed, (1 + allowed) / 2)  # a share of more than one third cannot double
    weight = bad * math.log(worse / allowed) + (total - bad) * math.log((1 - worse) / (1 - allowed))
    return weight / float(whole.inflation)
