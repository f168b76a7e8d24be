"""A stage as a whole: the windows of a gate that share no event, added up, and whether they prove a breach.

With little traffic, a window has too few events to prove anything; all windows of a stage together have enough.
"""

from __future__ import annotations

from release.canary.plan import GatePlan
from release.canary.proof import share_is_above
from release.canary.state import Watched
from release.canary.verdict import Measured
from release.policy.canary import Proof


def added(gate: GatePlan, watched: Watched, one: Measured, at: float) -> Watched:
    """The stage with one more window, if this window shares no event with those before."""
    if one.part is None or gate.whole is None or (watched.at is not None and at < watched.at + gate.window_s):
        return watched
    return Watched(
        bad=watched.bad + one.part.bad,
        total=watched.total + one.part.total,
        beyond=watched.beyond + (one.part.share > gate.whole.share),
        at=at,
    )


def breaks(gate: GatePlan, watched: Watched) -> bool:
    """Whether the stage as a whole proves a breach. As many windows as a row has breaches must be beyond the bound."""
    if gate.whole is None or watched.beyond < gate.consecutive:
        return False
    proof = Proof(level=gate.whole.level, inflation=gate.whole.inflation)
    return share_is_above(watched.bad, watched.total, float(gate.whole.share), proof)
