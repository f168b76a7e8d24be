"""Whether a text is PromQL of the wanted type, and which parts of a valid query are likely mistakes."""

from __future__ import annotations

import enum

import promql_parser as parser

from generator.promql import lint as promql_lint
from generator.promql.text import Fault, metric, parse, simple_selector, value_type


class Want(enum.Enum):
    """The type of expression that a key of a spec needs."""

    SELECTOR = 'a plain series selector such as `http_requests_total{code="500"}`'
    VECTOR = "an instant vector"
    NUMBER = "an instant vector or a number"


def faults(text: str, want: Want) -> list[Fault]:
    """Every reason why `text` is not PromQL of the wanted type; `$window` counts as a range of 5m."""
    if simple_selector(text) is not None:
        return []
    try:
        tree = parse(text)
    except ValueError as error:
        hint = "correct the query in Prometheus' expression browser, then copy the corrected query"
        return [Fault(code="promql/parse", message=f"PromQL does not parse: {error}", hint=hint)]
    if want is Want.SELECTOR:
        return _selector_faults(tree)
    kind = value_type(tree)
    if kind == "matrix":
        hint = "write a function around the range, such as `rate(…[5m])`"
        return [
            Fault(
                code="promql/type",
                message=f"the query returns a range vector, but the key needs {want.value}",
                hint=hint,
            )
        ]
    if kind == "string" or (kind == "scalar" and want is Want.VECTOR):
        return [
            Fault(
                code="promql/type",
                message=f"the query returns a {kind}, but the key needs {want.value}",
                hint="write a query instead of the text" if kind == "string" else "write `vector(…)` around the number",
            )
        ]
    return []


def lints(text: str) -> list[Fault]:
    """Valid PromQL that cannot be meant, or is hardly meant."""
    simple = simple_selector(text)
    if simple is not None:
        return promql_lint.of_selector(simple.metric, simple.matchers)
    return promql_lint.lints(parse(text))


def _selector_faults(tree: parser.Expr) -> list[Fault]:
    if not isinstance(tree, parser.VectorSelector):
        hint = (
            "write only the selector: Freezeline adds rate(), sum() and ranges; or write the whole query with $window"
        )
        return [Fault(code="promql/selector", message=f"the query must be {Want.SELECTOR.value}", hint=hint)]
    if tree.offset is not None or tree.at is not None:
        return [
            Fault(
                code="promql/selector", message="the selector has an `offset` or an `@`", hint="remove `offset` and `@`"
            )
        ]
    if tree.matchers.or_matchers or not metric(tree):
        hint = 'write one metric: `metric{label="value"}`'
        return [
            Fault(
                code="promql/selector",
                message="the selector names no metric, or names the metric by a pattern",
                hint=hint,
            )
        ]
    return []
