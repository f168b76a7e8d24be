"""How soon an SLO alert must fire and reset: plain arithmetic on its windows, which the proofs check."""

from __future__ import annotations

from fractions import Fraction

from generator.model.burn import ROLLED_UP_FROM_MS, Cadence, Profile, Tier, round_up
from generator.model.spec import Slo
from generator.proofs import slis
from generator.render.rules.shared import NO_DATA_FOR_MS
from generator.units import SECOND


def threshold(slo: Slo, tier: Tier) -> Fraction:
    """The error ratio above which the tier fires."""
    return tier.factor * Fraction(slo.budget_ratio)


def lag_ms(profile: Profile, tier: Tier, window_ms: int, cadence: Cadence, scrape_ms: int) -> int:
    """How much later a window sees errors than raw counters over the same window would.

    The base window, and a window of adjacent base windows, see errors at once. An average over base rates waits for
    half a base window and half a scrape, because these rates reach one scrape further back. A window shorter than the
    base window is such an average. Rollups add their own delay.
    """
    base_ms = profile.base_ms
    half_ms = (base_ms + scrape_ms) // 2
    if window_ms >= ROLLED_UP_FROM_MS:
        return half_ms + cadence.rollup_ms + cadence.slow_ms
    if window_ms == base_ms or (tier.pages and profile.is_adjacent(window_ms)):
        return 0
    return half_ms


def detection_ms(slo: Slo, tier: Tier, level: Fraction, cadence: Cadence, scrape_ms: int) -> int:
    """Time from the first bad scraped sample until the alert fires, after a clean past, at a steady `level`.

    For each window: threshold × window / level, its lag, one scrape and one evaluation. If events are seconds or slices
    of time, the fewest events that alert also take time. A slice counts at its end.
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
    """How much the count of bad slices lags, because it adds up base rates that reach one base window back."""
    if not slis.sliced(slo):
        return 0
    rolled_up = tier.long_ms >= ROLLED_UP_FROM_MS
    return slo.profile.base_ms // 2 + (cadence.rollup_ms + cadence.slow_ms if rolled_up else 0)


def _slice_ms(slo: Slo) -> int:
    """The time until a slice ends, if the SLI counts slices."""
    return slis.slice_ms(slo) if slis.sliced(slo) else 0


def no_data_ms(slo: Slo, interval_ms: int, scrape_ms: int) -> int:
    """Time from the loss of all series until the no-data alert fires: the base window, then the wait."""
    return slo.profile.base_ms + _slice_ms(slo) + NO_DATA_FOR_MS + 2 * interval_ms + scrape_ms


def data_back_ms(slo: Slo, interval_ms: int, sample_ms: int) -> int:
    """Time from the first sample after an outage until the no-data alert ends: a rate needs two samples."""
    return 2 * sample_ms + 2 * interval_ms + _slice_ms(slo)


def reset_ms(slo: Slo, tier: Tier, cadence: Cadence, scrape_ms: int) -> int:
    """Time from the first good scraped sample until the alert is gone: the short window and the reach of its rates."""
    interval_ms = cadence.fast_ms if tier.pages else cadence.slow_ms
    lag = 2 * lag_ms(slo.profile, tier, tier.short_ms, cadence, scrape_ms)
    return round_up(tier.short_ms + lag + _slice_ms(slo) + 2 * scrape_ms + 2 * interval_ms, SECOND)
