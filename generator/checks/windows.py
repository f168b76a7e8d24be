"""Ranges against the scrape interval, and windows against Prometheus' retention."""

from __future__ import annotations

from collections.abc import Iterator

from freezeline.problems import Position, Problems
from generator.checks import queries
from generator.conditions.when import When
from generator.model.spec import OutputSet, Slo, Spec
from generator.promql import text as promql
from generator.sli.error_ratio import ErrorRatio
from generator.sli.time_slices import TimeSlices
from generator.units import MS, duration_text

CODES = ("window/scrape", "window/retention", "window/fixed", "window/slice")

SCRAPES_WANTED = 4  # one missed scrape, and one scrape just outside the range, still leave two samples
SCRAPES_NEEDED = 2  # a rate needs two samples
_SENTINEL_MS = 7_919_027 * MS  # stands for `$window`: no spec writes this range


def check(output_set: OutputSet, problems: Problems) -> None:
    """Report ranges that hold too few samples, and windows that reach beyond the retention."""
    for spec in output_set.specs:
        _check_base(spec, problems)
        for what, position, range_ms in _ranges(spec):
            _check_range(what, position, range_ms, spec.defaults.scrape_ms, problems)
        for slo in spec.slos:
            _check_fixed(slo, problems)
            _check_slice(slo, spec.defaults.scrape_ms, problems)
        _check_retention(spec, problems)


def _check_base(spec: Spec, problems: Problems) -> None:
    """The base window is the same for all SLOs of a profile. The check reports it once for each spec."""
    rated = [slo for slo in spec.slos if not isinstance(slo.sli, TimeSlices)]
    shortest = min(rated, key=lambda slo: slo.profile.base_ms, default=None)
    if shortest is not None:
        base_ms = shortest.profile.base_ms
        _check_range(
            f"the base window of slos.{shortest.name}", shortest.position, base_ms, spec.defaults.scrape_ms, problems
        )


def _check_range(what: str, position: Position, range_ms: int, scrape_ms: int, problems: Problems) -> None:
    if range_ms >= SCRAPES_WANTED * scrape_ms:
        return
    shown, scrape = duration_text(range_ms), duration_text(scrape_ms)
    wanted = duration_text(SCRAPES_WANTED * scrape_ms)
    hint = f"write {wanted} or more, or scrape every {duration_text(range_ms // SCRAPES_WANTED)}"
    if range_ms < SCRAPES_NEEDED * scrape_ms:
        message = f"{what}: {shown} holds fewer than two scrapes of {scrape}, too few for a rate"
        problems.add("window/scrape", position, message, hint)
    else:
        message = f"{what}: {shown} is less than four scrapes of {scrape}, so a missed scrape leaves a hole"
        problems.add("window/scrape", position, message, hint, warning=True)


def _ranges(spec: Spec) -> Iterator[tuple[str, Position, int]]:
    """Every range in the spec's own text: (owner, position, range)."""
    for alert in spec.alerts:
        over_ms = getattr(alert.condition, "over_ms", None)
        if over_ms is not None:
            yield f"alerts.{alert.name}.over", alert.at("over"), over_ms
        elif isinstance(alert.condition, When):
            for range_ms in queries.ranges_ms(alert.condition.query)[:1]:
                yield f"alerts.{alert.name}.when", alert.at("when"), range_ms
    if spec.canary is not None or spec.gate is not None or spec.policy:
        from generator.checks import all_queries

        for query in all_queries.others(spec):
            for range_ms in queries.ranges_ms(query.text)[:1]:
                yield query.what, query.position, range_ms


def _check_fixed(slo: Slo, problems: Problems) -> None:
    """Warn of a query that Freezeline evaluates over many windows, but that has a range of its own."""
    for query in queries.of_slo(slo):
        if query.selector is not None or isinstance(slo.sli, TimeSlices):
            continue
        marked = promql.over(query.text, duration_text(_SENTINEL_MS))
        fixed = [range_ms for range_ms in queries.ranges_ms(marked) if range_ms != _SENTINEL_MS]
        if fixed:
            message = f"{query.what}.{query.role} has a fixed range of {duration_text(fixed[0])}"
            hint = f"write `[$window]`: Freezeline evaluates the query over {duration_text(slo.profile.base_ms)}"
            if isinstance(slo.sli, ErrorRatio) or promql.WINDOW in query.text:
                problems.add("window/fixed", query.position, message, hint, warning=True)


def _check_slice(slo: Slo, scrape_ms: int, problems: Problems) -> None:
    if isinstance(slo.sli, TimeSlices) and slo.sli.slice_ms < scrape_ms:
        message = f"slos.{slo.name}.sli.slice is {duration_text(slo.sli.slice_ms)}, shorter than the scrape interval"
        hint = f"write `slice: {duration_text(scrape_ms)}` or more"
        problems.add("window/slice", slo.at("sli", "slice"), message, hint)


def _check_retention(spec: Spec, problems: Problems) -> None:
    retention_ms = spec.defaults.retention_ms
    if retention_ms is None:
        return
    for what, position, range_ms in longest_reads(spec):
        if range_ms > retention_ms:
            message = (
                f"{what} reads {duration_text(range_ms)} back, but Prometheus keeps only {duration_text(retention_ms)}"
            )
            problems.add("window/retention", position, message, RETENTION_HINT)


RETENTION_HINT = "raise --storage.tsdb.retention.time of Prometheus, or write a shorter `window`"


def longest_reads(spec: Spec) -> Iterator[tuple[str, Position, int]]:
    """How far back each SLO and alert reads: (owner, position, range)."""
    for slo in spec.slos:
        spans = [slo.profile.window.range_ms, *(tier.long_ms for tier in slo.profile.tiers)]
        yield f"slos.{slo.name}", slo.at("window"), max(spans)
    for alert in spec.alerts:
        over_ms = getattr(alert.condition, "over_ms", None)
        spans = queries.ranges_ms(alert.condition.query) if isinstance(alert.condition, When) else []
        if over_ms is not None or spans:
            yield f"alerts.{alert.name}", alert.position, over_ms if over_ms is not None else spans[-1]
