"""Plain data as YAML text: the same data gives the same bytes, and every parser reads the same data back.

A YAML library's emitter takes 1 ms for each SLO, this module 30 µs. A test reads every kind of scalar back with the
library.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from generator.units import decimal_text

Plain = str | int | Decimal | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]
_SCALARS = (str, int, Decimal, type(None))

_SAFE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./()+=-]*+(?:[ :][A-Za-z0-9_./()+=-]++)*+")
_SAFE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# Words and shapes that YAML 1.1 or 1.2 would read back as something else than text.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def scalar(value: str | int | Decimal | bool | None) -> str:  # noqa: FBT001 - a value to show, not a switch
    """One scalar on one line."""
    if isinstance(value, str):
        # Rules repeat short texts; a long text hardly ever comes back.
        return _short_text(value) if len(value) < _SHORT else _text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


_SHORT = 48


@lru_cache(maxsize=2048)
def _short_text(value: str) -> str:
    return _text(value)


def _text(value: str) -> str:
    if _SAFE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return f'"{"".join(map(_escaped, value))}"'


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escaped(char: str) -> str:
    """One character inside double quotes. JSON needs two escapes beyond 16 bits, YAML one."""
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"


@lru_cache(maxsize=1024)
def key_text(key: str) -> str:
    """A mapping's key."""
    return key if _SAFE_KEY.fullmatch(key) and key.lower() not in _WORDS else scalar(key)


def entry(key: str, value: str, indent: str, anchors: Anchors | None = None) -> list[str]:
    """`key: value` for a text that may have several lines."""
    mark = ""
    if anchors is not None and (anchor := anchors.names.get(value)):
        if anchor in anchors.written:
            return [f"{indent}{key_text(key)}: *{anchor}"]
        anchors.written.add(anchor)
        mark = f"&{anchor} "
    block = _block(value, indent + "  ") if "\n" in value else None
    if block:
        return [f"{indent}{key_text(key)}: {mark}|-", *block]
    return [f"{indent}{key_text(key)}: {mark}{scalar(value)}"]


class Anchors:
    """Texts that a document writes in full once, as `&name`, and as `*name` from then on.

    `names` holds the anchor of each such text; a text that the document holds only once needs none.
    """

    __slots__ = ("names", "written")

    def __init__(self, named: Mapping[str, str], texts: Iterable[str]) -> None:
        count = Counter(text for text in texts if text in named)
        self.names = {text: named[text] for text, times in count.items() if times > 1}
        self.written: set[str] = set()


def _block(value: str, indent: str) -> list[str]:
    """The lines of a block scalar; empty if the text needs none, or if a parser could not read the text back."""
    lines = value.split("\n")
    if value[0] == " " or not all(map(str.isprintable, lines)) or not all(map(str.strip, lines)):
        return []
    return [indent + line for line in lines]


def emit(value: Plain, indent: str = "", anchors: Anchors | None = None) -> list[str]:
    """The lines of a mapping or a list in block style; scalars and empty collections in one line."""
    if isinstance(value, _SCALARS):
        return [indent + scalar(value)]
    if isinstance(value, Mapping) and value:
        return _mapping(value, indent, anchors)
    if isinstance(value, Sequence) and value:
        return _sequence(value, indent, anchors)
    return [indent + _empty(value)]


def _mapping(value: Mapping[str, Plain], indent: str, anchors: Anchors | None) -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        if isinstance(item, str):
            lines += entry(key, item, indent, anchors)
        elif isinstance(item, _SCALARS):
            lines.append(f"{indent}{key_text(key)}: {scalar(item)}")
        elif isinstance(item, Mapping) and item:
            lines.append(f"{indent}{key_text(key)}:")
            lines += _mapping(item, indent + "  ", anchors)
        elif isinstance(item, Sequence) and item:
            lines.append(f"{indent}{key_text(key)}:")
            lines += _sequence(item, indent + "  ", anchors)
        else:
            lines.append(f"{indent}{key_text(key)}: {_empty(item)}")
    return lines


def _empty(item: Sequence[Plain] | Mapping[str, Plain]) -> str:
    return "{}" if isinstance(item, Mapping) else "[]"


def _sequence(value: Sequence[Plain], indent: str, anchors: Anchors | None) -> list[str]:
    lines: list[str] = []
    for item in value:
        if isinstance(item, _SCALARS):
            lines.append(f"{indent}- {scalar(item)}")
        elif isinstance(item, Mapping) and item:
            inner = _mapping(item, indent + "  ", anchors)
            lines.append(f"{indent}- {inner[0].lstrip()}")
            lines += inner[1:]
        elif isinstance(item, Sequence) and item:
            inner = _sequence(item, indent + "  ", anchors)
            lines.append(f"{indent}- {inner[0].lstrip()}")
            lines += inner[1:]
        else:
            lines.append(f"{indent}- {_empty(item)}")
    return lines


def document(value: Plain, header: str = "", anchors: Anchors | None = None) -> str:
    """A whole file: a comment, then the data."""
    comment = [f"# {line}".rstrip() for line in header.splitlines()]
    return "\n".join([*comment, *emit(value, anchors=anchors)]) + "\n"
