"""How soon an SLO alert must fire and reset: plain arithmetic on its windows, which the proofs then hold it to."""

from __future__ import annotations

from fractions import Fraction

from generator.model.burn import ROLLED_UP_FROM_MS, Cadence, Profile, Tier, round_up
from generator.model.spec import Slo
from generator.proofs import slis
from generator.render.rules.shared import MAX_OFFSETS, NO_DATA_FOR_MS
from generator.units import SECOND


def threshold(slo: Slo, tier: Tier) -> Fraction:
    """The error ratio above which the tier fires."""
    return tier.factor * Fraction(slo.budget_ratio)


def lag_ms(profile: Profile, tier: Tier, window_ms: int, cadence: Cadence, scrape_ms: int) -> int:
    """By how much a window sees errors later than raw counters over the same window would show them.

    A window that is put together from adjacent base windows sees them at once; an average over base rates, which reach
    one scrape further than the base window, waits for half of that; rollups come on top.
    """
    base_ms = profile.base_ms
    half_ms = (base_ms + scrape_ms) // 2
    if window_ms >= ROLLED_UP_FROM_MS:
        return half_ms + cadence.rollup_ms + cadence.slow_ms
    count, rest = divmod(window_ms, base_ms)
    if count <= 1 or (tier.pages and rest == 0 and count <= MAX_OFFSETS):
        return 0
    return half_ms


def detection_ms(slo: Slo, tier: Tier, level: Fraction, cadence: Cadence, scrape_ms: int) -> int:
    """From the first bad sample scraped until the alert fires, after a clean past, at a steady error ratio `level`.

    threshold × window / level for each window, its lag, one scrape and one evaluation. Where events are seconds or
    slices of time, the fewest that alert take their time too; and a slice counts when it ends.
    """
    interval_ms = cadence.fast_ms if tier.pages else cadence.slow_ms
    crossings = [
        int(threshold(slo, tier) * (window_ms + interval_ms) / level)
        + lag_ms(slo.profile, tier, window_ms, cadence, scrape_ms)
        for window_ms in (tier.long_ms, tier.short_ms)
    ]
    if not slis.counts_events(slo):
        crossings.append(int(slo.profile.min_events * slis.slice_ms(slo) / level) + _counting_ms(slo, tier, cadence))
    return round_up(max(crossings) + _slice_ms(slo) + scrape_ms + interval_ms, SECOND)


def _counting_ms(slo: Slo, tier: Tier, cadence: Cadence) -> int:
    """By how much the count of bad slices lags: it adds up base rates, which reach a base window back."""
    if not slis.sliced(slo):
        return 0
    rolled_up = tier.long_ms >= ROLLED_UP_FROM_MS
    return slo.profile.base_ms // 2 + (cadence.rollup_ms + cadence.slow_ms if rolled_up else 0)


def _slice_ms(slo: Slo) -> int:
    """What passes until a slice ends, where there are any."""
    return slis.slice_ms(slo) if slis.sliced(slo) else 0


def no_data_ms(slo: Slo, interval_ms: int, scrape_ms: int) -> int:
    """From the moment at which everything is gone until that is said: the base window must pass, then the wait."""
    return slo.profile.base_ms + _slice_ms(slo) + NO_DATA_FOR_MS + 2 * interval_ms + scrape_ms


def data_back_ms(slo: Slo, interval_ms: int, sample_ms: int) -> int:
    """From the first sample after an outage until missing data is no longer said: a rate needs two samples."""
    return 2 * sample_ms + 2 * interval_ms + _slice_ms(slo)


def reset_ms(slo: Slo, tier: Tier, cadence: Cadence, scrape_ms: int) -> int:
    """From the first good sample scraped until the alert is gone: the short window and its rates' reach must pass."""
    interval_ms = cadence.fast_ms if tier.pages else cadence.slow_ms
    lag = 2 * lag_ms(slo.profile, tier, tier.short_ms, cadence, scrape_ms)
    return round_up(tier.short_ms + lag + _slice_ms(slo) + 2 * scrape_ms + 2 * interval_ms, SECOND)
