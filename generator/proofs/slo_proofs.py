"""The proofs of SLO alerts: every tier, the consumed budget, missing data, and cases that must stay silent.

SLOs that read different metrics share a test. Each evaluation of the rules therefore proves something about all of
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from msgspec.structs import replace

from generator.model.burn import ROLLED_UP_FROM_MS, Tier, consumed_label, round_up
from generator.model.spec import Slo, Spec
from generator.proofs import promises, slis
from generator.proofs.model import Gap, Test
from generator.proofs.series import InputSeries, exact
from generator.proofs.slis import UnprovableError
from generator.proofs.stage import (
    ABOVE,
    BELOW,
    CONSUMED,
    FULL,
    GOOD,
    IDLE,
    SPIKE,
    THREE,
    Collected,
    SloSubjects,
    Stage,
)
from generator.proofs.timeline import Timeline
from generator.render.rules.shared import NO_DATA_FOR_MS
from generator.units import MINUTE, SECOND


def batches(slos: Iterable[Slo], collected: Collected, subjects: SloSubjects) -> list[list[Slo]]:
    """SLOs in groups that share no metric. SLOs for which no series can be made become gaps.

    SLOs that count slices of time stand alone, because each SLO has its own pattern of bad slices.
    """
    found: list[tuple[set[str], list[Slo]]] = []
    alone: list[list[Slo]] = []
    for slo in sorted(slos, key=slis.is_native):
        try:
            own = slis.metrics(slo)
            slis.series(slo, _each_kind_of_flow(slo), 1000)
        except UnprovableError as error:
            collected.gaps += [Gap(subject=each, what="all proofs", reason=str(error)) for each in subjects.all(slo)]
            continue
        if slis.sliced(slo):
            alone.append([slo])
            continue
        for taken, members in found:
            if not taken & own and slis.is_native(members[0]) == slis.is_native(slo):
                taken.update(own)
                members.append(slo)
                break
        else:
            found.append((set(own), [slo]))
    return [members for _, members in found] + alone


def _each_kind_of_flow(slo: Slo) -> list[slis.Flow]:
    """Some errors, none, only errors and no traffic, as the tests need them. A query may allow one and not another."""
    counts = [(2, 1), (2, 0), (2, 2), *([(0, 0)] if slis.counts_events(slo) else [])]
    return [slis.Flow(samples=1, total=total, bad=bad) for total, bad in counts]


# -- burn-rate tiers


def tier_tests(stage: Stage, events: Stage, tier: Tier) -> Iterable[tuple[Stage, Test]]:
    """The tests of one tier, each with its stage.

    `stage` is for cases that last as long as the long window. `events`, evaluated at least as often as the base window,
    is for cases that count single events.
    """
    if not stage.sliced:
        yield stage, _below(stage, tier)
        yield stage, _above(stage, tier)
    yield events, _full(events, tier)
    spiked = events.with_slos(slo for slo in events.slos if _spike(events, slo, tier) > 0)
    if spiked.slos:
        yield events, _one_bad(spiked, tier)
    counting = events.with_slos(slo for slo in events.slos if slis.counts_events(slo))
    if counting.slos and events.profile.min_events > 1:
        yield events, _three_requests(counting, tier)


def level(slo: Slo, tier: Tier, name: str) -> Fraction:
    """The error ratio of a level. For 1.1 × at most half-way between the limit and an error ratio of 1."""
    limit = promises.threshold(slo, tier)
    match name:
        case "0.9 ×":
            return limit * Fraction(9, 10)
        case "1.1 ×":
            return min(limit * Fraction(11, 10), (1 + limit) / 2)
        case _:
            return Fraction(1)


def _bad(stage: Stage, slo: Slo, tier: Tier, name: str) -> int:
    """Bad events per sample at a level of a tier, rounded away from the threshold."""
    if name == SPIKE:
        return _spike(stage, slo, tier)
    exact_count = level(slo, tier, name) * stage.events(slo)
    return -int(-exact_count // 1) if name == ABOVE else int(exact_count)


def _live(stage: Stage, tier: Tier, timeline: Timeline, *levels: str) -> list[InputSeries]:
    """The series of a timeline's phases. `levels` are the tier's levels among the phases: BELOW, ABOVE or SPIKE."""
    found = []
    for slo in stage.slos:
        meaning = stage.traffic(slo, **{name: _bad(stage, slo, tier, name) for name in levels})
        found += slis.series(slo, timeline.flows(meaning), stage.sample_ms)
    return found


def _below(stage: Stage, tier: Tier) -> Test:
    timeline = stage.timeline()
    timeline.phase(BELOW, tier.long_ms + stage.profile.base_ms + 2 * stage.interval_ms)
    for slo in stage.slos:
        timeline.silent(stage.subjects.tier(slo, tier), "at 0.9 × the threshold")
    return stage.test(f"{tier.name} is silent at 0.9 ×", timeline, _live(stage, tier, timeline, BELOW))


def _detection_ms(stage: Stage, slo: Slo, tier: Tier, name: str) -> int:
    return promises.detection_ms(slo, tier, level(slo, tier, name), stage.cadence, stage.scrape_ms)


def _above(stage: Stage, tier: Tier) -> Test:
    timeline = stage.timeline()
    timeline.phase(GOOD, tier.long_ms + stage.profile.base_ms)
    for slo in stage.slos:
        timeline.silent(stage.subjects.tier(slo, tier), "")
    promised = {slo.name: _detection_ms(stage, slo, tier, ABOVE) for slo in stage.slos}
    begin_ms = timeline.phase(ABOVE, max(promised.values()) + stage.sample_ms)
    for slo in stage.slos:
        timeline.fires_within(stage.subjects.tier(slo, tier), ABOVE, begin_ms, promised[slo.name])
    return stage.test(f"{tier.name} fires at 1.1 ×", timeline, _live(stage, tier, timeline, ABOVE))


def _needs_real_past(stage: Stage, tier: Tier) -> bool:
    """Whether the long window consists of base windows, for which one heavy sample is no substitute."""
    return tier.pages and (tier.long_ms == stage.profile.base_ms or stage.profile.is_adjacent(tier.long_ms))


def _full(stage: Stage, tier: Tier) -> Test:
    timeline, past = stage.timeline(), []
    warm_ms = stage.profile.base_ms + 2 * stage.interval_ms
    if _needs_real_past(stage, tier):
        warm_ms = tier.long_ms + stage.profile.base_ms
    else:
        for slo in stage.slos:
            filled = promises.threshold(slo, tier) + Fraction(warm_ms, tier.long_ms)
            past += stage.past(slo, tier, min(filled, Fraction(1)))
    timeline.phase(GOOD, warm_ms)
    promised = {slo.name: _detection_ms(stage, slo, tier, FULL) for slo in stage.slos}
    begin_ms = timeline.phase(FULL, max(promised.values()) + stage.sample_ms)
    for slo in stage.slos:
        timeline.fires_within(stage.subjects.tier(slo, tier), FULL, begin_ms, promised[slo.name])
    resets = {slo.name: promises.reset_ms(slo, tier, stage.cadence, stage.scrape_ms) for slo in stage.slos}
    end_ms = timeline.phase(GOOD, max(resets.values()) + stage.sample_ms)
    for slo in stage.slos:
        timeline.resets_within(stage.subjects.tier(slo, tier), FULL, end_ms, resets[slo.name])
    return stage.test(f"{tier.name} fires at 100 % and resets", timeline, [*past, *_live(stage, tier, timeline)])


def _spike(stage: Stage, slo: Slo, tier: Tier) -> int:
    """Bad events of one scrape that the long window tolerates: all, or 0.9 × of its limit. 0 means none."""
    count = stage.events(slo)
    if not slis.counts_events(slo):
        return 0
    tolerated = promises.threshold(slo, tier) * Fraction(9, 10) * tier.long_ms / stage.sample_ms
    return int(min(tolerated, Fraction(1)) * count)


def _one_bad(stage: Stage, tier: Tier) -> Test:
    timeline = stage.timeline()
    timeline.phase(GOOD, stage.profile.base_ms + 2 * stage.interval_ms)
    timeline.instant(SPIKE, GOOD)
    timeline.phase(GOOD, tier.short_ms + stage.profile.base_ms + 2 * stage.interval_ms)
    past = [item for slo in stage.slos for item in stage.past(slo, tier)]
    for slo in stage.slos:
        timeline.silent(stage.subjects.tier(slo, tier), "on one bad scrape")
    series = [*past, *_live(stage, tier, timeline, SPIKE)]
    return stage.test(f"{tier.name} is silent on one bad scrape", timeline, series)


def _three_requests(stage: Stage, tier: Tier) -> Test:
    timeline = stage.timeline()
    timeline.phase(IDLE, stage.profile.base_ms + 2 * stage.interval_ms)
    timeline.instant(THREE, IDLE)
    timeline.phase(IDLE, tier.short_ms + stage.profile.base_ms + 2 * stage.interval_ms)
    for slo in stage.slos:
        timeline.silent(stage.subjects.tier(slo, tier), "one failure of three requests")
    name = f"{tier.name} is silent on one failure of three requests"
    return stage.test(name, timeline, _live(stage, tier, timeline))


# -- the SLO as a whole


def quiet_test(stage: Stage) -> Test:
    """Traffic without any error series, then no series at all: no alert fires."""
    timeline = stage.timeline()
    timeline.phase(GOOD, stage.profile.base_ms + 5 * MINUTE)
    for slo in stage.slos:
        if slis.errors_can_be_missing(slo):
            for subject in stage.subjects.all(slo):
                timeline.silent(subject, "when no error series exists")
    timeline.phase(IDLE, stage.profile.base_ms + NO_DATA_FOR_MS + 2 * stage.interval_ms)
    series: list[InputSeries] = []
    for slo in stage.slos:
        for subject in stage.subjects.all(slo):
            timeline.silent(subject, "when idle" if slis.counts_events(slo) else "")
        meaning = stage.traffic(slo)
        if not slis.counts_events(slo):
            meaning[IDLE] = meaning[GOOD]
        missing = slis.errors_can_be_missing(slo)
        series += slis.series(slo, timeline.flows(meaning), stage.sample_ms, error_series=not missing)
    return stage.test("silent without errors and when idle", timeline, series)


def gone_test(stage: Stage) -> Test:
    """All series vanish: no data fires after its time, and resets when data comes back."""
    timeline, each = stage.timeline(), stage.interval_ms
    timeline.phase(GOOD, stage.profile.base_ms + 2 * each)
    gone_ms = timeline.now_ms
    promised = {slo.name: promises.no_data_ms(slo, each, stage.scrape_ms) for slo in stage.slos}
    begin_ms = timeline.phase("gone", max(promised.values()) + stage.sample_ms)
    for slo in stage.slos:
        subject = stage.subjects.no_data(slo)
        timeline.silent_until(subject, gone_ms + NO_DATA_FOR_MS - each)
        timeline.fires_within(subject, "everything gone", begin_ms, promised[slo.name])
    back = {slo.name: promises.data_back_ms(slo, each, stage.sample_ms) for slo in stage.slos}
    back_ms = timeline.phase(GOOD, max(back.values()) + 2 * each)
    for slo in stage.slos:
        timeline.resets_within(stage.subjects.no_data(slo), "everything gone", back_ms, back[slo.name])
    series: list[InputSeries] = []
    for slo in stage.slos:
        series += slis.series(slo, timeline.flows(stage.traffic(slo)), stage.sample_ms)
    return stage.test("missing data", timeline, series)


# -- the consumed budget


def consumed_test(stage: Stage, share: Decimal) -> Test:
    """The budget's window as recorded history: 0.9 × the share is consumed, then 1.1 ×, then much good traffic."""
    timeline, each = stage.timeline(), stage.interval_ms
    promised_ms = 2 * each + stage.sample_ms
    timeline.phase(GOOD, stage.profile.base_ms + 2 * each)
    for slo in stage.slos:
        timeline.silent(stage.subjects.consumed(slo, share), "at 0.9 × the share")
    above_ms = timeline.phase(GOOD, promised_ms + stage.sample_ms)
    good_ms = timeline.phase(GOOD, promised_ms + stage.sample_ms)
    series: list[InputSeries] = []
    for slo in stage.slos:
        subject = stage.subjects.consumed(slo, share)
        timeline.fires_within(subject, ABOVE, above_ms, promised_ms)
        timeline.resets_within(subject, ABOVE, good_ms, promised_ms)
        series += _consumed_history(stage, slo, share, (above_ms // stage.sample_ms, good_ms // stage.sample_ms))
        series += slis.series(slo, timeline.flows(stage.traffic(slo)), stage.sample_ms)
    return stage.test(f"{consumed_label(share)} % of the budget", timeline, series)


def _consumed_history(stage: Stage, slo: Slo, share: Decimal, at: tuple[int, int]) -> list[InputSeries]:
    """Errors among so many events that live traffic has no weight: below the share, above, and below again."""
    window_ms = slo.profile.window.length_ms
    weight = int(1000 * stage.per_s(slo) * window_ms / stage.interval_ms) * Fraction(1)
    limit = Fraction(share) * Fraction(slo.budget_ratio)
    below, above = limit * Fraction(9, 10), min(limit * Fraction(11, 10), (1 + limit) / 2)
    first = exact(below * weight, up=False)
    second = exact(2 * above * weight - first, up=True)
    nothing = Fraction(0)
    total = {0: weight, at[0]: weight, at[1]: 10 * weight}
    errors = {0: first, at[0]: second, at[1]: nothing}
    return [stage.history(slo, "total", total, window_ms), stage.history(slo, "errors", errors, window_ms)]


# -- all of a spec


def collect(spec: Spec, scope: str, collected: Collected) -> None:
    """Every proof of the spec's SLO alerts."""
    subjects = SloSubjects(spec=spec, scope=scope)
    profiles = {slo.profile.name: slo.profile for slo in spec.slos}
    for profile in profiles.values():
        own = [slo for slo in spec.slos if slo.profile == profile]
        for batch in batches(own, collected, subjects):
            _collect_batch(
                Stage(
                    subjects=subjects,
                    profile=profile,
                    slos=tuple(batch),
                    interval_ms=profile.cadence.fast_ms,
                    build=False,
                ),
                collected,
            )


def _collect_batch(shipped: Stage, collected: Collected) -> None:
    profile = shipped.profile
    collected.add(shipped, quiet_test(shipped))
    collected.add(shipped, gone_test(shipped))
    for tier in profile.tiers:
        stage, events = _stages(shipped, tier)
        for staged, made in tier_tests(stage, events, tier):
            collected.add(staged, made, tier.name)
        if stage.sliced:
            from generator.proofs import slice_proofs

            slice_proofs.collect(stage, events, tier, collected)
        else:
            _note_gaps(tier, events, collected)
    if profile.window.length_ms >= ROLLED_UP_FROM_MS:
        built = _at(shipped, profile.base_ms)
        for share in profile.consumed:
            collected.add(built, consumed_test(built, share), CONSUMED)


def _at(shipped: Stage, interval_ms: int) -> Stage:
    return replace(shipped, interval_ms=interval_ms, build=True)


def _stages(shipped: Stage, tier: Tier) -> tuple[Stage, Stage]:
    """One evaluation per sixth of the short window is enough for cases that last as long as the long window.

    Cases that count single events need an evaluation in each base window. The fastest pages use the shipped rules for
    this. Shares of bad slices need a build for tests. Where evaluations fall on the ends of slices, the shipped rules
    count one slice more on Prometheus 2.
    """
    base_ms, fast_ms = shipped.profile.base_ms, shipped.interval_ms
    least_ms = min(MINUTE, base_ms)
    interval_ms = max(round_up(tier.short_ms // 6, 30 * SECOND), least_ms)
    if shipped.sliced:
        interval_ms = _part_of(base_ms, interval_ms)
    if interval_ms <= fast_ms:
        return _at(shipped, interval_ms) if shipped.sliced else shipped, shipped
    finer_ms = max(tier.short_ms // 12 // SECOND * SECOND, least_ms)
    if shipped.sliced:
        finer_ms = _part_of(base_ms, finer_ms)
    if finer_ms <= 2 * fast_ms or tier.short_ms <= base_ms:
        return _at(shipped, interval_ms), shipped
    return _at(shipped, interval_ms), _at(shipped, min(finer_ms, base_ms))


def _part_of(base_ms: int, at_most_ms: int) -> int:
    """The interval at which base windows follow each other without a gap, so that each slice counts equally often."""
    return base_ms // -(-base_ms // at_most_ms)


def _note_gaps(tier: Tier, events: Stage, collected: Collected) -> None:
    for slo in events.slos:
        if _spike(events, slo, tier) == 0:
            reason = "the query itself spreads it out"
            subject = events.subjects.tier(slo, tier)
            collected.gaps.append(Gap(subject=subject, what="one bad scrape", reason=reason))
