"""Names in quotes, which Prometheus 2 cannot read: it would refuse the whole rule file."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.checks import all_queries
from generator.checks.live.api import Prometheus
from generator.model.spec import OutputSet
from generator.promql import text as promql

CODES = ("live/quoted-names",)

_READ_SINCE = (3,)


def check(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Report each query with names in quotes if this Prometheus is too old for them."""
    found = [
        query for spec in output_set.specs for query in all_queries.of_spec(spec) if promql.quotes_names(query.text)
    ]
    version = prometheus.version() if found else ()
    if not version or version >= _READ_SINCE:
        return
    shown = ".".join(map(str, version))
    for query in found:
        message = f"{query.what}.{query.role}: this Prometheus {shown} reads no names in quotes"
        hint = (
            "write names of letters, digits and `_`, as this Prometheus stores the metric, or upgrade to Prometheus 3"
        )
        problems.add("live/quoted-names", query.position, message, hint)
