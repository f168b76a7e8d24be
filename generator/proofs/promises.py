"""How soon an SLO alert must fire and reset: plain arithmetic on its windows, which the proofs then hold it to."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from generator.burn import TILED_FROM_MS, Cadence, Profile, Tier, round_up
from generator.model import Slo
from generator.proofs import slis
from generator.render.shared import MAX_OFFSETS
from generator.units import SECOND


def threshold(slo: Slo, tier: Tier) -> Fraction:
    """The error ratio above which the tier fires."""
    return _threshold(tier, slo.budget_ratio)


@lru_cache(maxsize=256)
def _threshold(tier: Tier, budget_ratio: Decimal) -> Fraction:
    return tier.factor * Fraction(budget_ratio)


def lag_ms(profile: Profile, tier: Tier, window_ms: int, cadence: Cadence, scrape_ms: int) -> int:
    """By how much a window sees errors later than raw counters over the same window would show them.

    A window that is put together from adjacent base windows sees them at once; an average over base rates, which reach
    one scrape further than the base window, waits for half of that; tiles come on top.
    """
    base_ms = profile.base_ms
    half_ms = (base_ms + scrape_ms) // 2
    if window_ms >= TILED_FROM_MS:
        return half_ms + cadence.tile_ms + cadence.slow_ms
    count, rest = divmod(window_ms, base_ms)
    if count <= 1 or (tier.pages and rest == 0 and count <= MAX_OFFSETS):
        return 0
    return half_ms


def detection_ms(slo: Slo, tier: Tier, level: Fraction, cadence: Cadence, scrape_ms: int) -> int:
    """From the first bad sample scraped until the alert fires, after a clean past, at a steady error ratio `level`.

    threshold × window / level for each window, its lag, one scrape and one evaluation. Where events are slices of
    time, the fewest that alert take their time too.
    """
    interval_ms = cadence.fast_ms if tier.pages else cadence.slow_ms
    crossings = [
        int(threshold(slo, tier) * (window_ms + interval_ms) / level)
        + lag_ms(slo.profile, tier, window_ms, cadence, scrape_ms)
        for window_ms in (tier.long_ms, tier.short_ms)
    ]
    if not slis.counts_events(slo):
        crossings.append(int(slo.profile.min_events * slis.slice_ms(slo) / level))
    return round_up(max(crossings) + scrape_ms + interval_ms, SECOND)


def reset_ms(slo: Slo, tier: Tier, cadence: Cadence, scrape_ms: int) -> int:
    """From the first good sample scraped until the alert is gone: the short window and its rates' reach must pass."""
    interval_ms = cadence.fast_ms if tier.pages else cadence.slow_ms
    lag = 2 * lag_ms(slo.profile, tier, tier.short_ms, cadence, scrape_ms)
    return round_up(tier.short_ms + lag + 2 * scrape_ms + 2 * interval_ms, SECOND)
