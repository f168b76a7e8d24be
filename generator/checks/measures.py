"""Bounds in another unit than the metric's: percent for a ratio, or seconds for milliseconds."""

from __future__ import annotations

from decimal import Decimal

import promql_parser as parser

from freezeline.problems import Position, Problems
from generator.conditions.base import THRESHOLDS
from generator.conditions.quantile_of import QuantileOf
from generator.conditions.when import When
from generator.model.spec import OutputSet, PlainAlert
from generator.promql import text as promql
from generator.promql.labels import operator
from generator.sli.histogram import HistogramBelow
from generator.units import decimal_text

CODES = ("sli/unit",)

_SECONDS = ("_seconds", "_duration", "_latency")
_MILLISECONDS = ("_ms", "_milliseconds", "_millis")
_LONG_S = 60  # no request of a user takes a minute
_SHORT_MS = 1
_AGGREGATES = frozenset({"max", "min", "avg", "quantile"})
_COMPARES = frozenset({">", ">=", "<", "<=", "=="})


def check(output_set: OutputSet, problems: Problems) -> None:
    """Report bounds that are probably in the wrong unit."""
    for spec in output_set.specs:
        for slo in spec.slos:
            if isinstance(slo.sli, HistogramBelow):
                what = f"slos.{slo.name}.sli.below"
                _check_bound(what, slo.at("sli", "below"), slo.sli.histogram.metric, slo.sli.bound_text, problems)
        for alert in spec.alerts:
            if isinstance(alert.condition, QuantileOf):
                metric, written = alert.condition.histogram.metric, alert.condition.threshold.written
                _check_bound(f"alerts.{alert.name}", _threshold(alert), metric, written, problems)
            elif isinstance(alert.condition, When):
                _check_when(f"alerts.{alert.name}.when", alert.at("when"), alert.condition.query, problems)


def _threshold(alert: PlainAlert) -> Position:
    """Position of an alert's threshold."""
    condition = alert.condition
    op = condition.threshold.op if isinstance(condition, QuantileOf) else ""
    return alert.at(next((key for key, known in THRESHOLDS.items() if known == op), ""))


def _check_bound(what: str, position: Position, metric: str, written: str, problems: Problems) -> None:
    """A number without a unit counts in the metric's unit, which the writer may have overlooked."""
    if not written or not written[-1].isdigit():
        return
    number = Decimal(written)
    if metric.endswith(_SECONDS) and number >= _LONG_S:
        meant, own, unit = f"{written}ms", "s", "seconds"
    elif metric.endswith(_MILLISECONDS) and number < _SHORT_MS:
        meant, own, unit = f"{written}s", "ms", "milliseconds"
    else:
        return
    message = f"{what}: {written} means {written} {unit}, the unit of {metric}"
    problems.add(
        "sli/unit", position, message, f"write `{meant}`, or `{written}{own}` if you mean {unit}", warning=True
    )


def _check_when(what: str, position: Position, query: str, problems: Problems) -> None:
    """A metric named …_ratio, compared with a number that only a percentage reaches."""
    tree = promql.parse(query)
    if not isinstance(tree, parser.BinaryExpr) or operator(tree) not in _COMPARES:
        return
    metric, limit = _own_metric(tree.lhs), tree.rhs
    if metric.endswith("_ratio") and isinstance(limit, parser.NumberLiteral) and limit.val > 1:
        shown = decimal_text(Decimal(str(limit.val)))
        message = f"{what}: {metric} is a ratio between 0 and 1, but the alert compares it with {shown}"
        meant = decimal_text(Decimal(str(limit.val)).scaleb(-2))
        problems.add("sli/unit", position, message, f"write {meant} for {shown} %", warning=True)


def _own_metric(tree: parser.Expr) -> str:
    """The metric whose values reach the comparison unchanged."""
    match tree:
        case parser.ParenExpr():
            return _own_metric(tree.expr)
        case parser.AggregateExpr() if operator(tree) in _AGGREGATES:
            return _own_metric(tree.expr)
        case parser.VectorSelector():
            return promql.metric(tree)
        case _:
            return ""
