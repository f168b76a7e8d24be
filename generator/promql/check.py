"""Whether a text is PromQL of the wanted type, and what about it is likely a mistake."""

from __future__ import annotations

import enum

import promql_parser as parser

from generator.promql import lint as promql_lint
from generator.promql.text import Fault, metric, parse, simple_selector, value_type


class Want(enum.Enum):
    """What an expression must be where it stands."""

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
        hint = "check it in Prometheus' expression browser"
        return [Fault(code="promql/parse", message=f"PromQL does not parse: {error}", hint=hint)]
    if want is Want.SELECTOR:
        return _selector_faults(tree)
    kind = value_type(tree)
    if kind == "matrix":
        hint = "wrap the range in a function, such as rate(…)"
        return [Fault(code="promql/type", message=f"a range vector, where {want.value} is needed", hint=hint)]
    if kind == "string" or (kind == "scalar" and want is Want.VECTOR):
        return [Fault(code="promql/type", message=f"a {kind}, where {want.value} is needed", hint="use vector(…)")]
    return []


def lints(text: str) -> list[Fault]:
    """What parses and still cannot be meant, or hardly."""
    simple = simple_selector(text)
    if simple is not None:
        return promql_lint.of_selector(simple.metric, simple.matchers)
    return promql_lint.lints(parse(text))


def _selector_faults(tree: parser.Expr) -> list[Fault]:
    if not isinstance(tree, parser.VectorSelector):
        hint = "leave rate(), sum() and ranges to the generator; or write the whole query with $window"
        return [Fault(code="promql/selector", message=f"must be {Want.SELECTOR.value}", hint=hint)]
    if tree.offset is not None or tree.at is not None:
        return [Fault(code="promql/selector", message="a selector here takes no offset and no @", hint="remove it")]
    if tree.matchers.or_matchers or not metric(tree):
        hint = 'name one metric: `metric{label="value"}`'
        return [Fault(code="promql/selector", message="the selector must name one metric", hint=hint)]
    return []
