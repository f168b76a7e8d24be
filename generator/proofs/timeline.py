"""The clock of a proof: phases that begin right after an evaluation, which is the worst time for a new fault."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from msgspec import Struct, field

from generator.proofs.model import FIRES, SILENT, Check, Fact, Span, Subject
from generator.proofs.slis import Flow
from generator.units import SECOND

GONE = "gone"


def sample_interval_ms(interval_ms: int, wanted_ms: int) -> int:
    """The interval of the input's samples: near `wanted_ms`, and at least two in each evaluation interval."""
    return gcd(interval_ms, min(wanted_ms, interval_ms // 2))


class Timeline(Struct):
    """Collects phases and expectations. All times are milliseconds since the start of the test.

    The very first sample, at time 0, is left out. Nothing is recorded at time 0, so history can take its place.
    """

    interval_ms: int
    sample_ms: int
    now_ms: int = 0
    phases: list[tuple[int, str]] = field(default_factory=lambda: [(1, GONE)])  # (samples, name of what happens)
    checks: list[Check] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def phase(self, what: str, duration_ms: int) -> int:
        """A phase of at least this length, in whole evaluations. Returns the time of its first scrape."""
        begin_ms = self.now_ms + self.sample_ms
        whole_ms = max(-(-duration_ms // self.interval_ms), 1) * self.interval_ms
        self.phases.append((whole_ms // self.sample_ms, what))
        self.now_ms += whole_ms
        return begin_ms

    def instant(self, what: str, rest: str) -> int:
        """One sample of `what`, then `rest` until the next evaluation. Returns the time of the sample's scrape."""
        begin_ms = self.now_ms + self.sample_ms
        self.phases.append((1, what))
        self.phases.append((self.interval_ms // self.sample_ms - 1, rest))
        self.now_ms += self.interval_ms
        return begin_ms

    def floor(self, at_ms: int) -> int:
        """The last evaluation at or before a time."""
        return at_ms // self.interval_ms * self.interval_ms

    def fires_within(self, subject: Subject, level: str, from_ms: int, promised_ms: int) -> None:
        """Expect the alert to fire by the promised time after `from_ms`."""
        at_ms = self.floor(from_ms + promised_ms)
        self.checks.append(Check(subject=subject, kind=FIRES, at_ms=at_ms))
        span = Span(
            subject=subject, what="detected", level=level, from_ms=from_ms, until_ms=at_ms, promised_ms=promised_ms
        )
        self.spans.append(span)

    def resets_within(self, subject: Subject, level: str, from_ms: int, promised_ms: int) -> None:
        """Expect the alert to be gone by the promised time after `from_ms`."""
        at_ms = self.floor(from_ms + promised_ms)
        self.checks.append(Check(subject=subject, kind=SILENT, since_ms=at_ms, at_ms=at_ms))
        span = Span(
            subject=subject, what="reset", level=level, from_ms=from_ms, until_ms=at_ms, promised_ms=promised_ms
        )
        self.spans.append(span)

    def silent(self, subject: Subject, fact: str, since_ms: int = 0) -> None:
        """Expect that the alert has not fired from `since_ms` until now."""
        self.checks.append(Check(subject=subject, kind=SILENT, since_ms=since_ms, at_ms=self.now_ms))
        if fact:
            self.facts.append(Fact(subject=subject, text=fact))

    def silent_until(self, subject: Subject, at_ms: int) -> None:
        """Expect that the alert does not fire before a time."""
        self.checks.append(Check(subject=subject, kind=SILENT, since_ms=0, at_ms=self.floor(at_ms)))

    def flows(self, meaning: Mapping[str, tuple[int, int]]) -> list[Flow]:
        """The phases as traffic. `meaning` gives each phase's name its events per sample: all, and bad ones."""
        return [self._flow(samples, meaning.get(what)) for samples, what in self.phases if samples > 0]

    def _flow(self, samples: int, events: tuple[int, int] | None) -> Flow:
        return (
            Flow(samples=samples, total=None)
            if events is None
            else Flow(samples=samples, total=events[0], bad=events[1])
        )


def tolerant_sample_ms(interval_ms: int, scrape_ms: int, base_ms: int, *, build: bool) -> int:
    """Sample as often as the spec scrapes. Builds for long windows may sample only five times per base window."""
    wanted_ms = max(scrape_ms, base_ms // 5 // SECOND * SECOND) if build else scrape_ms
    return sample_interval_ms(interval_ms, wanted_ms)
