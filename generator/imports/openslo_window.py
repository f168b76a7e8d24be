"""OpenSLO's time windows: rolling windows, and calendar units in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from generator.imports.base import ForeignReader
from generator.units import duration_text, parse_duration_ms

_SHORTHAND = re.compile(r"([1-9][0-9]*)([mhdwMQY])")
_ROLLING_DAYS = {"M": 30, "Q": 90, "Y": 365}
_UNITS = {
    "Minute": "m",
    "Hour": "h",
    "Day": "d",
    "Week": "w",
    "Month": "M",
    "Quarter": "Q",
    "Year": "Y",
}
_CALENDAR_UNITS = {"1w": "week", "1M": "month", "1Q": "quarter", "3M": "quarter"}
_UTC = ("", "UTC", "Etc/UTC", "Z", "GMT", "Etc/GMT")
_FIRST_OF_QUARTER = ("01-01", "04-01", "07-01", "10-01")


def read_window(spec: ForeignReader, given: str) -> str | None:
    """The window as a spec writes it; None if it cannot be imported (reported). `given` replaces the file's window."""
    key = spec.first("timeWindow", "timeWindows")
    windows = spec.items(key)
    if given:
        return given
    if len(windows) != 1:
        hint = "write `timeWindow: [{duration: 30d, isRolling: true}]`, or add `--window 30d`"
        spec.fail("import/window", f"{spec.what} needs one time window", hint, key=key)
        return None
    reader = windows[0]
    key = "unit" if reader.has("count") else "duration"
    text = _counted(reader) if key == "unit" else reader.text("duration")
    calendar = reader.mapping("calendar")
    rolling = reader.boolean("isRolling", calendar is None)
    reader.finish()
    match = _SHORTHAND.fullmatch(text)
    if match is None:
        if text:
            hint = "write a number with one of the units m, h, d, w, M, Q, such as 30d, or add `--window 30d`"
            reader.fail("import/window", f"{text!r} is not a time window", hint, key=key)
        return None
    return _rolling(reader, match, key) if rolling else _calendar(reader, calendar, text, key)


def _counted(reader: ForeignReader) -> str:
    """`{count: 30, unit: Day}` of v1alpha as `30d`; empty if it is not valid (reported)."""
    count = reader.integer("count", at_least=1)
    unit = reader.choice("unit", tuple(_UNITS))
    return f"{count}{_UNITS[unit]}" if not reader.failed else ""


def _rolling(reader: ForeignReader, match: re.Match[str], key: str) -> str:
    count, unit = int(match[1]), match[2]
    if unit not in _ROLLING_DAYS:
        return duration_text(parse_duration_ms(match[0]))
    window = f"{count * _ROLLING_DAYS[unit]}d"
    hint = "write `window: calendar month` in the spec if you want the calendar's months"
    reader.problems.add(
        "import/window",
        reader.at(key),
        f"the rolling window {match[0]} becomes {window}: a rolling window has one fixed length",
        hint,
        warning=True,
    )
    return window


def _calendar(reader: ForeignReader, calendar: ForeignReader | None, text: str, key: str) -> str | None:
    unit = _CALENDAR_UNITS.get(text)
    if unit is None:
        hint = "write 1w, 1M or 1Q, or `isRolling: true`, or add `--window 30d`"
        reader.fail("import/window", f"{text} is not a calendar unit of Freezeline", hint, key=key)
        return None
    if calendar is None:
        return f"calendar {unit}"
    zone, start = calendar.text("timeZone", ""), _start(calendar)
    calendar.finish()
    if zone not in _UTC:
        hint = "write `timeZone: UTC` and accept a shift of some hours, or add `--window 30d` for a rolling window"
        calendar.fail("import/window", f"Freezeline's calendar windows follow UTC, not {zone}", hint, key="timeZone")
        return None
    if not _starts_with_unit(start, unit):
        hint = "write the first of a month (or a Monday) at 00:00, or add `--window 30d` for a rolling window"
        calendar.fail("import/window", f"Freezeline's {unit} cannot begin at {start}", hint, key="startTime")
        return None
    return f"calendar {unit}"


def _start(calendar: ForeignReader) -> str:
    value = calendar.value("startTime")
    return value.text.replace("T", " ").rstrip("Z") if value is not None else ""


def _starts_with_unit(start: str, unit: str) -> bool:
    """Whether a unit begins at this date and time. An empty text is valid."""
    if not start:
        return True
    day, _, clock = start.partition(" ")
    if clock.strip(":0"):
        return False
    try:
        date = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    if unit == "week":
        return date.isoweekday() == 1
    return date.day == 1 if unit == "month" else day[5:] in _FIRST_OF_QUARTER
