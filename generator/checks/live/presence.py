"""Metrics, labels and label values that no series in Prometheus has."""

from __future__ import annotations

from freezeline.problems import Problems, nearest
from generator.checks import all_queries, queries
from generator.checks.live.api import Prometheus
from generator.checks.queries import Query, Series
from generator.model.spec import OutputSet
from generator.promql import text as promql
from generator.promql.buckets import in_every_spelling

CODES = ("live/no-metric", "live/no-label", "live/no-series")

# No series of these roles may simply mean that no error has happened yet.
_RARE = ("bad", "increase_of", "when")


def check(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Report selectors that match no series, and name the part that does not match."""
    for spec in output_set.specs:
        for query in all_queries.of_spec(spec):
            found = [series for series in queries.read_by(query) if series.metric or series.matchers]
            if query.selector is not None and any(_exists(series.text, prometheus) for series in found):
                continue  # the histogram exists as a classic or as a native one
            for series in found if query.selector is None else found[:1]:
                if not _exists(series.text, prometheus):
                    _check_series(query, series, prometheus, problems)


def _check_series(query: Query, series: Series, prometheus: Prometheus, problems: Problems) -> None:
    what = f"{query.what}.{query.role}"
    if not series.metric:
        message = f"{what}: Prometheus has no series {series.text}"
        problems.add("live/no-series", query.position, message, "try the selector in Prometheus' expression browser")
    elif not _exists(promql.series_text(series.metric, []), prometheus):
        near = nearest(series.metric, prometheus.label_values("__name__"))
        hint = (
            f"did you mean `{near}`?"
            if near
            else "check the metric's name, and whether this Prometheus scrapes the service"
        )
        rare = query.role == "bad"
        message = f"{what}: Prometheus has no metric {series.metric}"
        problems.add("live/no-metric", query.position, message, hint, warning=rare)
    else:
        _blame(query, series, prometheus, problems)


def _blame(query: Query, series: Series, prometheus: Prometheus, problems: Problems) -> None:
    """The metric exists: report the label, or the value, that no series has."""
    what = f"{query.what}.{query.role}"
    metric = promql.series_text(series.metric, [])
    known = prometheus.labels(metric)
    for name, op, value in series.matchers:
        if name not in known and op in ("=", "=~") and value:
            near = nearest(name, known)
            listed = ", ".join(label for label in known if label != "__name__")
            hint = f"did you mean `{near}`?" if near else f"use one of its labels: {listed}"
            message = f"{what}: {series.metric} has no label {name}"
            problems.add("live/no-label", query.position, message, hint)
            return
    if query.role in _RARE:
        return
    for name, op, value in series.matchers:
        if not _exists(promql.series_text(series.metric, [promql.matcher_text(name, op, value)]), prometheus):
            values = prometheus.label_values(name, metric)
            near = nearest(value, values)
            shown = ", ".join(values[:8]) + (", …" if len(values) > 8 else "")
            hint = f"did you mean `{near}`?" if near else f"use one of the values of {name}: {shown}"
            message = f'{what}: no series of {series.metric} has {name}{op}"{value}"'
            problems.add("live/no-series", query.position, message, hint)
            return
    message = f"{what}: no series has all labels of {series.text}"
    problems.add("live/no-series", query.position, message, "remove one of the labels: each label alone exists")


def _exists(selector: str, prometheus: Prometheus) -> bool:
    """Whether any series has the labels, in whichever spelling of a bucket."""
    return prometheus.exists(in_every_spelling(selector))
