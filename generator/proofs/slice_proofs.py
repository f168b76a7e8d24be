"""The proofs of tiers whose SLO counts slices of time: just below and above the threshold, and one bad slice."""

from __future__ import annotations

from collections.abc import Iterator

from generator.model.burn import Tier
from generator.model.spec import Slo
from generator.proofs import promises, slices, slis
from generator.proofs.model import Gap, Test
from generator.proofs.series import InputSeries
from generator.proofs.slis import UnprovableError
from generator.proofs.stage import FULL, GOOD, Collected, Stage
from generator.proofs.timeline import Timeline

_TRIES = 8
_LEAST_EVENTS = 2  # below this, one bad slice is meant to alert


def collect(stage: Stage, events: Stage, tier: Tier, collected: Collected) -> None:
    """The proofs of one tier of the stage's only SLO. `events` is evaluated often enough for single slices."""
    slo = stage.slos[0]
    for place, make, what in ((stage, _below, "0.9 ×"), (stage, _above, "1.1 ×"), (events, _one_bad, "one bad slice")):
        try:
            collected.add(place, make(place, slo, tier), tier.name)
        except UnprovableError as error:
            gap = Gap(subject=stage.subjects.tier(slo, tier), what=what, reason=str(error))
            collected.gaps.append(gap)


def _series(stage: Stage, slo: Slo, timeline: Timeline) -> list[InputSeries]:
    traffic = stage.traffic(slo)
    meaning = {slices.GOOD: traffic[GOOD], slices.BAD: traffic[FULL]}
    return slis.series(slo, timeline.flows(meaning), stage.sample_ms)


def _clean(stage: Stage, slo: Slo, duration_ms: int) -> Timeline:
    """Good slices for a time, until a slice ends with an evaluation. Raises UnprovableError."""
    reason = slices.unprovable(slo, stage.subjects.spec.defaults.scrape_ms)
    if reason:
        raise UnprovableError(reason)
    timeline = stage.timeline()
    timeline.phase(slices.GOOD, duration_ms)
    slices.align(timeline, slis.slice_ms(slo))
    return timeline


def _below(stage: Stage, slo: Slo, tier: Tier) -> Test:
    timeline, slice_ms = _clean(stage, slo, 2 * stage.profile.base_ms), slis.slice_ms(slo)
    duration_ms = tier.long_ms + stage.profile.base_ms + 2 * stage.interval_ms
    for found in _candidates(slo, tier):
        pattern = slices.pattern(found.below, duration_ms // slice_ms, late=True)
        course = slices.Course(slo, tier, pattern, stage.interval_ms)
        if not any(course.may_fire(each) for each in range(1, course.evaluations + 1)):
            slices.lay(timeline, course.bad, slice_ms)
            timeline.silent(stage.subjects.tier(slo, tier), found.below_text)
            return stage.test(f"{tier.name} is silent {found.below_text}", timeline, _series(stage, slo, timeline))
    raise UnprovableError("there is no share of bad slices at which it is surely silent")


def _above(stage: Stage, slo: Slo, tier: Tier) -> Test:
    """The tier fires with a bad slice, and may stop until the next bad slice. The test looks where it must begin."""
    subject, slice_ms, each_ms = stage.subjects.tier(slo, tier), slis.slice_ms(slo), stage.interval_ms
    timeline = _clean(stage, slo, tier.long_ms + stage.profile.base_ms)
    timeline.silent(subject, "")
    for found in _candidates(slo, tier):
        promised_ms = promises.detection_ms(slo, tier, found.above, stage.cadence, stage.scrape_ms)
        promised_ms += int(slice_ms / found.above)  # until the next bad slice
        course = slices.Course(slo, tier, slices.pattern(found.above, promised_ms // slice_ms, late=False), each_ms)
        begins = next((each for each in range(1, course.evaluations + 1) if course.fires(each)), None)
        if begins is not None:
            fires_ms, from_ms = timeline.now_ms + begins * each_ms, timeline.now_ms + stage.sample_ms
            slices.lay(timeline, course.bad[: (begins + 1) * each_ms // slice_ms], slice_ms)
            timeline.fires_within(subject, found.above_text, from_ms, fires_ms - from_ms)
            return stage.test(f"{tier.name} fires at {found.above_text}", timeline, _series(stage, slo, timeline))
    raise UnprovableError("there is no share of bad slices at which it surely fires in time")


def _candidates(slo: Slo, tier: Tier) -> Iterator[slices.Levels]:
    """The nearest levels first. Base windows that are not whole slices hold a changing number of slices."""
    found = slices.levels(slo, tier)
    for _ in range(_TRIES):
        yield found
        found = found.wider()


def _one_bad(stage: Stage, slo: Slo, tier: Tier) -> Test:
    """After a short past, one bad slice is a large share, and only the minimum of events keeps the alert silent."""
    if slo.profile.min_events < _LEAST_EVENTS:
        raise UnprovableError("one bad slice is enough to alert")
    slice_ms = slis.slice_ms(slo)
    timeline = _clean(stage, slo, stage.profile.base_ms + 2 * stage.interval_ms)
    slices.lay(timeline, [True], slice_ms)
    timeline.phase(slices.GOOD, tier.short_ms + stage.profile.base_ms + 2 * stage.interval_ms)
    timeline.silent(stage.subjects.tier(slo, tier), "on one bad slice")
    return stage.test(f"{tier.name} is silent on one bad slice", timeline, _series(stage, slo, timeline))
