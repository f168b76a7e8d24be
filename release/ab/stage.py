"""The A/B test of one stage, look by look: planned looks spend the level, and a guard for harm stands between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from release.ab.counting import arms, begin
from release.ab.findings import Arm, Judgement, Outcome
from release.ab.judge import Design, design_of, judge
from release.ab.kept import Point, Progress
from release.ab.shares import split_is_wrong
from release.canary.plan import DAY_S, next_daily
from release.policy.canary import AbTest, Daily

EACH_DAY = Daily(at=("00:00",), zone="UTC")
"""When a test is looked at whose stage names no times."""


class Looked(Struct, frozen=True, kw_only=True):
    """What a look says. `outcome` is for `AbJudged`, and None where nothing new is to be said."""

    outcome: str | None
    text: str
    judgement: Judgement
    progress: Progress


def start(at_s: float, daily: Daily | None, day_s: float = DAY_S) -> Progress:
    """A test that begins, one scrape after the stage's weight was set."""
    return Progress(counts=begin(at_s), due_s=next_daily(daily or EACH_DAY, at_s, day_s))


def look(
    test: AbTest,
    weight: Decimal,
    progress: Progress,
    *,
    at_s: float,
    at_the_end: bool,
    daily: Daily | None = None,
    day_s: float = DAY_S,
    scrape_s: float = 0.0,
) -> Looked:
    """Look once, with `progress.counts` counted until now. Between planned looks, only harm is told.

    `at_the_end`: the stage's bake is over. The first such look spends what is left of the level; later ones only guard.
    `scrape_s`: the scrapes of both releases are up to one interval apart.
    """
    counted_s = progress.counts.until_s - progress.counts.since_s
    design = design_of(test, weight, apart=scrape_s / max(scrape_s, counted_s, 1.0))
    counts = arms(test, progress.counts)
    last = at_the_end and not progress.ended
    if not last and at_s < progress.due_s:
        return _guard(design, counts, progress)
    found = judge(design, counts, progress.times, at_the_end=last)
    outcome = found.outcome
    if outcome is Outcome.CANNOT_TELL and not last and not _stops(design, counts):
        outcome = Outcome.UNDECIDED
    times = {one.metric: _grown(progress.times.get(one.metric, ()), 1.0 if last else one.time) for one in found.metrics}
    points = tuple(
        Point(
            at_s=at_s,
            metric=one.metric,
            z=one.z,
            bound=one.bound if math.isfinite(one.bound) and one.statistic == "z" else None,
            gap=one.canary.share - one.stable.share,
            low=one.low,
            high=one.high,
        )
        for one in found.metrics
    )
    progress = replace(
        progress,
        due_s=progress.due_s if at_s < progress.due_s else next_daily(daily or EACH_DAY, at_s, day_s),
        times=times if _spends(design, last=last) else progress.times,
        points=(*progress.points, *points),
        ended=progress.ended or at_the_end,
    )
    said = None if at_the_end and not last and outcome is not Outcome.WORSE else outcome.value
    return Looked(outcome=said, text=_text(found), judgement=found, progress=progress)


def _guard(design: Design, counts: Mapping[str, tuple[Arm, Arm]], progress: Progress) -> Looked:
    found = judge(replace(design, method="anytime"), counts, {}, at_the_end=False)
    worse = found.outcome is Outcome.WORSE
    return Looked(outcome="worse" if worse else None, text=_text(found), judgement=found, progress=progress)


def _spends(design: Design, *, last: bool) -> bool:
    """Whether a look takes part of the level: not a look of a fixed horizon before its end."""
    return design.method == "group-sequential" or last


def _stops(design: Design, counts: Mapping[str, tuple[Arm, Arm]]) -> bool:
    """Whether doubt cannot end by waiting: a wrong split, or counts of requests for users who stay."""
    if design.by_user and design.inflation is None:
        return True
    return any(
        split_is_wrong(canary, stable, design.part, apart=design.apart)
        for canary, stable in counts.values()
        if canary.total
    )


def _grown(times: tuple[float, ...], now: float) -> tuple[float, ...]:
    """The times with one more; a time that does not grow adds nothing, for the spent level stays spent."""
    return (*times, now) if now > (times[-1] if times else 0.0) else times


def _text(found: Judgement) -> str:
    still = [
        f"{one.metric} needs {one.needed - min(one.canary.total, one.stable.total):,} more events of each release"
        for one in found.metrics
        if one.needed > min(one.canary.total, one.stable.total)
    ]
    return "; ".join([found.why, *still])
