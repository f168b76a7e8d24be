"""Foreign PromQL as an SLI: selectors if a query plainly counts events, else queries with `$window`.

Selectors are worth the effort: only with selectors can Freezeline count new series from zero and repair gaps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import promql_parser as parser
from msgspec import Struct, field

from generator.imports import reserved
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.lint import walk
from generator.promql.text import WINDOW, Selector
from generator.text.yaml_text import Plain
from generator.units import parse_decimal

_TEMPLATE_WINDOW = re.compile(r"\{\{-?\s*\.[wW]indow\s*-?\}\}")
_ZERO_TAIL = re.compile(r"\s+or\s+(?:on\s*\(\s*\)\s*)?vector\s*\(\s*0\s*\)\s*$", re.IGNORECASE)
_COUNTED = re.compile(
    r"sum\s*(?:by\s*\((?P<by>[^()]*)\)\s*)?"
    r"\(\s*(?P<function>rate|increase)\s*\(\s*(?P<selector>.+?)\s*\[\s*(?P<range>[^\[\]]+?)\s*\]\s*\)\s*\)"
    r"(?:\s*by\s*\((?P<after>[^()]*)\))?",
    re.DOTALL,
)
_SUMMED = re.compile(r"sum\s*\(\s*(?P<selector>.+)\)", re.DOTALL)
_STRING_OR_INCREASE = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\bincrease(?=\s*\()')
_FIXED_RANGE = re.compile(r"\[\s*(\d[0-9a-z]*)\s*\]")
_SENTINEL = "7m13s"  # stands for `$window`: no spec writes this range
_SENTINEL_RANGE = timedelta(minutes=7, seconds=13)


class QueryError(ValueError):
    """A query that cannot be imported. The message says why; a hint may follow after a line break."""


class Counted(Struct, frozen=True, kw_only=True):
    """What `sum by (…) (rate(selector[…]))` counts."""

    selector: Selector
    by: tuple[str, ...]


class Mapped(Struct, frozen=True, kw_only=True):
    """An SLI, the labels to group by, and notes for a person.

    `counts`: the query does not give events per second. `renamed`: labels of groups that have another name now.
    """

    sli: Mapping[str, Plain]
    group_by: tuple[str, ...] = ()
    counts: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)


def windowed(text: str) -> str:
    """The query with `$window` for the other tool's placeholder. Raises QueryError if the query is not PromQL."""
    query = _TEMPLATE_WINDOW.sub(WINDOW, text).strip()
    if "{{" in query:
        raise QueryError("the query has a template besides {{.window}}\nwrite the template's value into the query")
    for fault in faults(query, Want.NUMBER):
        raise QueryError(f"{fault.message}\n{fault.hint}")
    return query


def counted(text: str, *, any_range: bool = False) -> Counted | None:
    """The selector that a query plainly counts, else None. With `any_range`, `[5m]` counts as `[$window]`."""
    found = _COUNTED.fullmatch(without_brackets(text))
    if found is None or (found["range"] != WINDOW and not any_range):
        return None
    return _as_counted(found["selector"], found["by"] or found["after"] or "")


def counted_counter(text: str) -> Counted | None:
    """The selector of a bare counter, or of a sum of counters, as OpenSLO's `counter: true` writes it."""
    bare = without_brackets(text)
    found = _SUMMED.fullmatch(bare)
    return _as_counted(found["selector"] if found else bare, "")


def _as_counted(selector: str, by: str) -> Counted | None:
    selector = without_brackets(selector)
    if faults(selector, Want.SELECTOR):
        return None
    labels = tuple(sorted(label.strip() for label in by.split(",") if label.strip()))
    return Counted(selector=promql.selector(selector), by=labels)


def without_brackets(text: str) -> str:
    """The query without brackets around the whole text."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and _parses(text[1:-1]):
        text = text[1:-1].strip()
    return text


def _parses(text: str) -> bool:
    try:
        promql.parse(text)
    except ValueError:
        return False
    return True


def without_zero_tail(text: str) -> str:
    """The query without `or vector(0)`: Freezeline counts a missing error series as no errors anyway."""
    bare = without_brackets(text)
    cut = _ZERO_TAIL.sub("", bare)
    return without_brackets(cut) if cut != bare and _parses(cut) else bare


def split(text: str, op: str) -> tuple[str, str] | None:
    """Both sides of the outermost `op` (`/` or `-`); None for any other query."""
    bare = without_brackets(text)
    tree = promql.parse(bare)
    if not isinstance(tree, parser.BinaryExpr) or str(tree.op).split()[0] != op:
        return None
    sides = (tree.lhs.prettify(), tree.rhs.prettify())
    for place in (index for index, char in enumerate(bare) if char == op):
        left, right = bare[:place].strip(), bare[place + 1 :].strip()
        if _parses(left) and _parses(right):
            found = (promql.parse(left).prettify(), promql.parse(right).prettify())
            if found == sides:
                return left, right
    return None


def events(*, total: str, bad: str = "", good: str = "", any_range: bool = False) -> Mapped:
    """The SLI of bad (or good) events among all events."""
    numerator = without_zero_tail(bad or good)
    part, whole = counted(numerator, any_range=any_range), counted(total, any_range=any_range)
    if part is None and whole is not None and bad:
        # total − good: good events count from their first value, and gaps can be repaired
        sides = split(numerator, "-")
        left = counted(sides[0], any_range=any_range) if sides else None
        right = counted(sides[1], any_range=any_range) if sides else None
        if left is not None and right is not None and _same(left, whole) and right.by == whole.by:
            part, bad = right, ""
    if part is not None and whole is not None and part.by == whole.by:
        return counted_events(part, whole, bad=bool(bad))
    return _queried(numerator, without_brackets(total), bad=bool(bad), any_range=any_range)


def counted_events(part: Counted, whole: Counted, *, bad: bool) -> Mapped:
    """The SLI of two counters. A bucket of good observations among all observations is a histogram."""
    new = reserved.renames(whole.by)
    if new:
        texts = {"bad" if bad else "good": part.selector.text, "total": whole.selector.text}
        rates = {key: reserved.grouped("sum", f"rate({text}[{WINDOW}])", whole.by) for key, text in texts.items()}
        return Mapped(sli=rates, group_by=reserved.renamed(whole.by), renamed=new)
    if not bad:
        histogram = _histogram(part.selector, whole.selector)
        if histogram is not None:
            return Mapped(sli=histogram, group_by=whole.by)
    key = "bad" if bad else "good"
    return Mapped(sli={key: part.selector.text, "total": whole.selector.text}, group_by=whole.by)


def _same(one: Counted, other: Counted) -> bool:
    mine, theirs = one.selector, other.selector
    return (mine.metric, set(mine.matchers), one.by) == (theirs.metric, set(theirs.matchers), other.by)


def _histogram(bucket: Selector, whole: Selector) -> Mapping[str, Plain] | None:
    """`{histogram, below}` if `bucket` is one bucket of the counter `whole`."""
    bound = [value for name, op, value in bucket.matchers if name == "le" and op == "="]
    rest = tuple(matcher for matcher in bucket.matchers if matcher[0] != "le")
    base = bucket.metric.removesuffix("_bucket")
    everything = {(f"{base}_count", rest), (bucket.metric, (*rest, ("le", "=", "+Inf")))}
    wanted = {(metric, frozenset(matchers)) for metric, matchers in everything}
    if base == bucket.metric or len(bound) != 1 or (whole.metric, frozenset(whole.matchers)) not in wanted:
        return None
    try:
        below = parse_decimal(bound[0])
    except ValueError:
        return None
    named = promql.with_metric(Selector(text="", metric=base, matchers=rest), base)
    return {"histogram": named, "below": below} if below > 0 else None


def _queried(numerator: str, total: str, *, bad: bool, any_range: bool) -> Mapped:
    if any_range:
        numerator, total = _with_window(numerator), _with_window(total)
    functions = _window_functions(numerator) | _window_functions(total)
    key = "bad" if bad else "good"
    if functions == {"rate"}:
        return Mapped(sli={key: numerator, "total": total})
    if functions == {"increase"}:
        return Mapped(sli={key: _as_rate(numerator), "total": _as_rate(total)})
    if WINDOW not in numerator + total:
        raise QueryError("the query has a fixed range instead of a window\nwrite `[{{.window}}]` as the range")
    ratio = f"({numerator}) / ({total})"
    return Mapped(sli={"error_ratio": ratio if bad else f"1 - {ratio}", "weight": total}, counts=True)


def _with_window(text: str) -> str:
    """The query with `$window` for its only range."""
    ranges = set(_FIXED_RANGE.findall(text))
    return _FIXED_RANGE.sub(f"[{WINDOW}]", text) if WINDOW not in text and len(ranges) == 1 else text


def _window_functions(text: str) -> set[str]:
    """The functions that read over `$window`; `subquery` for a range around a subquery."""
    found = set()
    for node in walk(parser.parse(text.replace(WINDOW, _SENTINEL))):
        if not isinstance(node, parser.Call):
            continue
        for argument in node.args:
            if isinstance(argument, parser.SubqueryExpr) and argument.range == _SENTINEL_RANGE:
                found.add("subquery")
            elif isinstance(argument, parser.MatrixSelector) and argument.range == _SENTINEL_RANGE:
                found.add(str(node.func.name))
    return found


def _as_rate(text: str) -> str:
    """Events per second, from events over the window. Both sides change, therefore the ratio stays."""
    return _STRING_OR_INCREASE.sub(lambda match: "rate" if match[0] == "increase" else match[0], text)


def ratio(text: str) -> Mapped:
    """The SLI of an error ratio: events if the query is plainly a ratio of two counts, else the ratio itself."""
    error = split(text, "-")
    shares = split(error[1], "/") if error is not None and _is_one(error[0]) else None
    if shares is not None:
        mapped = _try_events(good=shares[0], total=shares[1])
    else:
        shares = split(text, "/")
        mapped = _try_events(bad=shares[0], total=shares[1]) if shares is not None else None
    return mapped or Mapped(sli={"error_ratio": text})


def _is_one(text: str) -> bool:
    try:
        return Decimal(text) == 1
    except ArithmeticError:
        return False


def _try_events(*, total: str, bad: str = "", good: str = "") -> Mapped | None:
    try:
        mapped = events(total=total, bad=bad, good=good)
    except QueryError:
        return None
    return None if mapped.counts else mapped
