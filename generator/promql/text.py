"""PromQL as text: parsed by the library, composed without ever printing the library's tree.

The library's printer loses escapes inside matchers. Freezeline therefore composes expressions only from text that was
parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import promql_parser as parser
from msgspec import Struct

WINDOW = "$window"
MAX_OPERATIONS = 250

# Patterns that few specs need are texts: `re` compiles them at their first use.
_WINDOW = r"\$window\b"
_STRING = r'"(?:[^"\\]|\\.)*+"|\'(?:[^\'\\]|\\.)*+\'|`[^`]*+`'
_OPERATION = r"[-+*/%^<>=!(\[{]|\b(?:and|or|unless|atan2)\b"


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
    return parser.parse(over(text, "5m"))


def _check_size(text: str) -> None:
    """Refuse huge queries: the parser recurses, and thousands of nested brackets would end the whole process."""
    outside_strings = re.sub(_STRING, "", text, flags=re.DOTALL)
    operations = len(re.findall(_OPERATION, outside_strings, re.IGNORECASE))
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


@lru_cache(maxsize=1024)
def quote(text: str) -> str:
    """`text` as a PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def matchers_text(labels: dict[str, str]) -> str:
    """`{a="x",b="y"}` for equality with each label."""
    return "{" + ",".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}"


def with_metric(found: Selector, metric: str, *extra: str) -> str:
    """The selector's matchers on another metric, with extra matchers such as `le="0.3"`."""
    parts = [f"{name}{op}{quote(value)}" for name, op, value in found.matchers]
    parts += extra
    return metric + ("{" + ",".join(parts) + "}" if parts else "")


def split_comparison(text: str) -> tuple[str, str] | None:
    """The operator of the outermost comparison, and whether it has `bool`; None if the query does not compare."""
    tree = parse(text)
    while isinstance(tree, parser.ParenExpr):
        tree = tree.expr
    if not isinstance(tree, parser.BinaryExpr) or value_type(tree) != "vector":
        return None
    op = str(tree.op).split()[0]
    if op not in ("==", "!=", ">", "<", ">=", "<="):
        return None
    returns_bool = tree.modifier is not None and tree.modifier.return_bool
    return op, "bool" if returns_bool else "filter"


def indented(text: str) -> str:
    """The lines of a query, moved to the right. A text in backticks may go over lines, and is left as it is."""
    return text if "`" in text else text.replace("\n", "\n  ")


def enclosed(text: str, opening: str = "(", *more: str) -> str:
    """`text` in brackets, or as the first argument of a function, on lines of its own."""
    arguments = ",\n  ".join([indented(text), *more])
    return f"{opening}\n  {arguments}\n)"


def over(text: str, window_text: str) -> str:
    """The query with `$window` replaced."""
    return re.sub(_WINDOW, window_text, text) if WINDOW in text else text


def as_bool(text: str) -> str | None:
    """The outermost comparison with `bool`, which returns 0 or 1; None if the query does not compare.

    The position of the operator in the text is found by trying: at the right one, both sides parse to the tree's own
    sides.
    """
    found = split_comparison(text)
    if found is None:
        return None
    op, kind = found
    if kind == "bool":
        return text
    stripped = _without_brackets(text.strip())
    place = _comparison_place(stripped, op)
    if place is None:
        return None
    return f"{stripped[:place]}{op} bool{stripped[place + len(op) :]}"


def _without_brackets(text: str) -> str:
    while text.startswith("(") and text.endswith(")"):
        inner = text[1:-1].strip()
        try:
            tree = parse(inner)
        except ValueError:
            return text
        if not isinstance(tree, (parser.BinaryExpr, parser.ParenExpr)):
            return text
        text = inner
    return text


def _comparison_place(text: str, op: str) -> int | None:
    """Position of the outermost comparison's operator: the last position at which the operator is outermost."""
    start = len(text)
    while (start := text.rfind(op, 0, start)) >= 0:
        marked = f"{text[:start]}{op} bool {text[start + len(op) :]}"
        try:
            tree = parse(marked)
        except ValueError:
            continue
        if not isinstance(tree, parser.BinaryExpr) or tree.modifier is None or not tree.modifier.return_bool:
            continue
        if str(tree.op).split()[0] == op:
            return start
    return None
