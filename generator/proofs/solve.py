"""Solves a query backwards: which input series make the query give a wanted value.

Works on queries in which each selector occurs once, inside operations that can be undone. These are aggregations over
one series, functions over ranges, arithmetic, and comparisons joined by `and`. For other queries, UnsolvableError names
the obstacle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import promql_parser as parser
from msgspec import Struct, field
from msgspec.structs import replace

from generator.promql import text as promql
from generator.promql.lint import walk
from generator.promql.text import Selector
from generator.proofs.series import Clock, Gauge, Gone, Signal, Slope
from generator.units import whole_ms

ORDINARY = Fraction(1000)  # the value of a divisor, for which any number but zero would do


class UnsolvableError(Exception):
    """The query cannot be solved backwards. The message names the part."""


class Demand(Struct):
    """The wanted behaviour of each selector."""

    signals: dict[Selector, Signal] = field(default_factory=dict)
    longest_range_ms: int = 0

    def ask(self, selector: Selector, signal: Signal) -> None:
        """Note a wish. Raises UnsolvableError if another wish for the selector was noted."""
        known = self.signals.get(selector)
        if known is not None and known != signal:
            raise UnsolvableError(f"{selector.text} stands there twice")
        self.signals[selector] = signal


def value(query: str, wanted: Fraction) -> Demand:
    """Wishes that make the query give `wanted`. Raises UnsolvableError."""
    demand = Demand()
    _solve(parser.parse(query), wanted, demand)
    return demand


class Comparison(Struct, frozen=True, kw_only=True):
    """One comparison of a condition: a query, an operator and a number."""

    query: Any
    op: str
    limit: Fraction

    def beyond(self, factor: Fraction) -> Fraction:
        """A value on the breaching side for a factor above 1, on the quiet side for a factor below 1."""
        return beyond(self.op, self.limit, factor)


def beyond(op: str, limit: Fraction, factor: Fraction) -> Fraction:
    """`factor` × the limit, mirrored if a breach is below. For `==` and `!=`, the limit or another value."""
    breaches = factor > 1
    if op == "==":
        return limit if breaches else _other_than(limit)
    if op == "!=":
        return _other_than(limit) if breaches else limit
    direction = 1 if op in (">", ">=") else -1
    if limit == 0:
        return Fraction(direction if breaches else -direction * (op in (">=", "<=")))
    moved = limit + direction * abs(limit) * (factor - 1)
    return max(moved, Fraction(0)) if limit > 0 else moved


def _other_than(limit: Fraction) -> Fraction:
    return Fraction(0 if limit else 1)


def comparisons(query: str) -> list[Comparison]:
    """The comparisons that a condition joins by `and`. Raises UnsolvableError for any other form."""
    found: list[Comparison] = []
    _comparisons(parser.parse(query), found)
    return found


def _comparisons(tree: Any, found: list[Comparison]) -> None:
    tree = _unwrapped(tree)
    if isinstance(tree, parser.BinaryExpr) and _op(tree) == "and":
        _comparisons(tree.lhs, found)
        _comparisons(tree.rhs, found)
        return
    if not isinstance(tree, parser.BinaryExpr) or _op(tree) not in ("==", "!=", ">", "<", ">=", "<="):
        raise UnsolvableError("it is not a comparison, nor comparisons joined by `and`")
    right, left = _constant(tree.rhs), _constant(tree.lhs)
    mirrored = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
    if right is not None:
        found.append(Comparison(query=tree.lhs, op=_op(tree), limit=right))
    elif left is not None:
        found.append(Comparison(query=tree.rhs, op=mirrored.get(_op(tree), _op(tree)), limit=left))
    else:
        raise UnsolvableError("it compares two queries with each other")


def comparison_demand(found: list[Comparison], values: list[Fraction]) -> Demand:
    """Wishes that make each comparison's query give its value. Raises UnsolvableError."""
    demand = Demand()
    for comparison, wanted in zip(found, values, strict=True):
        _solve(comparison.query, wanted, demand)
    return demand


def copies(query: str) -> dict[str, str]:
    """Each label that the query copies as a whole from another label: copy → original."""
    calls = (node for node in walk(parser.parse(query)) if isinstance(node, parser.Call))
    texts = [_texts(call) for call in calls if str(call.func.name) == "label_replace"]
    return {copy: original for copy, new, original, pattern in texts if (new, pattern) == ("$1", "(.*)")}


def _texts(call: Any) -> list[str]:
    return [str(argument.val) for argument in call.args[1:]]


# -- the tree


def _op(tree: Any) -> str:
    return str(tree.op).split()[0]


def _unwrapped(tree: Any) -> Any:
    while isinstance(tree, parser.ParenExpr):
        tree = tree.expr
    return tree


def _selector(tree: Any) -> Selector:
    if tree.offset is not None or tree.at is not None:
        raise UnsolvableError("a selector with `offset` or `@` is not undone here")
    bare = Selector(text="", metric=promql.metric(tree), matchers=tuple(promql.matchers(tree)))
    if not bare.metric:
        raise UnsolvableError("a selector names no metric")
    return replace(bare, text=promql.with_metric(bare, bare.metric))


def _constant(tree: Any) -> Fraction | None:
    tree = _unwrapped(tree)
    if isinstance(tree, parser.NumberLiteral):
        return Fraction(Decimal(repr(tree.val)))
    if isinstance(tree, parser.UnaryExpr):
        inner = _constant(tree.expr)
        return None if inner is None else -inner
    if isinstance(tree, parser.BinaryExpr):
        left, right = _constant(tree.lhs), _constant(tree.rhs)
        if left is not None and right is not None and _op(tree) in _ARITHMETIC:
            return _ARITHMETIC[_op(tree)](left, right)
    return None


_ARITHMETIC: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}
# An aggregation over one series gives the value of the series; `count` always gives 1.
_ONE_SERIES = frozenset({"sum", "avg", "min", "max"})
_HOLD = frozenset({"avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time"})


def _solve(tree: Any, wanted: Fraction, demand: Demand) -> None:
    tree = _unwrapped(tree)
    if isinstance(tree, parser.VectorSelector):
        demand.ask(_selector(tree), Gauge(value=wanted))
    elif isinstance(tree, parser.UnaryExpr):
        _solve(tree.expr, -wanted, demand)
    elif isinstance(tree, parser.AggregateExpr) and str(tree.op).split()[0] in _ONE_SERIES:
        _solve(tree.expr, wanted, demand)
    elif isinstance(tree, parser.Call):
        _solve_call(tree, wanted, demand)
    elif isinstance(tree, parser.BinaryExpr):
        _solve_binary(tree, wanted, demand)
    else:
        raise UnsolvableError(f"{type(tree).__name__} is not undone here")


def _solve_call(tree: Any, wanted: Fraction, demand: Demand) -> None:
    name = str(tree.func.name)
    argument = _unwrapped(tree.args[-1]) if tree.args else None
    if name in ("clamp_min", "clamp_max", "abs", "scalar", "vector", "max", "sort", "label_replace"):
        if name != "vector":
            _solve(tree.args[0], wanted, demand)
            return
    elif name == "absent" and wanted in (0, 1):
        demand.ask(_only_selector(argument), Gauge(value=Fraction(1)) if wanted == 0 else Gone())
        return
    elif isinstance(argument, parser.MatrixSelector):
        _solve_range(name, argument, wanted, demand)
        return
    elif isinstance(argument, parser.SubqueryExpr) and name in _HOLD:
        demand.longest_range_ms = max(demand.longest_range_ms, _ms(argument.range))
        _solve(argument.expr, wanted, demand)
        return
    raise UnsolvableError(f"{name}() is not undone here")


def _only_selector(argument: Any) -> Selector:
    if isinstance(argument, parser.VectorSelector):
        return _selector(argument)
    raise UnsolvableError("absent() of something else than a selector")


def _solve_range(name: str, argument: Any, wanted: Fraction, demand: Demand) -> None:
    found, range_ms = _selector(argument.vector_selector), _ms(argument.range)
    demand.longest_range_ms = max(demand.longest_range_ms, range_ms)
    if name in _HOLD:
        demand.ask(found, Gauge(value=wanted))
    elif name in ("rate", "irate", "deriv"):
        demand.ask(found, Slope(per_s=wanted))
    elif name in ("increase", "delta"):
        demand.ask(found, Slope(per_s=wanted * 1000 / range_ms))
    else:
        raise UnsolvableError(f"{name}() is not undone here")


def _ms(duration: Any) -> int:
    return whole_ms(duration)


def _solve_binary(tree: Any, wanted: Fraction, demand: Demand) -> None:
    op, left, right = _op(tree), _constant(tree.lhs), _constant(tree.rhs)
    if op not in _ARITHMETIC:
        raise UnsolvableError(f"`{op}` is not undone here")
    if right is not None:
        undone = {"+": wanted - right, "-": wanted + right, "/": wanted * right}
        if op == "*" and right != 0:
            undone["*"] = wanted / right
        if op in undone:
            _solve(tree.lhs, undone[op], demand)
            return
    elif left is not None:
        undone = {"+": wanted - left, "-": left - wanted}
        if op == "*" and left != 0:
            undone["*"] = wanted / left
        if op in undone:
            _solve(tree.rhs, undone[op], demand)
            return
    elif op == "/":
        _solve(tree.rhs, ORDINARY, demand)
        _solve(tree.lhs, wanted * ORDINARY, demand)
        return
    elif op == "-" and _is_time(tree.lhs):
        inner = _unwrapped(tree.rhs)
        demand.ask(_clock_selector(inner), Clock(behind_s=wanted))
        return
    raise UnsolvableError(f"`{op}` between these two is not undone here")


def _is_time(tree: Any) -> bool:
    tree = _unwrapped(tree)
    return isinstance(tree, parser.Call) and str(tree.func.name) == "time"


def _clock_selector(tree: Any) -> Selector:
    while isinstance(tree, parser.AggregateExpr) and str(tree.op).split()[0] in _ONE_SERIES:
        tree = _unwrapped(tree.expr)
    if isinstance(tree, parser.VectorSelector):
        return _selector(tree)
    raise UnsolvableError("time() less something else than a selector")
