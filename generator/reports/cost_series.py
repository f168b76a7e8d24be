"""The series that the rules of a set record: their number and interval, and which selectors find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from generator import names
from generator.model.burn import SUMMED_FROM_MS, Profile
from generator.model.spec import OutputSet, Slo, Spec
from generator.render.rules import gaps
from generator.render.rules.rules import identity
from generator.units import duration_text

Matchers = tuple[tuple[str, str, str], ...]


class Matched(Struct, frozen=True, kw_only=True):
    """Series that a selector finds, with one sample per `interval_ms`."""

    series: float
    interval_ms: int


class _Entry(Struct, frozen=True, kw_only=True):
    labels: Mapping[str, str]
    matched: Matched


class Catalog:
    """The recorded series of a set, found by metric, and by SLO if a selector names one."""

    def __init__(self, output_set: OutputSet, groups: float) -> None:
        self._by_slo: dict[tuple[str, str], list[_Entry]] = {}
        self._by_metric: dict[str, list[_Entry]] = {}
        self._kept: dict[tuple[str, Matchers], tuple[Matched, ...]] = {}
        for spec in output_set.specs:
            parts = _parts(spec)
            for slo in spec.slos:
                count = groups if slo.group_by else 1.0
                for metric, interval_ms, labels in _recorded(spec, slo, output_set.scope, parts):
                    self._add(metric, _Entry(labels=labels, matched=Matched(series=count, interval_ms=interval_ms)))
                for metric in _rare(slo):
                    rare = Matched(series=0.0, interval_ms=slo.profile.cadence.rollup_ms)
                    self._add(metric, _Entry(labels=identity(spec, slo, output_set.scope), matched=rare))
            for profile in {slo.profile.name: slo.profile for slo in spec.slos}.values():
                labels = {names.SCOPE: output_set.scope, names.PROFILE: profile.name}
                at = Matched(series=1.0, interval_ms=profile.cadence.sum_ms)
                self._add(names.SUMMED_AT, _Entry(labels=labels, matched=at))
            for alert in spec.alerts:
                if alert.consecutive > 1:
                    labels = {names.SERVICE: spec.service, names.ALERT: alert.name}
                    self._add(
                        names.BREACH,
                        _Entry(labels=labels, matched=Matched(series=1.0, interval_ms=alert.interval_ms)),
                    )

    def _add(self, metric: str, entry: _Entry) -> None:
        self._by_metric.setdefault(metric, []).append(entry)
        self._by_slo.setdefault((metric, entry.labels.get(names.SLO, "")), []).append(entry)

    @property
    def metrics(self) -> frozenset[str] | dict[str, list[_Entry]]:
        """The names of the recorded metrics."""
        return self._by_metric

    def find(self, metric: str, matchers: Matchers) -> tuple[Matched, ...]:
        """The series that a selector on a recorded metric finds, grouped by interval."""
        key = (metric, matchers)
        if key not in self._kept:
            slo = next((value for name, op, value in matchers if name == names.SLO and op == "="), None)
            among = self._by_metric.get(metric, []) if slo is None else self._by_slo.get((metric, slo), [])
            self._kept[key] = tuple(_together(entry.matched for entry in among if _fits(entry.labels, matchers)))
        return self._kept[key]


def _fits(labels: Mapping[str, str], matchers: Matchers) -> bool:
    return all(labels.get(name, "") == value for name, op, value in matchers if op == "=")


def _together(found: Iterable[Matched]) -> Iterator[Matched]:
    by_interval: dict[int, float] = {}
    for one in found:
        by_interval[one.interval_ms] = by_interval.get(one.interval_ms, 0) + one.series
    for interval_ms, series in by_interval.items():
        yield Matched(series=series, interval_ms=interval_ms)


def _parts(spec: Spec) -> Mapping[tuple[str, int], str]:
    """The `repair` value of each SLO's gap repairs, by its name and the repair's span."""
    by_profile: dict[str, list[Slo]] = {}
    for slo in spec.slos:
        by_profile.setdefault(slo.profile.name, []).append(slo)
    return {
        (slo.name, repair.span_ms): label
        for slos in by_profile.values()
        for repair in slos[0].profile.repairs(slos[0].profile.cadence)
        for label, which in gaps.parts(len(slos), repair).items()
        for slo in slos[which]
    }


def _rare(slo: Slo) -> Iterator[str]:
    """Metrics that have a sample only while series are born or leave."""
    for kind in ("total", "errors", "good"):
        yield names.born(kind, slo.profile.cadence.rollup_ms)
        yield names.left(kind)


def is_rare(metric: str) -> bool:
    """Whether a metric has a sample only while series are born or leave."""
    return metric.endswith(":left") or ":born" in metric


def _recorded(
    spec: Spec, slo: Slo, scope: str, parts: Mapping[tuple[str, int], str]
) -> Iterator[tuple[str, int, Mapping[str, str]]]:
    """(metric, interval, labels) of every series of one SLO. Rollups of gaps are left out: the model has no gaps."""
    profile, own = slo.profile, identity(spec, slo, scope)
    pace = profile.cadence
    for kind in names.KINDS:
        yield names.base(kind, profile.base_ms), pace.fast_ms, own
        if profile.rolled_up:
            yield names.rollup(kind, pace.rollup_ms), pace.rollup_ms, own
        for repair in profile.repairs(pace):
            label = {names.REPAIR: parts[slo.name, repair.span_ms]}
            yield names.increase(kind, repair.span_ms), repair.every_ms, own
            yield names.missing(kind, repair.span_ms), repair.every_ms, own | label
        yield names.events(kind), pace.slow_ms, own
        for span in profile.spans_ms[:-1]:
            if span >= SUMMED_FROM_MS:
                yield names.summed(kind), pace.sum_ms, own | {names.WINDOW: duration_text(span)}
        yield names.summed(kind), pace.sum_ms, own | {names.WINDOW: names.BUDGET_WINDOW}
    for metric in (names.ERROR_BUDGET, names.INFO, names.ERROR_BUDGET_REMAINING):
        yield metric, pace.slow_ms, own
    yield from _of_windows(profile, own)


def _of_windows(profile: Profile, own: dict[str, str]) -> Iterator[tuple[str, int, Mapping[str, str]]]:
    """The error ratio over each window, and the events that are recorded on the way."""
    pace = profile.cadence
    windows = {profile.base_ms: pace.fast_ms}
    for tier in sorted(profile.tiers, key=lambda one: not one.pages):
        for span in (tier.long_ms, tier.short_ms):
            windows.setdefault(span, pace.fast_ms if tier.pages else pace.slow_ms)
    for span, interval_ms in windows.items():
        for kind in names.KINDS:
            if span in profile.read_twice_ms(kind):
                yield names.window_events(kind, span), interval_ms, own
        yield names.ERROR_RATIO, interval_ms, own | {names.WINDOW: duration_text(span)}
    yield names.ERROR_RATIO, pace.slow_ms, own | {names.WINDOW: names.BUDGET_WINDOW}
