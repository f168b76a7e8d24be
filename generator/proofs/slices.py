"""Proofs for SLIs that count slices of time: any share of bad slices, as a pattern of whole good and bad slices.

A share is spread evenly: of n slices in a row, n × the share are bad, rounded down or up. This module counts slice by
slice what the windows see of the pattern. Levels are the nearest to 0.9 × and 1.1 × of the threshold at which no
window's rounding can cross the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import accumulate, groupby, pairwise
from math import ceil, floor, lcm

from msgspec import Struct
from msgspec.structs import replace

from generator.model.burn import Tier
from generator.model.spec import Slo
from generator.proofs import promises, slis
from generator.proofs.timeline import Timeline

BAD, GOOD = "bad slice", "good"


def unprovable(slo: Slo, scrape_ms: int) -> str:
    """Why no pattern can be made; empty if a pattern can be made."""
    return "slices are not whole scrapes" if slis.slice_ms(slo) % scrape_ms else ""


class Levels(Struct, frozen=True, kw_only=True):
    """Shares of bad slices on both sides of a tier's limit, and the texts that name these shares."""

    limit: Fraction  # the share at which the tier would fire: the threshold, or the fewest bad slices that alert at all
    below: Fraction
    above: Fraction

    @property
    def below_text(self) -> str:
        """`at 0.86 × the threshold (6.15 % of slices bad)`."""
        return f"at {_short(self.below / self.limit)} × the threshold ({_short(self.below * 100)} % of slices bad)"

    @property
    def above_text(self) -> str:
        """`1.16 ×`."""
        return f"{_short(self.above / self.limit)} ×"

    def wider(self) -> Levels:
        """Levels a little further from the limit on both sides."""
        return replace(self, below=self.below * Fraction(19, 20), above=min(self.above * Fraction(20, 19), Fraction(1)))


def _short(number: Fraction) -> str:
    return f"{float(number):.3g}"


def levels(slo: Slo, tier: Tier) -> Levels:
    """The levels of one tier: in the long window, and in a window one base window longer (Prometheus 2's ranges)."""
    threshold, slice_ms = promises.threshold(slo, tier), slis.slice_ms(slo)
    fewest = Fraction(2 * slo.profile.min_events - 1, 2) if slo.profile.min_events else Fraction(0)
    counts = [tier.long_ms // slice_ms, (tier.long_ms + slo.profile.base_ms) // slice_ms]
    borders = [max(count * threshold, fewest) for count in counts]
    limit = max(threshold, fewest / counts[0])
    quiet = min(Fraction(ceil(border) - 1, count) for border, count in zip(borders, counts, strict=True))
    loud = max(Fraction(floor(border) + 1, count) for border, count in zip(borders, counts, strict=True))
    return Levels(
        limit=limit,
        below=min(limit * Fraction(9, 10), quiet),
        above=min(max(limit * Fraction(11, 10), loud), Fraction(1)),
    )


def pattern(share: Fraction, count: int, *, late: bool) -> list[bool]:
    """Which of `count` slices are bad, spread evenly: beginning with the first slice, or each as late as possible.

    With late bad slices, even a window that is still filling up shows no more than the share.
    """
    part, whole = share.as_integer_ratio()
    ahead = 0 if late else whole - 1  # rounds down, or up
    reached = [(index * part + ahead) // whole for index in range(count + 1)]
    return [after > before for before, after in pairwise(reached)]


def align(timeline: Timeline, slice_ms: int) -> None:
    """Let good slices pass until a slice ends with an evaluation."""
    whole_ms = lcm(timeline.interval_ms, slice_ms)
    if timeline.now_ms % whole_ms:
        timeline.phase(GOOD, whole_ms - timeline.now_ms % whole_ms)


def lay(timeline: Timeline, bad: Sequence[bool], slice_ms: int) -> None:
    """Lay slices on the timeline, and good ones until one ends with an evaluation."""
    per_whole = lcm(timeline.interval_ms, slice_ms) // slice_ms
    laid = [*bad, *([False] * (-len(bad) % per_whole))]
    samples = slice_ms // timeline.sample_ms
    timeline.phases += [(len(list(run)) * samples, BAD if each else GOOD) for each, run in groupby(laid)]
    timeline.now_ms += len(laid) * slice_ms


class Course:
    """A pattern after a clean past, as the rules see it, counted from the tier's definition.

    Evaluations are numbered from the pattern's beginning. The first evaluation after the beginning is number 1.
    """

    def __init__(self, slo: Slo, tier: Tier, bad: Sequence[bool], interval_ms: int) -> None:
        self.tier = tier
        self.bad = bad
        self.interval_ms = interval_ms
        self.profile = slo.profile
        self.base_ms = slo.profile.base_ms
        self.slice_ms = slis.slice_ms(slo)
        self.threshold = promises.threshold(slo, tier)
        self.min_events = slo.profile.min_events
        self.evaluations = len(bad) * self.slice_ms // interval_ms
        self._past = (tier.long_ms + self.base_ms) // interval_ms
        bad_until = [0, *accumulate(bad)]
        self._bad = self._sums(lambda ended: bad_until[max(ended, 0)])
        self._all = self._sums(lambda ended: ended)

    def _sums(self, until: Callable[[int], int]) -> list[int]:
        """Running sums of the slices in each evaluation's base window. `until(n)` counts slices before the n-th."""
        ends_ms = [each * self.interval_ms for each in range(-self._past, self.evaluations + 1)]
        held = (until(end // self.slice_ms) - until((end - self.base_ms) // self.slice_ms) for end in ends_ms)
        return [0, *accumulate(held)]

    def _counted(self, sums: Sequence[int], evaluation: int, back: int) -> int:
        """The slices that the base windows of the last `back` evaluations hold, added up."""
        last = self._past + evaluation + 1
        return sums[last] - sums[last - back]

    def _exceeds(self, evaluation: int, window_ms: int) -> Iterable[bool]:
        """Whether a window holds too large a share. An average holds one evaluation more on Prometheus 2 than on 3."""
        if window_ms == self.base_ms or (self.tier.pages and self.profile.is_adjacent(window_ms)):
            step = self.base_ms // self.interval_ms
            at = [evaluation - step * index for index in range(window_ms // self.base_ms)]
            yield self._above(*(sum(self._counted(sums, each, 1) for each in at) for sums in (self._bad, self._all)))
            return
        for back in (window_ms // self.interval_ms, window_ms // self.interval_ms + 1):
            yield self._above(*(self._counted(sums, evaluation, back) for sums in (self._bad, self._all)))

    def _above(self, bad: int, counted: int) -> bool:
        part, whole = self.threshold.as_integer_ratio()
        return bad * whole > counted * part

    def _enough(self, evaluation: int) -> bool:
        """Half a slice less than the minimum, as in the rules."""
        bad = self._counted(self._bad, evaluation, self.tier.long_ms // self.interval_ms)
        return 2 * bad * self.interval_ms > (2 * self.min_events - 1) * self.base_ms

    def _fires(self, evaluation: int, sure: Callable[[Iterable[bool]], bool]) -> bool:
        windows = (self.tier.long_ms, self.tier.short_ms)
        return self._enough(evaluation) and all(sure(self._exceeds(evaluation, each)) for each in windows)

    def fires(self, evaluation: int) -> bool:
        """Whether the tier fires there, on both generations of Prometheus."""
        return self._fires(evaluation, all)

    def may_fire(self, evaluation: int) -> bool:
        """Whether the tier fires there, on at least one generation of Prometheus."""
        return self._fires(evaluation, any)
