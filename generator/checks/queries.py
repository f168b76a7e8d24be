"""The queries of a spec, each with the key that holds it, and the series that each query reads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import promql_parser as parser
from msgspec import Struct

from freezeline.problems import Position
from generator.conditions import Condition
from generator.conditions.increase_of import ChangesOf, IncreaseOf
from generator.conditions.quantile_of import QUANTILES, QuantileOf
from generator.conditions.ratio import Ratio
from generator.conditions.when import When
from generator.model.spec import PlainAlert, Slo
from generator.promql import text as promql
from generator.promql.lint import walk
from generator.promql.text import Selector
from generator.reading.source import Value, place
from generator.sli import Sli
from generator.sli.bad_total import BadTotal
from generator.sli.error_ratio import ErrorRatio
from generator.sli.good_total import GoodTotal
from generator.sli.histogram import HistogramBelow
from generator.sli.time_slices import TimeSlices
from generator.units import whole_ms

# Roles whose query stands under another path of keys.
_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"good_when": ("good_when", "value"), "histogram": ("histogram", *QUANTILES)}
)


class Query(Struct, frozen=True, kw_only=True):
    """A selector or a free query. `role` is the query's key, `owner` the section and name around it."""

    role: str
    source: Selector | str
    owner: tuple[str, str]
    place: Value | Position  # the owner as the spec writes it, or the query's position
    path: tuple[str, ...] = ()

    @property
    def selector(self) -> Selector | None:
        """The selector; None for a free query."""
        return self.source if isinstance(self.source, Selector) else None

    @property
    def text(self) -> str:
        """The query as the spec writes it."""
        return self.source.text if isinstance(self.source, Selector) else self.source

    @property
    def what(self) -> str:
        """The query's owner in messages."""
        section, name = self.owner
        return f"{section}.{name}.sli" if section == "slos" else f"{section}.{name}"

    @property
    def position(self) -> Position:
        """The query's position."""
        return self.place if isinstance(self.place, Position) else _where(self.place, self.path, self.role)


class Series(Struct, frozen=True, kw_only=True):
    """A series selector inside a query. `range_ms` is None if the query reads the series at one instant."""

    metric: str  # empty if the selector names the metric only by a pattern
    matchers: tuple[tuple[str, str, str], ...]
    range_ms: int | None

    @property
    def text(self) -> str:
        """The selector as PromQL."""
        return promql.series_text(self.metric, [promql.matcher_text(*matcher) for matcher in self.matchers])


def of_slo(slo: Slo) -> tuple[Query, ...]:
    """The queries of an SLO's SLI."""
    owner = ("slos", slo.name)
    parts = _parts_of_sli(slo.sli)
    return tuple(
        Query(role=role, source=source, owner=owner, place=slo.written, path=("sli",)) for role, source in parts
    )


def _where(written: Value, path: tuple[str, ...], role: str) -> Position:
    parent = place(written, *path)
    found = (place(written, *path, key) for key in _KEYS.get(role, (role,)))
    return next((position for position in found if position != parent), parent)


def _parts_of_sli(sli: Sli) -> list[tuple[str, Selector | str]]:
    match sli:
        case BadTotal():
            parts: list[tuple[str, Selector | str]] = [("bad", sli.bad), ("total", sli.total)]
        case GoodTotal():
            parts = [("good", sli.good), ("total", sli.total)]
        case HistogramBelow():
            parts = [("histogram", sli.histogram)]
        case ErrorRatio():
            parts = [("error_ratio", sli.error_ratio)]
            if sli.weight:
                parts.append(("weight", sli.weight))
        case TimeSlices():
            parts = [("good_when", sli.good)]
        case _:
            parts = []
    return parts


def of_alert(alert: PlainAlert) -> tuple[Query, ...]:
    """The queries of a plain alert."""
    parts = _parts_of_condition(alert.condition)
    owner = ("alerts", alert.name)
    path: tuple[str, ...] = ("ratio",) if isinstance(alert.condition, Ratio) else ()
    return tuple(Query(role=role, source=source, owner=owner, place=alert.written, path=path) for role, source in parts)


def _parts_of_condition(condition: Condition) -> list[tuple[str, Selector | str]]:
    match condition:
        case When():
            parts: list[tuple[str, Selector | str]] = [("when", condition.query)]
        case Ratio():
            parts = [("bad", condition.bad), ("total", condition.total)]
        case IncreaseOf():
            parts = [("increase_of", condition.counter)]
        case ChangesOf():
            parts = [("changes_of", condition.series)]
        case QuantileOf():
            parts = [("histogram", condition.histogram)]
        case _:
            parts = []
    return parts


def series(text: str) -> tuple[Series, ...]:
    """Every series selector in a query that parses, each once. `$window` counts as a range of 5m."""
    found = []
    range_ms: int | None = None
    for node in walk(promql.parse(text)):
        if isinstance(node, parser.MatrixSelector):
            range_ms = whole_ms(node.range)  # the selector inside comes next
        elif isinstance(node, parser.VectorSelector):
            matchers = tuple(promql.matchers(node))
            found.append(Series(metric=promql.metric(node), matchers=matchers, range_ms=range_ms))
            range_ms = None
    return tuple(dict.fromkeys(found))


def read_by(query: Query) -> tuple[Series, ...]:
    """The series in Prometheus that a query reads; placeholders such as `$canary` are left out.

    A classic histogram is read by its count, a native one by its own name: the answer has both.
    """
    if query.selector is None:
        return tuple(_filled(one) for one in series(query.text))
    suffixes = ("_count", "") if query.role == "histogram" else ("",)
    matchers = query.selector.matchers
    return tuple(Series(metric=query.selector.metric + suffix, matchers=matchers, range_ms=None) for suffix in suffixes)


def _filled(found: Series) -> Series:
    matchers = tuple(matcher for matcher in found.matchers if not matcher[2].startswith("$"))
    return Series(metric=found.metric, matchers=matchers, range_ms=found.range_ms)


def ranges_ms(text: str) -> list[int]:
    """The ranges over which a query reads series, shortest first. Subqueries do not count."""
    nodes = walk(promql.parse(text))
    return sorted({whole_ms(node.range) for node in nodes if isinstance(node, parser.MatrixSelector)})
