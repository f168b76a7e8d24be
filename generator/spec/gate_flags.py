"""Reads a gate check of feature flags: which flags are in the file, and which values the flags have."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from decimal import Decimal

from generator.model.gate import FlagIs, FlagsPresent, FlagValue
from generator.reading.reader import Reader
from generator.reading.source import Value

_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
_LARGEST = Decimal(sys.float_info.max)


def parse(reader: Reader) -> FlagsPresent:
    """The keys `flag_file`, `present` and `flags`."""
    present = reader.texts("present")
    values: list[FlagIs] = []
    flags = reader.mapping("flags")
    for flag, entry in flags.free_entries() if flags is not None else ():
        listed = entry.value.content if isinstance(entry.value.content, tuple) else (entry.value,)
        what = f"{reader.what}.flags.{flag}"
        values += [_flag_is(flag, Reader(value, what, reader.problems)) for value in listed]
    if not present and not values:
        hint = "add `present: [flag-name]`, or `flags: {flag-name: {is: true}}`"
        reader.fail("gate/check", f"{reader.what} names no feature flag", hint)
    return FlagsPresent(flag_file=reader.text("flag_file"), present=present, values=tuple(values))


def _flag_is(flag: str, reader: Reader) -> FlagIs:
    wanted = reader.required_value("is")
    context = reader.mapping("for")
    found = FlagIs(
        flag=flag,
        value="" if wanted is None else _scalar(reader, "is", wanted),
        context=dict(_context(context)) if context is not None else {},
    )
    reader.finish()
    return found


def _context(reader: Reader) -> Iterator[tuple[str, FlagValue]]:
    for key, entry in reader.free_entries():
        yield key, _scalar(reader, key, entry.value)


def _is_no_finite_number(content: object) -> bool:
    """Infinities and NaN of YAML, which come as texts, and numbers that would become infinite in a JSON file."""
    if isinstance(content, str):
        return _NOT_FINITE.fullmatch(content) is not None
    return isinstance(content, int | Decimal) and not -_LARGEST <= content <= _LARGEST


def _scalar(reader: Reader, key: str, value: Value) -> FlagValue:
    """A truth value, a number or a text. Anything else is reported, and so are numbers that JSON cannot hold."""
    content = value.content
    if isinstance(content, bool):
        return content
    if _is_no_finite_number(content):
        message = f"{reader.what}.{key}: no JSON file can hold the number {value.text}"
        hint = f"write `{key}: 1`, a finite number, or another text"
        reader.problems.add("gate/check", value.position, message, hint)
        return ""
    if isinstance(content, int | str):
        return content
    if isinstance(content, Decimal):
        return float(content)
    message = f"{reader.what}.{key} is no truth value, number or text"
    reader.problems.add("gate/check", value.position, message, f'write `{key}: true`, `{key}: 1` or `{key}: "text"`')
    return ""
