"""Foreign PromQL as an SLI: selectors if a query plainly counts events, else queries with `$window`.

Selectors are worth the effort: only with selectors can Freezeline count new series from zero and repair gaps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

import promql_parser as parser
from msgspec import Struct, field
from msgspec.structs import replace

from generator.imports import reserved
from generator.promql import parts
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.counted import Shares, number, shares, unguarded
from generator.promql.labels import labels_of
from generator.promql.lint import walk
from generator.promql.text import WINDOW, Selector
from generator.text.yaml_text import Plain
from generator.units import parse_decimal

_TEMPLATE_WINDOW = re.compile(r"\{\{-?\s*\.[wW]indow\s*-?\}\}")
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

    `counts`: the query does not give events per second. `apart`: the query can return many series, which the SLO makes
    one of. `guards`: the comparisons that were cut off from the total. `renamed`: labels of groups with a new name.
    """

    sli: Mapping[str, Plain]
    group_by: tuple[str, ...] = ()
    counts: bool = False
    apart: bool = False
    guards: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


def windowed(text: str) -> str:
    """The query with `$window` for the other tool's placeholder. Raises QueryError if the query is not PromQL."""
    query = promql.clean(_TEMPLATE_WINDOW.sub(WINDOW, text))
    if "{{" in query:
        raise QueryError("the query has a template besides {{.window}}\nwrite the template's value into the query")
    for fault in faults(query, Want.NUMBER):
        raise QueryError(f"{fault.message}\n{fault.hint}")
    return query


def counted(text: str, *, any_range: bool = False) -> Counted | None:
    """The selector that a query plainly counts, else None. With `any_range`, `[5m]` counts as `[$window]`."""
    found = _COUNTED.fullmatch(parts.bare(text))
    if found is None or (found["range"] != WINDOW and not any_range):
        return None
    return _as_counted(found["selector"], found["by"] or found["after"] or "")


def counted_counter(text: str) -> Counted | None:
    """The selector of a bare counter, or of a sum of counters, as OpenSLO's `counter: true` writes it."""
    bare = parts.bare(text)
    found = _SUMMED.fullmatch(bare)
    return _as_counted(found["selector"] if found else bare, "")


def _as_counted(selector: str, by: str) -> Counted | None:
    selector = parts.bare(selector)
    if faults(selector, Want.SELECTOR):
        return None
    labels = tuple(sorted(label.strip() for label in by.split(",") if label.strip()))
    return Counted(selector=promql.selector(selector), by=labels)


def events(*, total: str, bad: str = "", good: str = "", any_range: bool = False) -> Mapped:
    """The SLI of bad (or good) events among all events."""
    numerator, whole = unguarded(bad or good).text, unguarded(total)
    mapped = _plainly(numerator, whole.text, bad=bool(bad), any_range=any_range)
    if mapped is None:
        mapped = _queried(numerator, whole.text, bad=bool(bad), any_range=any_range)
    return replace(mapped, guards=whole.guards)


def _plainly(numerator: str, total: str, *, bad: bool, any_range: bool) -> Mapped | None:
    """The SLI of two counters; None if the queries do not plainly count."""
    part, whole = counted(numerator, any_range=any_range), counted(total, any_range=any_range)
    if part is None and whole is not None and bad:
        # total − good: good events count from their first value, and gaps can be repaired
        clamped = parts.call(numerator)
        above_zero = clamped is not None and clamped.name == "clamp_min" and number(clamped.arguments[-1]) == 0
        difference = parts.operation(clamped.arguments[0] if clamped is not None and above_zero else numerator)
        if difference is not None and difference.op == "-":
            left = counted(difference.left, any_range=any_range)
            right = counted(difference.right, any_range=any_range)
            if left is not None and right is not None and _same(left, whole) and right.by == whole.by:
                part, bad = right, False
    if part is None or whole is None or part.by != whole.by:
        return None
    return counted_events(part, whole, bad=bad)


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
    if functions == {"increase"}:
        numerator, total = _as_rate(numerator), _as_rate(total)
    if functions in ({"rate"}, {"increase"}):
        sides = _grouped(numerator, total)
        return sides.mapped({key: sides.numerator, "total": sides.total})
    if WINDOW not in numerator + total:
        raise QueryError("the query has a fixed range instead of a window\nwrite `[{{.window}}]` as the range")
    return as_ratio(numerator, total, bad=bad)


def as_ratio(numerator: str, total: str, *, bad: bool) -> Mapped:
    """The SLI of two queries that do not give events per second. Freezeline's rules keep the two apart."""
    sides = _grouped(numerator, total)
    ratio = f"({sides.numerator}) / ({sides.total})"
    return sides.mapped({"error_ratio": ratio if bad else f"1 - {ratio}", "weight": sides.total}, counts=True)


class _Sides(Struct, frozen=True, kw_only=True):
    """Both queries, and the labels that they keep; None for unknown labels. No label has a reserved name."""

    numerator: str
    total: str
    kept: tuple[str, ...] | None

    def mapped(self, sli: Mapping[str, Plain], *, counts: bool = False) -> Mapped:
        """The SLI with the groups of both queries."""
        kept = self.kept or ()
        return Mapped(
            sli=sli,
            counts=counts,
            group_by=reserved.renamed(kept),
            renamed=reserved.renames(kept),
            apart=self.kept is None,
        )


def _grouped(numerator: str, total: str) -> _Sides:
    kept = grouping(numerator, total)
    if kept and reserved.renames(kept):
        numerator, total = (reserved.grouped("sum", text, kept) for text in (numerator, total))
    return _Sides(numerator=numerator, total=total, kept=kept)


def grouping(numerator: str, total: str) -> tuple[str, ...] | None:
    """The labels that both queries keep; None if each of many series has a ratio of its own.

    Raises QueryError if the two sides can never match.
    """
    kept = [labels_of(promql.parse(text)).exact for text in (numerator, total)]
    if kept[0] is None or kept[1] is None:
        return None
    if kept[0] != kept[1]:
        part, whole = (", ".join(sorted(labels)) or "no label" for labels in kept if labels is not None)
        raise QueryError(
            f"the events keep {part}, and the total keeps {whole}, so the two never match"
            "\nwrite the same `by (…)` into both queries"
        )
    return tuple(sorted(kept[0]))


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
    cut = unguarded(text)
    sides = shares(cut.text)
    mapped = _try_events(sides) if sides is not None else None
    if mapped is not None:
        return mapped
    kept = labels_of(promql.parse(cut.text)).exact
    by = tuple(sorted(kept or ()))
    new = reserved.renames(by)
    query = reserved.grouped("avg", cut.text, by) if new else cut.text
    return Mapped(
        sli={"error_ratio": query},
        group_by=reserved.renamed(by),
        renamed=new,
        apart=kept is None,
        guards=cut.guards,
    )


def _try_events(sides: Shares) -> Mapped | None:
    try:
        if sides.success:
            mapped = events(total=sides.denominator, good=sides.numerator)
        else:
            mapped = events(total=sides.denominator, bad=sides.numerator)
    except QueryError:
        return None
    return None if mapped.counts else mapped
