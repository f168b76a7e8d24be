"""PromQL as text: parsed by the library, composed without ever printing the library's tree.

The library's printer loses escapes inside matchers. Freezeline therefore composes expressions only from text that was
parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import promql_parser as parser
from msgspec import Struct

from generator.promql.parts import COMPARISONS, Operation, operation
from generator.promql.tokens import STRING

WINDOW = "$window"
MAX_OPERATIONS = 250

# Patterns that few specs need are texts: `re` compiles them at their first use.
_STRING_OR_COMMENT = rf"(?s)({STRING})|\s*#[^\n]*"
_QUOTED_NAME = (
    rf"(?si)[{{,]\s*(?:{STRING})\s*(?:[=!}}])|\{{\s*(?:{STRING})\s*,"
    r"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*[\"']"
)
_WINDOW = r"\$window\b"
_OPERATION = r"(?i)[-+*/%^<>=!(\[{]|\b(?:and|or|unless|atan2)\b"


class Fault(Struct, frozen=True, kw_only=True):
    """The reason why a text is not the wanted PromQL."""

    code: str
    message: str
    hint: str = ""
    warning: bool = False


class Selector(Struct, frozen=True, kw_only=True):
    """A plain series selector: metric name and matchers `(label, op, value)`."""

    text: str
    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@lru_cache(maxsize=256)
def parse(text: str) -> parser.Expr:
    """The expression's tree; `$window` counts as a range of 5m. Raises ValueError."""
    if len(text) > MAX_OPERATIONS:
        _check_size(text)
    return parser.parse(over(clean(text), "5m"))


def _check_size(text: str) -> None:
    """Refuse huge queries: the parser recurses, and thousands of nested brackets would end the whole process."""
    operations = len(re.findall(_OPERATION, re.sub(rf"(?s){STRING}", "", text)))
    if operations > MAX_OPERATIONS:
        raise ValueError(
            f"the query has {operations} operations and brackets; Freezeline reads at most {MAX_OPERATIONS}"
        )


# Metric, then matchers of plain texts or surely valid patterns: the form of most selectors. The name must contain `_`,
# as all exporters' names do; the listed names are the only keywords of PromQL with `_`.
_SIMPLE = re.compile(
    r'([a-zA-Z:][a-zA-Z0-9:]*_[a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*(?:!?=|[=!]~)"[\w .|/:-]*",?)+)\})?', re.ASCII
)
_SIMPLE_MATCHER = re.compile(r'([a-zA-Z_]\w*)(!?=|[=!]~)"([\w .|/:-]*)"(,?)', re.ASCII)
_KEYWORDS = frozenset({"group_left", "group_right", "count_values", "limit_ratio", "fill_left", "fill_right"})


@lru_cache(maxsize=256)
def simple_selector(text: str) -> Selector | None:
    """The parts of a selector in its plainest form; None for any other text. Most are plain, and need no parser."""
    match = _SIMPLE.fullmatch(text)
    if match is None or match[1].lower() in _KEYWORDS:
        return None
    found = _SIMPLE_MATCHER.findall(match[2] or "")
    # Every matcher but the last ends with a comma. Names and empty matches have rules of their own.
    if any(not comma for *_, comma in found[:-1]) or any(name == "__name__" for name, *_ in found):
        return None
    return Selector(text=text, metric=match[1], matchers=tuple((name, op, value) for name, op, value, _ in found))


# The matchers of a named selector, in their plainest form. A value of these characters is a valid pattern, too.
_MATCHERS = re.compile(r'\{(?<=[\w:]\{)(?:(?!__name__)[a-zA-Z_]\w*(?:!?=|[=!]~)"[\w .|/:-]*"(?:,|(?=\})))+\}', re.ASCII)


def shape(text: str) -> str:
    """The expression with the same matchers in the place of all plain matchers behind a metric's name.

    Plain matchers can replace each other wherever they stand. An expression therefore parses exactly if its shape does.
    """
    return _MATCHERS.sub('{y="z"}', text)


def value_type(tree: parser.Expr) -> str:
    """`scalar`, `vector`, `matrix` or `string`, as Prometheus types the expression."""
    match tree:
        case parser.NumberLiteral():
            return "scalar"
        case parser.StringLiteral():
            return "string"
        case parser.MatrixSelector() | parser.SubqueryExpr():
            return "matrix"
        case parser.ParenExpr() | parser.UnaryExpr():
            return value_type(tree.expr)
        case parser.Call():
            return "scalar" if tree.func.return_type == parser.ValueType.Scalar else "vector"
        case parser.BinaryExpr():
            both = {value_type(tree.lhs), value_type(tree.rhs)}
            return "scalar" if both == {"scalar"} else "vector"
        case _:
            return "vector"


def metric(tree: parser.VectorSelector) -> str:
    """The metric that a selector names; empty without a name, or if a pattern names it."""
    if tree.name:
        return str(tree.name)
    for matcher in tree.matchers.matchers:
        if matcher.name == "__name__" and matcher.op == parser.MatchOp.Equal:
            return str(matcher.value)
    return ""


_OPS = (
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)


def selector(text: str) -> Selector:
    """The parts of a selector that `faults` accepts. Raises ValueError for any other text."""
    simple = simple_selector(text)
    if simple is not None:
        return simple
    tree = parse(text)
    if not isinstance(tree, parser.VectorSelector):
        raise ValueError(f"{text!r} is not a selector")
    return Selector(text=text, metric=metric(tree), matchers=tuple(matchers(tree)))


def matchers(tree: parser.VectorSelector) -> Iterator[tuple[str, str, str]]:
    """A selector's matchers as (label, operator, value). The metric's name is left out; a pattern for it is not."""
    for matcher in tree.matchers.matchers:
        op = _op(matcher.op)
        if matcher.name != "__name__" or op != "=":
            yield str(matcher.name), op, str(matcher.value)


def _op(op: object) -> str:
    for known, text in _OPS:
        if op == known:
            return text
    raise ValueError(f"unknown match operator {op!r}")


def clean(text: str) -> str:
    """The query without comments, and with quotes instead of backticks.

    A comment at the end would swallow the text that Freezeline writes behind the query. The parser reads backslashes in
    backticks as escapes, which Prometheus does not.
    """
    if "#" in text or "`" in text:
        text = re.sub(_STRING_OR_COMMENT, lambda found: _quoted(found[1]) if found[1] else "", text)
    return text.strip()


def _quoted(literal: str) -> str:
    return quote(literal[1:-1]) if literal.startswith("`") else literal


@lru_cache(maxsize=1024)
def quote(text: str) -> str:
    """`text` as a PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def is_label_name(text: str) -> bool:
    """Whether the text can name a Prometheus label or an alert: ASCII letters, digits and `_`, no digit first."""
    return text.isascii() and text.isidentifier()


def label_name(name: str) -> str:
    """A label's name as PromQL writes names: in quotes if Prometheus 2 would not know it as a name."""
    return name if is_label_name(name) else quote(name)


def quotes_names(text: str) -> bool:
    """Whether the query has a metric's or label's name in quotes, which only Prometheus 3 reads."""
    return '"' in text and re.search(_QUOTED_NAME, text) is not None


def matchers_text(labels: dict[str, str]) -> str:
    """`{a="x",b="y"}` for equality with each label."""
    return "{" + ",".join(f"{label_name(name)}={quote(value)}" for name, value in labels.items()) + "}"


def series_text(metric: str, matchers: Iterable[str]) -> str:
    """`metric{a="x"}`; Prometheus 3 writes a metric with other characters inside the braces: `{"a.b",c="x"}`."""
    if metric and not is_label_name(metric.replace(":", "_")):
        return "{" + ",".join([quote(metric), *matchers]) + "}"
    inner = ",".join(matchers)
    return f"{metric}{{{inner}}}" if inner else metric


def matcher_text(label: str, op: str, value: str) -> str:
    """`a=~"x.*"`."""
    return f"{label_name(label)}{op}{quote(value)}"


def with_metric(found: Selector, metric: str, *extra: str) -> str:
    """The selector's matchers on another metric, with extra matchers such as `le="0.3"`."""
    return series_text(metric, [*(matcher_text(*matcher) for matcher in found.matchers), *extra])


def comparison(text: str) -> Operation | None:
    """The outermost comparison of a query that returns series; None if the query does not compare."""
    found = operation(text)
    return found if found is not None and found.op in COMPARISONS and value_type(parse(text)) == "vector" else None


def indented(text: str) -> str:
    """The lines of a query, moved to the right."""
    return text.replace("\n", "\n  ")


def enclosed(text: str, opening: str = "(", *more: str) -> str:
    """`text` in brackets, or as the first argument of a function, on lines of its own."""
    arguments = ",\n  ".join([indented(text), *more])
    return f"{opening}\n  {arguments}\n)"


def over(text: str, window_text: str) -> str:
    """The query with `$window` replaced."""
    return re.sub(_WINDOW, window_text, text) if WINDOW in text else text


def as_bool(text: str) -> str | None:
    """The outermost comparison with `bool`, which returns 0 or 1; None if the query does not compare."""
    found = comparison(text)
    if found is None or found.returns_bool:
        return text if found is not None else None
    return " ".join(part for part in (found.left, f"{found.op} bool", found.modifier, found.right) if part)
