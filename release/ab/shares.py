"""Two shares of bad events: their difference, the samples that a test needs, and whether traffic was split as meant."""

from __future__ import annotations

import math

from scipy import special, stats

from release.ab.findings import Arm


def z_score(canary: Arm, stable: Arm, inflation: float = 1.0) -> float:
    """The standardised difference with pooled variance; positive where the canary is worse.

    `inflation` divides the information: sticky users with several events each vary more than single events do.
    """
    if not canary.total or not stable.total:
        return 0.0
    pooled = (canary.bad + stable.bad) / (canary.total + stable.total)
    variance = pooled * (1 - pooled) * (1 / canary.total + 1 / stable.total) * inflation
    return (canary.share - stable.share) / math.sqrt(variance) if variance > 0 else 0.0


def difference(canary: Arm, stable: Arm, confidence: float, inflation: float = 1.0) -> tuple[float, float]:
    """The confidence interval of canary - stable (Newcombe 1998, from two Wilson intervals)."""
    low, high = (_wilson(arm, confidence, inflation) for arm in (canary, stable))
    gap = canary.share - stable.share
    return (
        gap - math.hypot(canary.share - low[0], high[1] - stable.share),
        gap + math.hypot(low[1] - canary.share, stable.share - high[0]),
    )


def _wilson(arm: Arm, confidence: float, inflation: float) -> tuple[float, float]:
    if not arm.total:
        return 0.0, 1.0
    count = arm.total / inflation
    z = float(stats.norm.isf((1 - confidence) / 2))
    middle = (arm.share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(arm.share * (1 - arm.share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def needed(share: float, detect: float, level: float, power: float, inflation: float = 1.0) -> int:
    """Events per arm with which a rise of the share by the factor 1 + `detect` is found with this power.

    Two-sided, equal arms (Fleiss, Levin and Paik 2003, formula 4.14 without continuity correction). 0.5 % and 20 %
    need 85,862.
    """
    worse = min(1.0, share * (1 + detect))
    if not 0 < share < 1 or worse <= share:
        raise ValueError("the share is above 0 and below 1, and the rise is above 0")
    mean = (share + worse) / 2
    under_same = float(stats.norm.isf(level / 2)) * math.sqrt(2 * mean * (1 - mean))
    under_worse = float(stats.norm.isf(1 - power)) * math.sqrt(share * (1 - share) + worse * (1 - worse))
    return math.ceil(((under_same + under_worse) / (worse - share)) ** 2 * inflation)


def log_evidence(canary_bad: int, stable_bad: int, canary_part: float = 0.5, weight: float = 1.0) -> float:
    """The logarithm of an e-process for "the canary's bad events are not `canary_part` of all bad events".

    Beta-binomial mixture (Ramdas and others, arXiv 2011.03567; Grünwald and others, arXiv 2205.14762). At e ≥ 1/level
    one may stop at any time. `weight` is the prior's weight, split as the traffic is.
    """
    a, b = 2 * weight * canary_part, 2 * weight * (1 - canary_part)
    mixed = special.betaln(a + canary_bad, b + stable_bad) - special.betaln(a, b)
    return float(mixed - canary_bad * math.log(canary_part) - stable_bad * math.log1p(-canary_part))


def log_evidence_of_rise(canary_bad: int, stable_bad: int, canary_part: float, detect: float) -> float:
    """The logarithm of the mean of two e-processes, which is one, too: for any difference, and for a rise by `detect`.

    The first finds a broken release after few events. The second needs fewer events for a rise that is just large
    enough to matter. The standard deviation of its prior is the distance that `detect` moves the canary's part.
    """
    moved = canary_part * (1 + detect) / (1 + canary_part * detect) - canary_part
    weight = max(1.0, (canary_part * (1 - canary_part) / moved**2 - 1) / 2)
    both = [log_evidence(canary_bad, stable_bad, canary_part, each) for each in (1.0, weight)]
    return float(special.logsumexp(both)) - math.log(2)


def split_is_wrong(canary: Arm, stable: Arm, canary_part: float, *, apart: float = 0.0, level: float = 0.001) -> bool:
    """Whether the traffic was not split as meant (sample-ratio mismatch, χ²): then the arms cannot be compared.

    `apart` is how much of the counted time the two counts may lie apart. A load that changes in this part moves the
    canary's share by at most `apart * part * (1 - part)`, and only what is beyond counts.
    """
    total = canary.total + stable.total
    if not total or not 0 < canary_part < 1:
        return bool(total)
    rest = canary_part * (1 - canary_part)
    beyond = max(0.0, abs(canary.total - total * canary_part) - apart * rest * total)
    return bool(stats.chi2.sf(beyond**2 / (total * rest), df=1) < level)
