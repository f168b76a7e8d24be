"""The proofs of plain alerts: per alert a course of events, from quiet over 0.9 × and 1.1 × to a full breach."""

from __future__ import annotations

from generator import names
from generator.model.spec import PlainAlert, Spec
from generator.proofs import conditions
from generator.proofs.conditions import ABOVE, BELOW, FULL, QUIET, SPIKE, Plan
from generator.proofs.model import Gap, Subject, Test
from generator.proofs.series import InputSeries
from generator.proofs.slis import UnprovableError
from generator.proofs.stage import Collected
from generator.proofs.timeline import Timeline, sample_interval_ms


def subject_of(spec: Spec, alert: PlainAlert) -> Subject:
    """The alert with its labels from the spec. The alert's query adds other labels."""
    labels = {
        "alertname": alert.name,
        names.SEVERITY: alert.severity,
        names.SERVICE: spec.service,
        names.TEAM: alert.team or spec.owner.team,
    }
    return Subject(labels=labels, exact=False, position=alert.position)


def collect(spec: Spec, collected: Collected) -> None:
    """Every proof of the spec's plain alerts."""
    courses: dict[int, list[_Course]] = {}
    for alert in spec.alerts:
        subject = subject_of(spec, alert)
        try:
            course = _course(spec, alert, subject, collected)
        except UnprovableError as error:
            collected.gaps.append(Gap(subject=subject, what="all proofs", reason=str(error)))
        else:
            courses.setdefault(alert.interval_ms, []).append(course)
    for interval_ms, own in courses.items():
        for native in (False, True):
            batches = _batches([course for course in own if course.plan.native == native])
            if batches:
                collected.plain[interval_ms, native] = [_test(spec, batch) for batch in batches]


def _batches(courses: list[_Course]) -> list[list[_Course]]:
    """Group alerts so that alerts of one test read different metrics."""
    found: list[tuple[set[str], list[_Course]]] = []
    for course in courses:
        metrics = course.plan.metrics
        for taken, members in found:
            if not taken & metrics:
                taken.update(metrics)
                members.append(course)
                break
        else:
            found.append((set(metrics), [course]))
    return [members for _, members in found]


def _course(spec: Spec, alert: PlainAlert, subject: Subject, collected: Collected) -> _Course:
    sample_ms = sample_interval_ms(alert.interval_ms, spec.defaults.scrape_ms)
    plan = conditions.plan(alert.condition, sample_ms)
    timeline = Timeline(interval_ms=alert.interval_ms, sample_ms=sample_ms)
    course = _Course(alert=alert, subject=subject, plan=plan, timeline=timeline)
    course.quiet_at_first()
    course.one_bad(collected)
    course.below_and_above()
    course.full()
    course.series()
    return course


def _test(spec: Spec, courses: list[_Course]) -> Test:
    return Test(
        name=f"{spec.name}: {', '.join(course.alert.name for course in courses)}",
        sample_ms=courses[0].timeline.sample_ms,
        series=tuple(series for course in courses for series in course.series()),
        checks=tuple(check for course in courses for check in course.timeline.checks),
        spans=tuple(span for course in courses for span in course.timeline.spans),
        facts=tuple(fact for course in courses for fact in course.timeline.facts),
    )


class _Course:
    """Lays one alert's phases on a timeline."""

    def __init__(self, *, alert: PlainAlert, subject: Subject, plan: Plan, timeline: Timeline) -> None:
        self.alert = alert
        self.subject = subject
        self.plan = plan
        self.timeline = timeline
        self.each_ms = alert.interval_ms
        self.waits_ms = alert.for_ms + (alert.consecutive - 1) * alert.interval_ms

    def quiet_at_first(self) -> None:
        """Long enough to fill the range."""
        self.timeline.phase(QUIET, self.plan.window_ms + 2 * self.each_ms)

    def one_bad(self, collected: Collected) -> None:
        """One bad evaluation for a condition without a range, one bad scrape for a condition with a range."""
        since_ms = self.timeline.now_ms
        if self.plan.window_ms:
            if SPIKE not in self.plan.levels:
                reason = "its range carries one bad scrape through many evaluations"
                collected.gaps.append(Gap(subject=self.subject, what=SPIKE, reason=reason))
                return
            self.timeline.instant(SPIKE, QUIET)
            fact = "on one bad scrape"
        elif self.waits_ms >= self.each_ms:
            count = max(self.alert.consecutive - 1, 1)
            self.timeline.phase(FULL, count * self.each_ms)
            fact = "on one bad evaluation" if count == 1 else f"on {count} bad evaluations in a row"
        else:
            reason = "it has neither `for` nor `consecutive`, so it is meant to fire at the first bad evaluation"
            collected.intended.append(Gap(subject=self.subject, what="one bad evaluation", reason=reason))
            return
        self.timeline.phase(QUIET, self.plan.window_ms + self.waits_ms + 2 * self.each_ms)
        self.timeline.silent(self.subject, fact, since_ms)

    def below_and_above(self) -> None:
        """0.9 × for as long as an alert could need, then 1.1 ×, then quiet again."""
        since_ms = self.timeline.now_ms
        self.timeline.phase(BELOW, self.plan.window_ms + self.waits_ms + 3 * self.each_ms)
        self.timeline.silent(self.subject, "at 0.9 × the threshold", since_ms)
        promised_ms = self.plan.window_ms + self.waits_ms + self.each_ms + self.timeline.sample_ms
        begin_ms = self.timeline.phase(ABOVE, promised_ms + self.timeline.sample_ms)
        self.timeline.fires_within(self.subject, ABOVE, begin_ms, promised_ms)
        self._resets(ABOVE)

    def full(self) -> None:
        """Everything goes wrong: the alert must fire within the time that the spec promises, else the computed time."""
        self.timeline.phase(QUIET, self.plan.window_ms + self.each_ms)
        computed_ms = self.plan.full_ms + self.waits_ms + self.each_ms + self.timeline.sample_ms
        promised_ms = computed_ms if self.alert.within_ms is None else self.alert.within_ms
        begin_ms = self.timeline.phase(FULL, promised_ms + self.timeline.sample_ms)
        self.timeline.fires_within(self.subject, FULL, begin_ms, promised_ms)
        self._resets(FULL)

    def _resets(self, level: str) -> None:
        promised_ms = self.plan.window_ms + 2 * self.each_ms + self.timeline.sample_ms
        begin_ms = self.timeline.phase(QUIET, promised_ms + self.timeline.sample_ms)
        self.timeline.resets_within(self.subject, level, begin_ms, promised_ms)

    def series(self) -> list[InputSeries]:
        """The input series of the whole course."""
        phases = [(samples, QUIET if what == "gone" else what) for samples, what in self.timeline.phases if samples]
        fixed = conditions.by_labels(self.alert.condition)
        return self.plan.series(phases, self.timeline.sample_ms, fixed)
