"""Cuts a query back to what it counts: without guards against idle time, and without sides that vanish.

A query for people hides idle time (`> 0`) or fills it (`or vector(1)`), and a sum vanishes together with one of its
addends. Freezeline counts events, for which idle time is a zero, and an addend without series is a zero too.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from msgspec import Struct
from msgspec.structs import replace

from generator.promql import parts
from generator.promql.labels import labels_of
from generator.promql.parts import Operation
from generator.promql.text import enclosed, parse, value_type
from generator.promql.tokens import same

_ABOVE_ZERO = (">", ">=", "!=")
_MIRRORED = {"<": ">", "<=": ">=", "!=": "!="}
_NEVER_NEGATIVE = ("rate", "irate", "increase", "count_over_time")
_CLAMPS = ("clamp", "clamp_min", "clamp_max")


class Cut(Struct, frozen=True, kw_only=True):
    """What is left of a query, and the guards that were cut off, as the query writes them."""

    text: str
    guards: tuple[str, ...] = ()


def unguarded(text: str) -> Cut:
    """The query without guards: comparisons with zero, `or vector(…)`, and `and`, `unless` with such a comparison."""
    inner = parts.bare(text)
    found = parts.operation(inner)
    if found is None:
        return _within_sum(inner)
    guarded = _guarded(found)
    if guarded is None:
        return Cut(text=inner)
    kept, guard = guarded
    rest = unguarded(kept)
    return Cut(text=rest.text, guards=(*rest.guards, guard))


def _guarded(found: Operation) -> tuple[str, str] | None:
    """The side that counts, and the guard; None for any other operation."""
    if found.returns_bool:
        return None
    written = " ".join(part for part in (found.op, found.modifier, found.right) if part)
    if found.op in _ABOVE_ZERO and number(found.right) == 0:
        return found.left, written
    if _MIRRORED.get(found.op) in _ABOVE_ZERO and number(found.left) == 0:
        return found.right, f"{found.left} {found.op}"
    if found.op == "or" and _constant_vector(found.right):
        return found.left, written
    if found.op in ("and", "unless") and _only_asks_for_zero(found):
        return found.left, written
    return None


def _only_asks_for_zero(found: Operation) -> bool:
    """Whether the right side is the left side itself, compared with zero."""
    asked = parts.operation(found.right)
    if asked is None or asked.returns_bool or number(asked.right) != 0:
        return False
    comparisons = _ABOVE_ZERO if found.op == "and" else ("==", "<=")
    return asked.op in comparisons and same(parts.bare(asked.left), parts.bare(found.left))


def _within_sum(text: str) -> Cut:
    """A sum without the guard inside. A sum of counts is the same without its zeros; a count or average is not."""
    found = parts.call(text)
    if found is None or found.name != "sum" or len(found.arguments) != 1:
        return Cut(text=text)
    inner = unguarded(found.arguments[0])
    counts = parts.call(inner.text)
    if not inner.guards or counts is None or counts.name not in _NEVER_NEGATIVE:
        return Cut(text=text)
    by = f" {found.grouping} " if found.grouping else ""
    return Cut(text=f"sum{by}({inner.text})", guards=inner.guards)


def _constant_vector(text: str) -> bool:
    found = parts.call(text)
    return found is not None and found.name == "vector" and number(found.arguments[0]) is not None


def number(text: str) -> Decimal | None:
    """The number that a query is; None for any other query."""
    try:
        return Decimal(parts.bare(text))
    except InvalidOperation:
        return None


# -- queries whose parts may be missing


def summed(text: str, add_up: Callable[[str], str], zero: str) -> str:
    """The sum of a query's series, in which each addend without series counts as `zero`.

    `add_up` writes the sum of one addend. Without the zeros, `a + b` is nothing as long as only `a` exists. `total -
    good` is nothing, instead of all bad, as long as nothing succeeds.
    """
    inner = unguarded(text).text
    found, called = parts.operation(inner), parts.call(inner)
    if not additive(inner):
        return f"{add_up(inner)}\nor {zero}"
    if found is not None and found.op == "+":
        return "\n+ ".join(enclosed(summed(side, add_up, zero)) for side in (found.left, found.right))
    if found is not None and found.op == "-":
        # no minuend, no difference: a part is never below zero
        minuend = enclosed(summed(found.left, add_up, zero)) if additive(found.left) else add_up(found.left)
        return f"{minuend}\n- {enclosed(summed(found.right, add_up, zero))}\nor {zero}"
    if found is not None:
        left, right = (
            side if number(side) is not None else enclosed(summed(side, add_up, zero))
            for side in (found.left, found.right)
        )
        return f"{left} {found.op} {right}"
    if called is not None and called.name in _CLAMPS:
        first, *more = called.arguments
        return enclosed(summed(first, add_up, zero), f"{called.name}(", *more)
    return summed(called.arguments[0] if called is not None else inner, add_up, zero)


def additive(text: str) -> bool:
    """Whether the query is a sum or a difference of queries, perhaps with sums, clamps or factors around."""
    found, called = parts.operation(text), parts.call(text)
    if found is not None:
        if found.op in ("+", "-"):
            return not any(_is_scalar(side) for side in (found.left, found.right))
        numbers = [number(side) is not None for side in (found.left, found.right)]
        scaled = found.op == "*" or (found.op == "/" and numbers[1])
        return scaled and any(numbers) and any(additive(side) for side in (found.left, found.right))
    if called is None or not called.arguments or not additive(called.arguments[0]):
        return False
    # A clamp of single series is no clamp of their sum.
    return called.name == "sum" or (called.name in _CLAMPS and _aggregated(called.arguments[0]))


def _is_scalar(text: str) -> bool:
    """Whether the query is a number without labels, such as `5` or `scalar(x)`, of which there is no sum."""
    return value_type(parse(text)) == "scalar"


def _aggregated(text: str) -> bool:
    return labels_of(parse(text)).exact is not None


# -- ratios


class Shares(Struct, frozen=True, kw_only=True):
    """An error ratio's two sides. If `success`, the numerator counts good events, and the ratio is 1 less the share."""

    numerator: str
    denominator: str
    success: bool


def shares(text: str) -> Shares | None:
    """Both sides of a query that is a ratio, or 1 less a ratio; None for any other query. Clamps do not count."""
    inner = unguarded(text).text
    called = parts.call(inner)
    if called is not None and called.name in _CLAMPS:
        return shares(called.arguments[0])
    found = parts.operation(inner)
    if found is None:
        return None
    if found.op == "-" and number(found.left) == 1:
        share = shares(found.right)
        return replace(share, success=not share.success) if share is not None else None
    if found.op != "/" or found.many_on_right:
        return None
    part, whole = _vector_of(found.left), _vector_of(found.right)
    if _is_scalar(part) or _is_scalar(whole):
        return None
    return Shares(numerator=unguarded(part).text, denominator=unguarded(whole).text, success=False)


def _vector_of(text: str) -> str:
    """The vector that `scalar` makes a number of; any other query stays."""
    found = parts.call(text)
    return found.arguments[0] if found is not None and found.name == "scalar" else text
