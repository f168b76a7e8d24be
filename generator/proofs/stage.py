"""What the proofs of SLO alerts share: the alerts, and how traffic and recorded history are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct, field
from msgspec.structs import replace

from generator import names
from generator.model import alert_labels
from generator.model.burn import ROLLED_UP_FROM_MS, Cadence, Profile, Tier, consumed_label, consumed_severity
from generator.model.spec import Slo, Spec
from generator.proofs import promises, slis
from generator.proofs.model import Gap, Subject, Test
from generator.proofs.series import InputSeries, exact, number_text, series_name
from generator.proofs.slis import UnprovableError
from generator.proofs.timeline import Timeline, tolerant_sample_ms
from generator.render.rules import rules

GOOD, BELOW, ABOVE, FULL, IDLE, SPIKE, THREE = "good", "0.9 ×", "1.1 ×", "100 %", "idle", "spike", "three requests"
CONSUMED = "consumed budget"
# The number of the calendar unit in which promtool's clock begins, on 1970-01-01 (`generator.model.burn`: CALENDARS).
_FIRST_CYCLES = {"week": "-1", "month": "1", "quarter": "1"}
_FEWEST_BAD = 20  # bad events per sample at a tenth of a threshold: enough to make rounding unimportant


class Place(Struct, frozen=True, order=True, kw_only=True):
    """The file of a test: its interval, whether it needs a build of the rules, or native histograms."""

    interval_ms: int
    build: bool
    native: bool


class Collected(Struct):
    """The tests by file, the content of the builds, and the missing proofs."""

    tests: dict[Place, list[Test]] = field(default_factory=dict)
    built: dict[int, dict[str, set[str]]] = field(default_factory=dict)  # interval → profile → tiers, and CONSUMED
    plain: dict[tuple[int, bool], list[Test]] = field(default_factory=dict)  # of plain alerts: interval, native
    gaps: list[Gap] = field(default_factory=list)
    intended: list[Gap] = field(default_factory=list)  # not proven because the spec wants it otherwise

    def add(self, stage: Stage, test: Test, about: str = "") -> None:
        """Add a test about a tier or CONSUMED, and note what it needs of a build."""
        place = Place(interval_ms=stage.interval_ms, build=stage.build, native=stage.native)
        self.tests.setdefault(place, []).append(test)
        if stage.build:
            self.built.setdefault(stage.interval_ms, {}).setdefault(stage.profile.name, set()).add(about)


class SloSubjects(Struct, frozen=True, kw_only=True):
    """The alerts of SLOs, by the labels of the firing alerts, and how much traffic each SLO gets."""

    spec: Spec
    scope: str
    events: dict[str, int] = field(default_factory=dict)  # events per sample, by SLO: computed once for all tests

    def _subject(self, slo: Slo, **labels: str) -> Subject:
        common = {
            names.SERVICE: self.spec.service,
            names.SLO: slo.name,
            names.SCOPE: self.scope,
            names.TEAM: self.spec.owner.team,
        }
        try:
            groups = slis.groups(slo)
        except UnprovableError:
            groups = {}
        present = {name: value for name, value in {**labels, **common, **groups}.items() if value}
        return Subject(labels=present, position=slo.position)

    def tier(self, slo: Slo, tier: Tier) -> Subject:
        """SLOBudgetBurn of one tier."""
        return self._subject(slo, alertname=names.BUDGET_BURN, tier=tier.name, severity=tier.severity)

    def consumed(self, slo: Slo, share: Decimal) -> Subject:
        """SLOBudgetConsumed of one share."""
        severity, label = consumed_severity(share), consumed_label(share)
        return self._subject(slo, alertname=names.BUDGET_CONSUMED, budget_consumed=label, severity=severity)

    def no_data(self, slo: Slo) -> Subject:
        """SLONoData. This alert knows no group of the SLO, because without series there are no groups."""
        subject = self._subject(slo, alertname=names.NO_DATA, severity=alert_labels.NO_DATA_SEVERITY)
        ungrouped = {name: value for name, value in subject.labels.items() if name not in slo.group_by}
        return Subject(labels=ungrouped, position=slo.position)

    def all(self, slo: Slo) -> list[Subject]:
        """Every alert of the SLO."""
        profile = slo.profile
        found = [self.tier(slo, tier) for tier in profile.tiers]
        found += [self.consumed(slo, share) for share in profile.consumed]
        return [*found, self.no_data(slo)]


class Stage(Struct, frozen=True, kw_only=True):
    """Some SLOs of one profile, the evaluation interval of their rules, and whether this interval needs a build."""

    subjects: SloSubjects
    profile: Profile
    slos: tuple[Slo, ...]
    interval_ms: int
    build: bool

    @property
    def cadence(self) -> Cadence:
        """The intervals for the rules' constants. promtool evaluates every group at this one interval."""
        return Cadence.even(self.interval_ms, aligned=self.build)

    @property
    def native(self) -> bool:
        """Whether the tests need a promtool that knows native histograms."""
        return any(slis.is_native(slo) for slo in self.slos)

    @property
    def sliced(self) -> bool:
        """Whether the stage has an SLO that counts slices of time. Such a stage has no other SLO."""
        return any(slis.sliced(slo) for slo in self.slos)

    @property
    def scrape_ms(self) -> int:
        """How often the spec's targets are scraped. If the proof samples less often, the proof's interval."""
        return max(self.subjects.spec.defaults.scrape_ms, self.sample_ms)

    @property
    def sample_ms(self) -> int:
        """The interval of the input's samples."""
        scrape_ms = self.subjects.spec.defaults.scrape_ms
        # A sample that lasted longer than a scrape would reach into the next slice.
        tolerant = self.build and not self.sliced
        return tolerant_sample_ms(self.interval_ms, scrape_ms, self.profile.base_ms, build=tolerant)

    def timeline(self) -> Timeline:
        """An empty timeline."""
        return Timeline(interval_ms=self.interval_ms, sample_ms=self.sample_ms)

    def test(self, name: str, timeline: Timeline, series: Iterable[InputSeries]) -> Test:
        """A finished test of these SLOs."""
        who = ", ".join(slo.name for slo in self.slos)
        return Test(
            name=f"{self.subjects.spec.name}: {name} ({who})",
            sample_ms=self.sample_ms,
            series=tuple(series),
            checks=tuple(timeline.checks),
            spans=tuple(timeline.spans),
            facts=tuple(timeline.facts),
        )

    def with_slos(self, slos: Iterable[Slo]) -> Stage:
        """The same stage with fewer SLOs."""
        return replace(self, slos=tuple(slos))

    def events(self, slo: Slo) -> int:
        """Events per sample of ordinary traffic: a power of ten at which a tenth of every threshold is many events."""
        known = self.subjects.events
        if slo.name not in known:
            ratios = [promises.threshold(slo, tier) for tier in self.profile.tiers]
            least = min([*ratios, Fraction(1)])
            count = 1000
            while count * least < 10 * _FEWEST_BAD:
                count *= 10
            known[slo.name] = count
        return known[slo.name]

    def per_s(self, slo: Slo) -> Fraction:
        """Events per second with which ordinary traffic is recorded."""
        if not slis.counts_events(slo):
            return Fraction(1000, slis.slice_ms(slo))
        return Fraction(self.events(slo) * 1000, self.sample_ms)

    def traffic(self, slo: Slo, **bad: int) -> dict[str, tuple[int, int]]:
        """The meaning of phase names, in events per sample. `bad` adds further names."""
        count = self.events(slo)
        return {
            GOOD: (count, 0),
            FULL: (count, count),
            IDLE: (0, 0),
            THREE: (3, 1),
            **{name: (count, number) for name, number in bad.items()},
        }

    def history(self, slo: Slo, kind: str, values: Mapping[int, Fraction], tier_ms: int) -> InputSeries:
        """Recorded history as single heavy samples: sample number → events per second, for a window of `tier_ms`."""
        labels = rules.identity(self.subjects.spec, slo, self.subjects.scope) | slis.groups(slo)
        metric = names.base(kind, self.profile.base_ms)
        if tier_ms >= ROLLED_UP_FROM_MS:
            metric = names.rollup(kind, self.interval_ms)
            labels = labels | {names.REPAIR: "history"}
            if self.profile.window.calendar:
                labels = labels | {names.CYCLE: _FIRST_CYCLES[self.profile.window.calendar]}
        parts, position = [], 0
        for index, value in sorted(values.items()):
            parts += ([f"_x{index - position}"] if index > position else []) + [number_text(value)]
            position = index + 1
        return InputSeries(name=series_name(metric, labels), values=" ".join(parts))

    def past(self, slo: Slo, tier: Tier, left_out: Fraction = Fraction(0)) -> list[InputSeries]:
        """A long window full of good traffic, less a part for live traffic, recorded as one sample."""
        samples = Fraction(tier.long_ms, self.interval_ms) * (1 - left_out)
        weight = exact(samples * self.per_s(slo), up=False)
        # Not at an evaluation, because the rules record the same series there.
        index = 0 if tier.long_ms >= ROLLED_UP_FROM_MS else 1
        return [
            self.history(slo, "total", {index: weight}, tier.long_ms),
            self.history(slo, "errors", {index: Fraction(0)}, tier.long_ms),
        ]
