"""A sentence for alerts that others wrote without a summary: from the alert's expression, its kind and its units.

Alertmanager passes on the address of the expression in Prometheus, `generatorURL`. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import promql_parser
from msgspec import Struct

from receiver.plaintext import plain

EXPRESSION_MAX = 1000
"""Longer expressions get no sentence of their own, and cannot nest so deep that reading one hurts."""

VALUE_MAX = 40
LABELS_SHOWN = 3
TEXTS = ("summary", "description", "message", "title")
"""Annotations that say what is wrong, the best first."""

_OPERATORS = {
    ">": "is above",
    ">=": "is at least",
    "<": "is below",
    "<=": "is at most",
    "==": "is",
    "!=": "is not",
}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
_OVER = {
    "avg_over_time": "the average of",
    "changes": "the number of changes of",
    "delta": "the change of",
    "increase": "the increase of",
    "max_over_time": "the highest",
    "min_over_time": "the lowest",
    "sum_over_time": "the sum of",
}
_AGGREGATES = {"avg": "the average of", "count": "the number of", "max": "the highest", "min": "the lowest"}
_UNITS = {"_seconds": " s", "_milliseconds": " ms", "_ms": " ms", "_bytes": " bytes", "_celsius": " °C"}
_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


class _Thing(Struct, frozen=True, kw_only=True):
    """What an expression measures, and the ending of its numbers' unit; "share" for a ratio of 0 to 1."""

    text: str
    unit: str = ""


def said(annotations: Mapping[str, str], labels: Mapping[str, str], generator_url: object) -> Mapping[str, str]:
    """The annotations, with a summary if they have none."""
    if annotations.get("summary"):
        return annotations
    written = next((annotations[name] for name in TEXTS if annotations.get(name)), "")
    return {**annotations, "summary": written or sentence(annotations, labels, generator_url)}


def sentence(annotations: Mapping[str, str], labels: Mapping[str, str], generator_url: object) -> str:
    """`the ratio of a to b over 5 min is above 0.5 % (route /pay), measured 5.6 %`, as far as anybody knows."""
    expression = _expression(generator_url)
    about, grouped = _about(expression) if expression else ("", ())
    shown = _labels(labels, grouped)
    text = f"{about}{shown}" if about else f"{labels.get('alertname', '')} fires{shown}"
    value = plain(annotations.get("value") or annotations.get("current_value") or "", VALUE_MAX)
    return f"{text}, measured {value}" if value else text


def _expression(generator_url: object) -> str:
    """The expression in a link to Prometheus' graph."""
    if not isinstance(generator_url, str) or len(generator_url) > 4 * EXPRESSION_MAX:
        return ""
    try:
        found = parse_qs(urlsplit(generator_url).query).get("g0.expr", [""])[0]
    except ValueError:
        return ""
    return found if len(found) <= EXPRESSION_MAX else ""


@functools.lru_cache(maxsize=256)
def _about(expression: str) -> tuple[str, tuple[str, ...]]:
    """What an expression says when the alert fires, and the labels by which it groups; "" for an unknown form."""
    try:
        parsed = _bare(promql_parser.parse(expression))
    except ValueError:
        return "", ()
    if isinstance(parsed, promql_parser.Call) and parsed.func.name in {"absent", "absent_over_time"}:
        return f"there is no data of {_metric(parsed.args[0]) or 'what the alert watches'}", ()
    if not isinstance(parsed, promql_parser.BinaryExpr):
        return "", ()
    operator = str(parsed.op)
    if operator == "and":
        return _about(parsed.lhs.prettify())
    left, right = _bare(parsed.lhs), _bare(parsed.rhs)
    if isinstance(left, promql_parser.NumberLiteral):
        left, right, operator = right, left, _TURNED.get(operator, "")
    thing = _thing(left)
    if operator not in _OPERATORS or not isinstance(right, promql_parser.NumberLiteral) or thing is None:
        return "", ()
    return f"{thing.text} {_OPERATORS[operator]} {_number(right.val, thing.unit)}", _grouped(left)


def _thing(parsed: promql_parser.Expr) -> _Thing | None:
    """What an expression measures, in words; None for a form that is not known."""
    parsed = _bare(parsed)
    if isinstance(parsed, promql_parser.BinaryExpr) and str(parsed.op) == "/":
        above, below = _thing(parsed.lhs), _thing(parsed.rhs)
        if above is None or below is None:
            return None
        return _Thing(text=f"the ratio of {above.text} to {below.text}", unit="share")
    if isinstance(parsed, promql_parser.AggregateExpr):
        inner = _thing(parsed.expr)
        words = _AGGREGATES.get(str(parsed.op), "")
        if inner is None or (not words and str(parsed.op) != "sum"):
            return None
        unit = "" if str(parsed.op) == "count" else inner.unit
        return _Thing(text=f"{words} {inner.text}".strip(), unit=unit)
    if isinstance(parsed, promql_parser.Call):
        return _of_call(parsed)
    metric = _metric(parsed) if isinstance(parsed, promql_parser.VectorSelector) else ""
    return _Thing(text=metric, unit=_unit(metric)) if metric else None


def _of_call(call: promql_parser.Call) -> _Thing | None:
    name = call.func.name
    if name == "histogram_quantile" and isinstance(quantile := _bare(call.args[0]), promql_parser.NumberLiteral):
        metric = _metric(call.args[1]).removesuffix("_bucket")
        text = f"the {quantile.val * 100:.6g}th percentile of {metric}{_range(call.args[1])}"
        return _Thing(text=text, unit=_unit(metric)) if metric else None
    metric = _metric(call)
    if not metric:
        return None
    if name in {"rate", "irate"}:
        return _Thing(text=f"{metric} per second{_range(call)}")
    if name in _OVER:
        unit = "" if name == "changes" else _unit(metric)
        return _Thing(text=f"{_OVER[name]} {metric}{_range(call)}", unit=unit)
    return None


def _inside(parsed: promql_parser.Expr) -> promql_parser.Expr | None:
    """The one expression inside an aggregation, or the last argument of a call."""
    parsed = _bare(parsed)
    if isinstance(parsed, promql_parser.AggregateExpr):
        return parsed.expr
    return parsed.args[-1] if isinstance(parsed, promql_parser.Call) and parsed.args else None


def _metric(parsed: promql_parser.Expr) -> str:
    """The name of the one metric of an expression, or ""."""
    parsed = _bare(parsed)
    if isinstance(parsed, promql_parser.MatrixSelector):
        parsed = parsed.vector_selector
    if isinstance(parsed, promql_parser.VectorSelector):
        return parsed.name or ""
    inside = _inside(parsed)
    return _metric(inside) if inside is not None else ""


def _range(parsed: promql_parser.Expr) -> str:
    """` over 5 min` for the range that an expression looks over, or ""."""
    parsed = _bare(parsed)
    if isinstance(parsed, promql_parser.MatrixSelector):
        seconds = parsed.range.total_seconds()
        for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
            if seconds >= size and seconds % size == 0:
                return f" over {seconds / size:g} {unit}"
        return f" over {seconds:g} s"
    inside = _inside(parsed)
    return _range(inside) if inside is not None else ""


def _grouped(parsed: promql_parser.Expr) -> tuple[str, ...]:
    """The labels of the outermost `by`."""
    parsed = _bare(parsed)
    if isinstance(parsed, promql_parser.AggregateExpr) and parsed.modifier is not None:
        by = parsed.modifier.type == promql_parser.AggModifierType.By
        return tuple(parsed.modifier.labels) if by else ()
    if isinstance(parsed, promql_parser.BinaryExpr):
        return _grouped(parsed.lhs)
    inside = _inside(parsed)
    return _grouped(inside) if inside is not None else ()


def _bare(parsed: promql_parser.Expr) -> promql_parser.Expr:
    while isinstance(parsed, promql_parser.ParenExpr):
        parsed = parsed.expr
    return parsed


def _unit(metric: str) -> str:
    base = metric.removesuffix("_total").removesuffix("_sum")
    if base.endswith("_ratio"):
        return "share"
    if base.endswith(("_percent", "_pct")):
        return " %"
    return next((unit for ending, unit in _UNITS.items() if base.endswith(ending)), "")


def _number(value: float, unit: str) -> str:
    """A limit with its unit. A ratio above 1 is no share of a whole."""
    if unit == "share":
        return f"{value * 100:.6g} %" if -1 <= value <= 1 else f"{value:.6g}"
    if unit == " bytes":
        size, word = next(((size, word) for size, word in _SIZES if abs(value) >= size), (1, "bytes"))
        return f"{value / size:.4g} {word}"
    return f"{value:.6g}{unit}"


def _labels(labels: Mapping[str, str], grouped: tuple[str, ...]) -> str:
    """` (route /pay)`: the labels that tell this alert from others of its rule."""
    wanted = grouped or ("instance",)
    told = [f"{name} {plain(labels[name], VALUE_MAX)}" for name in wanted[:LABELS_SHOWN] if labels.get(name)]
    return f" ({', '.join(told)})" if told else ""
