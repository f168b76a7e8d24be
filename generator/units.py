"""Durations, percentages and decimals, as people write them and as PromQL wants them.

Durations are whole milliseconds (`*_ms`): the finest that Prometheus knows. Ratios are `Decimal` or `Fraction`, never
binary floats, so that 99.9 % leaves a budget of 0.001 and not 0.0009999999999999432.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

MS = 1
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS_MS = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MS}
# The order in which Prometheus takes units: largest first, each at most once.
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,6})?", re.ASCII)
_LONGEST_MS = 100 * 365 * DAY


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a Prometheus duration (`1h30m`, `500ms`, `30d`).

    Raises ValueError with a message for people: not a duration, or longer than a century.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None or len(text) > 40:
        raise ValueError(f"{text!r} is not a duration")
    duration_ms = sum(
        int(count) * unit for count, unit in zip(match.groups(), _UNITS_MS.values(), strict=True) if count
    )
    if duration_ms > _LONGEST_MS:
        raise ValueError(f"{text!r} is longer than a century")
    return duration_ms


@lru_cache(maxsize=1024)
def duration_text(duration_ms: int) -> str:
    """The shortest Prometheus duration without weeks and years: 150000 → `2m30s`, 0 → `0s`."""
    if duration_ms == 0:
        return "0s"
    parts = []
    for name in ("d", "h", "m", "s", "ms"):
        count, duration_ms = divmod(duration_ms, _UNITS_MS[name])
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts)


def whole_ms(span: timedelta) -> int:
    """A span of time in milliseconds, rounded down."""
    return span // timedelta(milliseconds=1)


def parse_decimal(text: str) -> Decimal:
    """A finite decimal number. Raises ValueError."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    number = Decimal(text)
    if abs(number.adjusted()) > 30:
        raise ValueError(f"{text!r} is not a number that can be used here")
    return number


def parse_ratio(text: str) -> Decimal:
    """A ratio from a percentage (`1%` → 0.01) or a plain number (`0.01`). Raises ValueError."""
    if text.endswith("%"):
        return parse_decimal(text[:-1].strip()).scaleb(-2)
    return parse_decimal(text)


def decimal_text(number: Decimal) -> str:
    """The number in plain digits, without exponent and trailing zeros: 14.400 → `14.4`, 1E+2 → `100`."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def promql_number(number: Fraction) -> str:
    """The number as PromQL, exactly: a decimal where one exists within 17 digits, else a division in brackets."""
    denominator = number.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if denominator == 1:
        # A terminating decimal: scale by a power of ten that surely clears the denominator.
        places = max(number.denominator.bit_length(), 1)
        text = decimal_text(Decimal(number.numerator * 10**places // number.denominator).scaleb(-places))
        if len(text.replace(".", "").lstrip("-0")) <= 17:
            return text
    return f"({number.numerator} / {number.denominator})"


def percent_text(ratio: Decimal) -> str:
    """A ratio as a percentage for people: 0.005 → `0.5 %`."""
    return f"{decimal_text(ratio.scaleb(2))} %"
