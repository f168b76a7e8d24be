"""Durations, percentages and decimals: parsed from a person's text, and written for PromQL.

Durations are whole milliseconds (`*_ms`), Prometheus' smallest unit. Ratios are `Decimal` or `Fraction`, never binary
floats: 99.9 % leaves a budget of 0.001, not 0.0009999999999999432.
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
# Patterns are texts: `re` compiles them at their first use. Many specs keep all defaults, and write no duration.
# The order in which Prometheus reads units: largest first, each at most once.
_DURATION = r"(?a)(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
_NUMBER = r"(?a)[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,6})?"
_LONGEST_MS = 100 * 365 * DAY


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a Prometheus duration (`1h30m`, `500ms`, `30d`).

    Raises ValueError with a message for people if the text is no duration, or longer than a century.
    """
    match = re.fullmatch(_DURATION, text)
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
    if not re.fullmatch(_NUMBER, text):
        raise ValueError(f"{text!r} is not a number")
    number = Decimal(text)
    if abs(number.adjusted()) > 30:
        raise ValueError(f"{text!r} is not a number of at most 30 digits")
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
        # A terminating decimal: a power of ten surely clears its denominator.
        places = max(number.denominator.bit_length(), 1)
        text = decimal_text(Decimal(number.numerator * 10**places // number.denominator).scaleb(-places))
        if len(text.replace(".", "").lstrip("-0")) <= 17:
            return text
    return f"({number.numerator} / {number.denominator})"


def percent_text(ratio: Decimal) -> str:
    """A ratio as a percentage for people: 0.005 → `0.5 %`."""
    return f"{decimal_text(ratio.scaleb(2))} %"


def duration_words(duration_ms: int) -> str:
    """A duration for people: 300000 → `5 min`, 86400000 → `1 day`, 5400000 → `1 h 30 min`."""
    return spaced(duration_text(duration_ms))


def spaced(written: str) -> str:
    """A number with its unit, as a spec writes it, for people: `0.5%` → `0.5 %`, `1m` → `1 min`, `3d` → `3 days`."""
    parts = _WITH_UNIT.findall(written)
    if not parts or "".join(map("".join, parts)) != written:
        return written
    return " ".join(f"{number} {_unit_words(number, unit)}" for number, unit in parts)


_WITH_UNIT = re.compile(r"([-+]?[0-9.]+)(y|w|d|h|ms|m|s|%)")
_WORDS = {"y": "year", "w": "week", "d": "day"}


def _unit_words(number: str, unit: str) -> str:
    if unit in _WORDS:
        return _WORDS[unit] if number == "1" else _WORDS[unit] + "s"
    return "min" if unit == "m" else unit
