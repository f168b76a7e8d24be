"""Prometheus' own settings against the spec: retention and scrape intervals."""

from __future__ import annotations

from freezeline.problems import Position, Problems
from generator.checks import all_queries, queries
from generator.checks.live.api import Prometheus
from generator.checks.windows import RETENTION_HINT, longest_reads
from generator.model.spec import OutputSet, Spec
from generator.units import duration_text, parse_duration_ms

CODES = ("live/retention", "live/scrape")


def check(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Report windows beyond Prometheus' retention, and a `scrape` that is not the real interval."""
    kept = _retention_ms(prometheus.retention())
    intervals = prometheus.scrape_intervals()
    for spec in output_set.specs:
        if kept is not None:
            for what, position, range_ms in longest_reads(spec):
                if range_ms > kept:
                    message = (
                        f"{what} reads {duration_text(range_ms)} back, but Prometheus keeps only {duration_text(kept)}"
                    )
                    problems.add("live/retention", position, message, RETENTION_HINT)
        _check_scrape(spec, prometheus, intervals, problems)


def _retention_ms(text: str) -> int | None:
    """The time part of `15d or 10GiB`; None if only the size is limited."""
    for part in text.split(" or "):
        try:
            return parse_duration_ms(part.strip())
        except ValueError:
            continue
    return None


def _check_scrape(spec: Spec, prometheus: Prometheus, intervals: dict[str, str], problems: Problems) -> None:
    """Warn of a job that Prometheus scrapes less often than the spec says: windows would hold too few samples."""
    jobs: dict[str, Position] = {}
    for query in all_queries.of_spec(spec):
        for series in queries.read_by(query):
            if (series.metric or series.matchers) and prometheus.exists(series.text):
                for job in prometheus.label_values("job", series.text):
                    jobs.setdefault(job, query.position)
    for job, position in jobs.items():
        try:
            interval_ms = parse_duration_ms(intervals.get(job, ""))
        except ValueError:
            continue  # this Prometheus does not scrape the job itself
        if interval_ms > spec.defaults.scrape_ms:
            real, said = duration_text(interval_ms), duration_text(spec.defaults.scrape_ms)
            message = f"Prometheus scrapes the job {job} every {real}, but the spec says {said}"
            problems.add("live/scrape", position, message, f"write `defaults: {{scrape: {real}}}`", warning=True)
