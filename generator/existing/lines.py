"""The lines of an existing file, split where YAML splits them, each with its own line end and its number on disk.

Freezeline's lines stand between two marks; `without_ours` takes them out and keeps the numbers of all other lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from freezeline.problems import Position, Problems

BEGIN = "# >>> freezeline: generated, do not edit between the marks"
END = "# <<< freezeline"
_BEGIN_MARK = "# >>> freezeline"
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_USUAL_ENDS = ("\n", "\r\n", "\r")
# A list in brackets has no line of its own for Freezeline's item, so a comment names the item.
_IN_BRACKETS = "  # freezeline: the first template is ours: "
_BOM = "\ufeff"


class Line(Struct, frozen=True, kw_only=True):
    """One line. `number` counts from 1 in the file on disk; `end` is empty after the last line."""

    text: str
    end: str
    number: int


def split(text: str) -> list[Line]:
    """The lines of a text, split as YAML 1.1 splits them."""
    found, start = [], 0
    for number, match in enumerate(_BREAK.finditer(text), start=1):
        found.append(Line(text=text[start : match.start()], end=match.group(), number=number))
        start = match.end()
    if start < len(text):
        found.append(Line(text=text[start:], end="", number=len(found) + 1))
    return found


def join(lines: Sequence[Line]) -> str:
    """The text of these lines."""
    return "".join(line.text + line.end for line in lines)


def usual_end(lines: Sequence[Line]) -> str:
    """The line end that most lines have."""
    counted = Counter(line.end for line in lines if line.end in _USUAL_ENDS)
    return counted.most_common(1)[0][0] if counted else "\n"


def without_bom(text: str) -> tuple[str, str]:
    """The byte order mark, if there is one, and the text after the mark."""
    return (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)


def add_in_brackets(text: str, column: int, item: str) -> str:
    """A line with `item` as the first of the bracketed list that opens before `column`."""
    shown = "'" + item.replace("'", "''") + "'"
    return f"{text[:column]}{shown}, {text[column:]}{_IN_BRACKETS}{shown}"


def _without_item(text: str) -> str:
    """A line without the item that `add_in_brackets` put there, if the item still stands there."""
    before, _, shown = text.rpartition(_IN_BRACKETS)
    head, opened, tail = before.partition(f"[{shown}, ") if before else (text, "", "")
    return f"{head}[{tail}" if opened else head


def without_ours(name: str, lines: Sequence[Line], problems: Problems) -> list[Line] | None:
    """The lines without Freezeline's; None after a problem (reported)."""
    kept: list[Line] = []
    opened = 0
    for line in lines:
        word = line.text.strip()
        if word.startswith(_BEGIN_MARK) and not opened:
            opened = line.number
        elif word == END and opened:
            opened = 0
        elif word == END or word.startswith(_BEGIN_MARK):
            hint = f"write both marks `{BEGIN}` and `{END}`, or remove Freezeline's lines by hand"
            position = Position(name, line.number)
            problems.add("merge/marks", position, "a mark of Freezeline has no matching mark", hint)
            return None
        elif not opened:
            kept.append(Line(text=_without_item(line.text), end=line.end, number=line.number))
    if opened:
        hint = f"write `{END}` after the block, or remove Freezeline's lines by hand"
        problems.add("merge/marks", Position(name, opened), "the block of Freezeline that begins here has no end", hint)
        return None
    return kept
