"""Reads `routing.mute_times`: when a route is silent, as in Alertmanager's `time_intervals`."""

from __future__ import annotations

import re
from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from generator.model.mute_times import MuteInterval, MuteTime
from generator.reading.reader import Reader

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def parse(reader: Reader) -> tuple[MuteTime, ...]:
    """The mapping `routing.mute_times`: a list of intervals for each name."""
    found = []
    for name, entry in reader.free_entries():
        intervals = tuple(_parse_interval(inner) for inner in reader.readers(name))
        if not intervals:
            reader.fail(
                "routing/mute",
                f"{reader.what}.{name} has no interval",
                "write intervals: `[{weekdays: [saturday]}]`",
                key=name,
            )
        found.append(MuteTime(name=name, intervals=intervals, position=entry.key_position))
    return tuple(found)


def _parse_interval(reader: Reader) -> MuteInterval:
    interval = MuteInterval(
        times=_parse_times(reader),
        weekdays=_ranges(reader, "weekdays", _among(_DAYS), "write `weekdays: [monday:friday]` or `[saturday]`"),
        days_of_month=_ranges(reader, "days_of_month", _day, 'write `days_of_month: ["1:7"]`; "-1" is the last day'),
        months=_ranges(reader, "months", _month, "write `months: [december]` or `[january:march]`"),
        years=_ranges(reader, "years", _year, 'write `years: ["2026"]` or `["2026:2027"]`'),
        location=_location(reader),
    )
    reader.finish()
    return interval


def _parse_times(reader: Reader) -> tuple[tuple[str, str], ...]:
    found = []
    for text in reader.texts("times"):
        start, _, end = text.partition("-")
        if not (_CLOCK.fullmatch(start) and _CLOCK.fullmatch(end)):
            reader.fail(
                "routing/mute",
                f"{reader.what}.times: {text!r} is not a range of times",
                "write `times: [08:00-18:30]`",
                key="times",
            )
        elif start >= end:
            hint = f"write two ranges to pass midnight: {start}-24:00 and 00:00-{end}"
            reader.fail(
                "routing/mute", f"{reader.what}.times: the range {text!r} ends before its start", hint, key="times"
            )
        found.append((start, end))
    return tuple(found)


def _ranges(reader: Reader, key: str, order: Callable[[str], int | None], hint: str) -> tuple[str, ...]:
    texts = reader.texts(key)
    for text in texts:
        ends = [order(part) for part in text.split(":")]
        known = [end for end in ends if end is not None]
        if len(known) != len(ends) or len(ends) > 2:
            reader.fail("routing/mute", f"{reader.what}.{key}: Alertmanager does not accept {text!r}", hint, key=key)
        elif len(known) == 2 and known[0] > known[1]:
            reader.fail(
                "routing/mute",
                f"{reader.what}.{key}: the range {text!r} ends before its start",
                f"write two ranges under `{key}`, or swap the two ends",
                key=key,
            )
    return tuple(text.lower() for text in texts)


def _among(words: tuple[str, ...]) -> Callable[[str], int | None]:
    return lambda text: words.index(text.lower()) if text.lower() in words else None


def _day(text: str) -> int | None:
    """A day's rank. Days counted from the end of the month come after days counted from its start: `1:-1` is valid."""
    if not re.fullmatch(r"-?[0-9]{1,2}", text) or not 1 <= abs(int(text)) <= 31:
        return None
    return int(text) if int(text) > 0 else 32 + int(text)


def _month(text: str) -> int | None:
    if re.fullmatch(r"[0-9]{1,2}", text):
        return int(text) if 1 <= int(text) <= 12 else None
    return _MONTHS.index(text.lower()) if text.lower() in _MONTHS else None


def _year(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{4}", text) else None


def _location(reader: Reader) -> str:
    text = reader.text("location", "")
    if not text:
        return ""
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reader.fail(
            "routing/mute",
            f"{reader.what}.location: {text!r} is not a time zone",
            "write an IANA name, such as `location: Europe/Berlin`",
            key="location",
        )
    return text
