"""Whether counts prove that a share is too large: exact tails of the binomial distribution."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from release.policy.canary import Proof


def upper_tail(bad: int, total: int, share: float) -> float:
    """P(X ≥ bad), where X counts bad events among `total` events, each bad with probability `share`.

    The exact binomial tail (Clopper and Pearson 1934), summed from the smaller side. `share` is from 0 to 1.
    """
    if bad <= 0:
        return 1.0
    if bad > total or share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    if bad > total * share:
        return min(1.0, _sum(_chance(k, total, share) for k in range(bad, total + 1)))
    return max(0.0, 1.0 - _sum(_chance(k, total, share) for k in range(bad - 1, -1, -1)))


def _sum(falling: Iterable[float]) -> float:
    """The sum of chances that fall ever faster, away from the mean: the rest of them is less than the last digit."""
    found = 0.0
    for chance in falling:
        found += chance
        if chance < found * 1e-18:
            break
    return found


def _chance(bad: int, total: int, share: float) -> float:
    ways = math.lgamma(total + 1) - math.lgamma(bad + 1) - math.lgamma(total - bad + 1)
    return math.exp(ways + bad * math.log(share) + (total - bad) * math.log1p(-share))


def share_is_above(bad: int, total: int, share: float, proof: Proof) -> bool:
    """Whether the counts prove that the true share of bad events is above `share`."""
    return upper_tail(_bursts(bad, proof), _bursts(total, proof), share) <= proof.level


def fewest_above(total: int, share: float, proof: Proof) -> int:
    """The fewest bad events of `total` that prove a share above `share`; `total`, if not even all of them do."""

    def proves(bad: int) -> bool:
        return share_is_above(bad, total, share, proof)

    return min(total, bisect.bisect_left(range(total + 1), x=True, lo=min(total, int(total * share)), key=proves))


def _bursts(events: int, proof: Proof) -> int:
    """Events as so many independent ones: this many tell as much as all events do (Kish's effective sample size)."""
    return int(events / proof.inflation)


def times_is_above(canary: tuple[int, int], stable: tuple[int, int], times: float, proof: Proof) -> bool:
    """Whether (bad, total) of both releases prove that the canary's share is above `times` the stable share.

    Given all bad events of both, the canary's part is binomial with p = times·n / (times·n + m). Here n and m are the
    totals (Przyborowski and Wilenski 1940). For rare bad events the test is exact, otherwise on the safe side.
    """
    bad, total, other_bad, other_total = (_bursts(events, proof) for events in (*canary, *stable))
    weighted = times * total
    if weighted + other_total <= 0:
        return False
    return upper_tail(bad, bad + other_bad, weighted / (weighted + other_total)) <= proof.level
