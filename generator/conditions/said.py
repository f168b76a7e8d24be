"""The words of an alert's sentence: what was measured, over which time, and the limit.

`5.6 % of HTTP requests failed over 5 min; the limit is 0.5 %`: the text before the value, the text after the value, and
the limit.
"""

from __future__ import annotations

from msgspec import Struct

from generator.promql.text import Selector
from generator.units import spaced

LIMITS = {
    ">": "the limit is {}",
    ">=": "the alert begins at {}",
    "<": "the minimum is {}",
    "<=": "the alert begins at {} or less",
}

_WRITTEN = {name: name.upper() for name in ("api", "cpu", "db", "dlq", "dns", "http", "rag", "sse", "sql", "tcp", "ui")}
_WRITTEN |= {"grpc": "gRPC", "io": "I/O", "pct": "percent"}
_ENDINGS = ("_total", "_count", "_seconds", "_milliseconds", "_millis", "_ms", "_bytes")
_TARGET = frozenset({"job", "instance", "namespace", "cluster"})
"""Labels that say where something was measured, and not what was measured."""


class Said(Struct, frozen=True, kw_only=True):
    """A sentence in parts. `limit` is "" where a query has no constant limit."""

    before: str
    after: str
    limit: str


def limit(op: str, text: str) -> str:
    """`the limit is 0.5 %`."""
    return LIMITS[op].format(spaced(text))


def words(metric: str) -> str:
    """A metric's name as words: `http_requests_total` becomes `HTTP requests`."""
    for ending in _ENDINGS:
        metric = metric.removesuffix(ending)
    return " ".join(_WRITTEN.get(word, word) for word in metric.replace(":", "_").split("_") if word)


def measured(selector: Selector) -> str:
    """What a selector measures, as words: `HTTP requests (code 429)`."""
    told = ", ".join(
        f"{label} {value}" if op == "=" else f"{label}{op}{value}"
        for label, op, value in selector.matchers
        if label not in _TARGET
    )
    return f"{words(selector.metric)} ({told})" if told else words(selector.metric)


def with_unit(written: str, metric: str) -> str:
    """A limit with the unit in which the metric is named, where the spec writes a bare number: `60000` of `_ms`."""
    if not written.replace(".", "").isdigit():
        return written
    name = metric.removesuffix("_total")
    if name.endswith(("_ms", "_milliseconds", "_millis")):
        return f"{written} ms"
    if name.endswith("_seconds"):
        return f"{written} s"
    return f"{written} B" if name.endswith("_bytes") else written
