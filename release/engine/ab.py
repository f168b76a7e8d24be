"""Judges the A/B test of a rollout's present stage: counts on, looks, and keeps what the next look needs.

The progress and the outcome are stored before the engine hears of them. An engine that dies in between hears of the
outcome again. The module needs scipy, which comes with the extra `freezeline[ab]`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from receiver.sources.fill import filled
from receiver.sources.prometheus import Prometheus
from release.ab.counting import count, counted_until, selectors
from release.ab.kept import Kept, decode, encode
from release.ab.stage import look, start
from release.canary.state import AbJudged, Phase, State
from release.engine.readings import Tracks
from release.policy.canary import Canary
from release.store.database import Database


class AbAsker:
    """Asks Prometheus for one rollout's tests. `day_s` is the length of a day, which `--speed` shortens."""

    def __init__(
        self,
        canary: Canary,
        tracks: Tracks,
        prometheus: Prometheus,
        database: Database,
        *,
        clock: Callable[[], float],
        day_s: float,
    ) -> None:
        self._canary = canary
        self._prometheus = prometheus
        self._database = database
        self._clock = clock
        self._day_s = day_s
        self._canary_fill = partial(filled, canary=tracks.canary, stable=tracks.stable)
        self._stable_fill = partial(filled, canary=tracks.stable, stable=tracks.stable)

    async def __call__(self, state: State) -> AbJudged | None:
        """The outcome that the rollout does not know yet; None while there is nothing new. Raises SourceError."""
        stage = self._canary.stages[state.stage]
        if stage.ab is None or state.shifted_at is None:
            return None
        scrape_s = self._canary.scrape_s
        # A sample before the first scrape after the shift has events of the weight before.
        kept = self._kept(state) or Kept(progress=start(state.shifted_at + scrape_s, stage.daily, self._day_s))
        now = self._clock()
        asked = selectors(stage.ab, self._canary_fill, self._stable_fill)
        until_s = counted_until(kept.progress.counts.since_s, now, scrape_s)
        counts = await count(kept.progress.counts, asked, self._prometheus, until_s)
        looked = look(
            stage.ab,
            stage.weight,
            replace(kept.progress, counts=counts),
            at_s=now,
            at_the_end=state.phase is Phase.EVALUATE,
            daily=stage.daily,
            day_s=self._day_s,
            scrape_s=scrape_s,
        )
        kept = replace(kept, progress=looked.progress, judgement=looked.judgement)
        if looked.outcome is not None:
            kept = replace(kept, outcome=looked.outcome, text=looked.text)
        self._database.keep_ab(state.rollout, state.stage, encode(kept))
        if kept.outcome in ("", state.answers.ab):
            return None
        return AbJudged(outcome=kept.outcome, why=kept.text)

    def _kept(self, state: State) -> Kept | None:
        text = self._database.kept_ab(state.rollout, state.stage)
        return None if text is None else decode(text)
