"""Names in quotes, which Prometheus 2 and its promtool cannot read: they would refuse the whole rule file."""

from __future__ import annotations

from collections.abc import Sequence

from freezeline.problems import Problems
from generator.checks import all_queries
from generator.checks.live.api import Prometheus
from generator.checks.queries import Query
from generator.model.spec import OutputSet
from generator.promql import text as promql

CODES = ("live/quoted-names", "promtool/quoted-names")

_READ_SINCE = (3,)


def check(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Report each query with names in quotes if this Prometheus is too old for them."""
    found = _quoting(output_set)
    version = prometheus.version() if found else ()
    if version and version < _READ_SINCE:
        shown = ".".join(map(str, version))
        hint = (
            "write names of letters, digits and `_`, as this Prometheus stores the metric, or upgrade to Prometheus 3"
        )
        for query in found:
            message = f"{query.what}.{query.role}: this Prometheus {shown} reads no names in quotes"
            problems.add("live/quoted-names", query.position, message, hint)


def check_promtool(output_set: OutputSet, version: tuple[int, ...], problems: Problems) -> None:
    """Report each query with names in quotes if this promtool is too old for them."""
    if version >= _READ_SINCE:
        return
    shown = ".".join(map(str, version))
    for query in _quoting(output_set):
        message = f"{query.what}.{query.role}: promtool {shown} reads no names in quotes, and neither does Prometheus 2"
        hint = "write names of letters, digits and `_`, or give a promtool of Prometheus 3 by `--promtool`"
        problems.add("promtool/quoted-names", query.position, message, hint)


def _quoting(output_set: OutputSet) -> Sequence[Query]:
    """The queries with names in quotes."""
    specs = output_set.specs
    return [query for spec in specs for query in all_queries.of_spec(spec) if promql.quotes_names(query.text)]
