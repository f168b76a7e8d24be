"""The steps of the demo with their times, and the verdict on them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct, field


class Step(StrEnum):
    """A step that must be seen exactly once."""

    BREACH = "breach"
    FAILURE_RATE = "failure rate"
    PENDING = "alert pending"
    FIRING = "alert firing"
    WEBHOOK = "webhook"
    FLAG = "flag on disk"
    ROLLBACK = "rollback done"
    SLACK_FROZEN = "Slack: frozen"
    TOAST_FROZEN = "toast: frozen"
    SLACK_ROLLED_BACK = "Slack: rolled back"
    TOAST_ROLLED_BACK = "toast: rolled back"
    RECOVERY = "recovery"
    UNFREEZE = "unfreeze"
    SLACK_UNFROZEN = "Slack: unfrozen"
    TOAST_UNFROZEN = "toast: unfrozen"


class Limit(Struct, frozen=True, kw_only=True):
    """The longest time from one step to another."""

    start: Step
    end: Step
    at_most_s: float


LIMITS = (
    Limit(start=Step.WEBHOOK, end=Step.FLAG, at_most_s=1.0),
    Limit(start=Step.WEBHOOK, end=Step.SLACK_FROZEN, at_most_s=5.0),
    Limit(start=Step.WEBHOOK, end=Step.TOAST_FROZEN, at_most_s=5.0),
)


class Sighting(Struct, frozen=True, kw_only=True):
    """A step that was seen: `at` in seconds since 1970."""

    step: Step
    at: float
    detail: str


class Timeline(Struct, kw_only=True):
    """Sightings in the order of observation. `told` gets each one as it happens."""

    told: Callable[[Timeline, Sighting], None]
    sightings: list[Sighting] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def saw(self, step: Step, at: float, detail: str) -> None:
        """Record a step, also a repeated one."""
        sighting = Sighting(step=step, at=at, detail=detail)
        self.sightings.append(sighting)
        self.told(self, sighting)

    def first(self, step: Step) -> Sighting | None:
        """The step's first sighting."""
        return next((sighting for sighting in self.sightings if sighting.step is step), None)

    def since_breach_s(self, at: float) -> float:
        """Seconds from the breach to `at`; 0 before the breach was seen."""
        breach = self.first(Step.BREACH)
        return at - breach.at if breach else 0.0

    @property
    def complete(self) -> bool:
        """Whether every step has been seen."""
        return {sighting.step for sighting in self.sightings} == set(Step)


class Held(Struct, frozen=True, kw_only=True):
    """A limit with the measured time; None if one of its steps was not seen."""

    limit: Limit
    took_s: float | None

    @property
    def ok(self) -> bool:
        """Whether the limit was kept."""
        return self.took_s is not None and self.took_s <= self.limit.at_most_s


class Verdict(Struct, frozen=True, kw_only=True):
    """The problems of a run; none if it went as expected."""

    missing: tuple[Step, ...]
    repeated: tuple[Step, ...]
    unexpected: tuple[str, ...]
    limits: tuple[Held, ...]

    @property
    def ok(self) -> bool:
        """Whether every step was seen once, nothing else happened, and no limit was exceeded."""
        return not (self.missing or self.repeated or self.unexpected) and all(held.ok for held in self.limits)


def judge(timeline: Timeline) -> Verdict:
    """Compare a timeline with the expected steps and limits."""
    counts = Counter(sighting.step for sighting in timeline.sightings)
    return Verdict(
        missing=tuple(step for step in Step if counts[step] == 0),
        repeated=tuple(step for step in Step if counts[step] > 1),
        unexpected=tuple(timeline.unexpected),
        limits=tuple(Held(limit=limit, took_s=_took_s(timeline, limit)) for limit in LIMITS),
    )


def _took_s(timeline: Timeline, limit: Limit) -> float | None:
    start, end = timeline.first(limit.start), timeline.first(limit.end)
    return end.at - start.at if start and end else None
