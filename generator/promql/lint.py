"""Valid PromQL that cannot be meant: sides that never match, quantiles without `le`, rates of rates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType

import promql_parser as parser

from generator.promql import text as promql
from generator.promql.labels import Facts, facts, labels_of, mismatch, operator
from generator.promql.text import Fault

_RATES = frozenset({"rate", "irate", "increase"})
_RECORDED_RATE = r":(?:rate|irate|increase)(?:\d|$)"
_LIKE_A_PATTERN = r"[1-5]\.\.?|.*\.[*+].*|.*\w\|\w.*"
# Names before 0.2.0, and their new names.
_OUR_SERIES = "slo:"
_OLD_ROLLUP = r"t(\d+[smhd]):(total|errors):rate\d+[smhd]"
_RENAMED_LABELS = MappingProxyType({"period": "profile", "part": "repair"})
_TARGET_LABELS = ("instance", "job")


def is_recorded_rate(metric: str) -> bool:
    """Whether the metric's name says that a rule recorded it as a rate, as in `job:requests:rate5m`."""
    return ":" in metric and re.search(_RECORDED_RATE, metric) is not None


def lints(tree: parser.Expr) -> list[Fault]:
    """Every likely mistake in an expression, each once."""
    found: list[Fault] = []
    if not isinstance(tree, parser.VectorSelector):
        facts(tree, lambda node, left, right: found.extend(_never_match(node, left, right)))
    found += [lint for node in walk(tree) for check in _CHECKS for lint in check(node)]
    return list(dict.fromkeys(found))


def walk(tree: parser.Expr) -> Iterator[parser.Expr]:
    """The expression and all its parts, outermost first."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        match node:
            case parser.BinaryExpr():
                pending += [node.rhs, node.lhs]
            case parser.Call():
                pending += reversed(node.args)
            case parser.AggregateExpr():
                pending += [node.expr] if node.param is None else [node.expr, node.param]
            case parser.ParenExpr() | parser.UnaryExpr() | parser.SubqueryExpr():
                pending.append(node.expr)
            case parser.MatrixSelector():
                pending.append(node.vector_selector)
            case _:
                pass


def _never_match(node: parser.BinaryExpr, left: Facts, right: Facts) -> Iterator[Fault]:
    name = operator(node)
    if name == "or" or not (left.vector and right.vector):
        return
    label = mismatch(node, left.labels, right.labels)
    if label:
        hint = f"aggregate both sides by the same labels, or write `{name} on (…)` with the labels that both have"
        yield Fault(
            code="promql/never-matches",
            message=f"the two sides of `{name}` can never match: only one side has the label {label}",
            hint=hint,
        )
        return
    if name in ("and", "unless") or (node.modifier is not None and node.modifier.matching is not None):
        return
    for one, other in ((left, right), (right, left)):
        exact = other.labels.exact
        if one.raw and exact is not None and not exact & set(_TARGET_LABELS):
            hint = f"aggregate both sides by the same labels, or write `{name} on (…) group_left ()`"
            yield Fault(
                code="promql/never-matches",
                message=f"one side of `{name}` has labels of {one.raw} that the aggregate on the other side lacks",
                hint=hint,
                warning=True,
            )


def _quantile_without_le(node: parser.Expr) -> Iterator[Fault]:
    if not isinstance(node, parser.Call) or str(node.func.name) != "histogram_quantile" or len(node.args) != 2:
        return
    buckets = [
        str(part.name)
        for part in walk(node.args[1])
        if isinstance(part, parser.VectorSelector) and str(part.name or "").endswith("_bucket")
    ]
    if buckets and not labels_of(node.args[1]).may_have("le"):
        yield Fault(
            code="promql/le",
            message=f"histogram_quantile needs the label le, which the query drops from {buckets[0]}",
            hint=f"write `sum by (le) (rate({buckets[0]}[5m]))`",
        )


def _rate_of_rate(node: parser.Expr) -> Iterator[Fault]:
    if not isinstance(node, parser.Call) or str(node.func.name) not in _RATES or not node.args:
        return
    name, over = str(node.func.name), node.args[0]
    if isinstance(over, parser.MatrixSelector) and is_recorded_rate(str(over.vector_selector.name or "")):
        recorded = str(over.vector_selector.name)
        yield Fault(
            code="promql/rate-of-rate",
            message=f"the query takes the {name} of {recorded}, which is a recorded rate",
            hint=f"write `avg_over_time({recorded}[5m])`",
        )
    if not isinstance(over, parser.SubqueryExpr):
        return
    inner = over.expr
    while isinstance(inner, parser.ParenExpr):
        inner = inner.expr
    if isinstance(inner, parser.AggregateExpr):
        yield Fault(
            code="promql/rate-of-aggregate",
            message=f"the query takes the {name} of an aggregate, where one restart looks like a restart of all",
            hint=f"write `{operator(inner)}({name}(…[5m]))` instead of `{name}({operator(inner)}(…))`",
            warning=True,
        )
    elif isinstance(inner, parser.Call) and str(inner.func.name) in _RATES:
        hint = "write only one rate, with the range that you mean"
        message = f"the query takes the {name} of a rate"
        yield Fault(code="promql/rate-of-rate", message=message, hint=hint)


def _pattern_as_text(node: parser.Expr) -> Iterator[Fault]:
    if isinstance(node, parser.VectorSelector):
        yield from of_selector(promql.metric(node), promql.matchers(node))


def of_selector(metric: str, matchers: Iterable[tuple[str, str, str]]) -> list[Fault]:
    """Likely mistakes in a selector, given by its metric and its matchers (label, operator, value)."""
    found = list(_renamed_metric(metric))
    for name, op, value in matchers:
        if metric.startswith(_OUR_SERIES) and name in _RENAMED_LABELS:
            found.append(_renamed(f"label `{name}`", _RENAMED_LABELS[name]))
        if op in ("=", "!=") and ("." in value or "|" in value) and re.fullmatch(_LIKE_A_PATTERN, value):
            wanted = "=~" if op == "=" else "!~"
            message = f'{name}{op}"{value}" compares with the literal text "{value}", which looks like a pattern'
            hint = f'write `{name}{wanted}"{value}"` for a pattern'
            found.append(Fault(code="promql/pattern-as-text", message=message, hint=hint, warning=True))
    return found


def _renamed_metric(metric: str) -> Iterator[Fault]:
    old = re.fullmatch(_OLD_ROLLUP, metric) if ":" in metric else None
    if old is not None:
        span, kind = old.groups()
        yield _renamed(f"series `{metric}`", f"slo:{kind}:rollup{span}")


def _renamed(what: str, name: str) -> Fault:
    return Fault(code="promql/renamed", message=f"the {what} is called `{name}` now", hint=f"write `{name}`")


_CHECKS: tuple[Callable[[parser.Expr], Iterator[Fault]], ...] = (
    _quantile_without_le,
    _rate_of_rate,
    _pattern_as_text,
)
