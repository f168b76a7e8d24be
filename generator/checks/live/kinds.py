"""Metrics of another kind than the spec needs: gauges as counters, summaries as histograms, percentages as ratios."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.checks import all_queries
from generator.checks.live.api import Prometheus
from generator.model.spec import OutputSet, Slo
from generator.promql import text as promql
from generator.sli.error_ratio import ErrorRatio
from generator.units import duration_text

CODES = ("live/kind", "live/ratio-range")

_COUNTED = ("bad", "good", "total", "increase_of")
_PARTS = ("_total", "_count", "_bucket", "_sum")


def check(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Compare the types that exporters declare, and the present values of ratios, with the spec."""
    for spec in output_set.specs:
        for query in all_queries.of_spec(spec):
            if query.selector is None:
                continue
            metric = query.selector.metric
            kind = declared(metric, prometheus)
            if query.role in _COUNTED and kind in ("gauge", "summary") and not _is_part(metric):
                message = f"{query.what}.{query.role}: {metric} is a {kind}, not a counter"
                hint = f"name a counter, or write a query with `$window`: every drop of a {kind} looks like a restart"
                problems.add("live/kind", query.position, message, hint, warning=True)
            elif query.role == "histogram" and kind in ("gauge", "summary", "counter"):
                message = f"{query.what}: {metric} is a {kind}, not a histogram"
                hint = "name a histogram, or write `value:` with `max:` for time slices"
                problems.add("live/kind", query.position, message, hint)
        for slo in spec.slos:
            if isinstance(slo.sli, ErrorRatio):
                _check_ratio(slo, slo.sli, prometheus, problems)


def declared(metric: str, prometheus: Prometheus) -> str:
    """The declared type of a metric; some exporters declare the name without `_total`."""
    return prometheus.kind(metric) or (prometheus.kind(metric.removesuffix("_total")) if "_total" in metric else "")


def _is_part(metric: str) -> bool:
    return metric.endswith(_PARTS)


def _check_ratio(slo: Slo, sli: ErrorRatio, prometheus: Prometheus, problems: Problems) -> None:
    window = duration_text(slo.profile.base_ms)
    values = [float(sample["value"][1]) for sample in prometheus.query(promql.over(sli.error_ratio, window))]
    wrong = [value for value in values if value < 0 or value > 1]
    if wrong:
        message = f"slos.{slo.name}: error_ratio is {max(wrong, key=abs):g} now, but a ratio lies between 0 and 1"
        hint = "divide a percentage by 100; write `1 - …` for a success ratio"
        problems.add("live/ratio-range", slo.at("sli", "error_ratio"), message, hint)
