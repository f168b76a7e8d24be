"""Bucket bounds as texts: clients, Prometheus 2 and Prometheus 3 spell one number in several ways."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from generator.promql.tokens import Token, tokens
from generator.units import decimal_text

_LIKE_A_BOUND = r"\ble\s*="
# From these powers of ten, some client writes an exponent: Go from 1e+06, Haskell up to 5.0e-2.
_LARGE, _SMALL = 6, -2


def le_matcher(bound: Decimal) -> str:
    """`le="0.3"`, or a pattern of all spellings: Prometheus 3 writes 1 as `1.0`, Java 10000000 as `1.0E7`."""
    patterns = le_patterns(bound)
    if len(patterns) == 1:
        return f'le="{decimal_text(bound)}"'
    return 'le=~"{}"'.format("|".join(patterns).replace("\\", "\\\\"))


def le_patterns(bound: Decimal) -> list[str]:
    """Regular expressions that together match every spelling of a bucket bound."""
    plain = decimal_text(bound)
    patterns = [plain.replace(".", r"\.")]
    if "." not in plain:
        patterns.append(rf"{plain}\.0")
    if not bound.is_zero() and not _SMALL < bound.adjusted() < _LARGE:
        patterns.append(_with_exponent(bound.normalize()))
    return patterns


def _with_exponent(bound: Decimal) -> str:
    """`1e+06` of Go and Python, `1.0E6` of Java, `1e6` of Rust, `5.0e-05` of Ruby, `1e+010` of old Python clients."""
    exponent = bound.adjusted()
    digits = decimal_text(bound.scaleb(-exponent)).replace(".", r"\.")
    whole = "" if "." in digits else r"(|\.0)"
    sign = "-" if exponent < 0 else "(|[+])"
    return f"{digits}{whole}[eE]{sign}(|0){abs(exponent)}"


def in_every_spelling(text: str) -> str:
    """The query with a pattern of all spellings for each bucket that the query names by `le="…"`."""
    if re.search(_LIKE_A_BOUND, text) is None:
        return text
    made, done = [], 0
    found = tokens(text)
    for label, op, value in zip(found, found[1:], found[2:], strict=False):
        bound = _bound(value) if (label.text, op.text) == ("le", "=") else None
        if bound is not None:
            made += [text[done : label.start], le_matcher(bound)]
            done = value.end
    return "".join([*made, text[done:]])


def _bound(value: Token) -> Decimal | None:
    try:
        bound = Decimal(value.text[1:-1]) if value.kind == "string" else Decimal("NaN")
    except InvalidOperation:
        return None
    return bound if bound.is_finite() else None
