"""PromQL as tokens with their places in the text."""

from __future__ import annotations

import re

from msgspec import Struct

# Patterns are texts: `re` compiles them at their first use, and most specs hold plain selectors alone.
STRING = r'"(?:[^"\\]|\\.)*+"|\'(?:[^\'\\]|\\.)*+\'|`[^`]*+`'
_TOKEN = (
    rf"(?s)(?P<space>\s+)|(?P<string>{STRING})"
    r"|(?P<number>0[xX][0-9a-fA-F]+|(?:\d+(?:ms|[smhdwy]))+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>\$?[a-zA-Z_:][\w:]*)"
    r"|(?P<sign>==|!=|>=|<=|=~|!~|.)"
)
OPENING = {"(": ")", "[": "]", "{": "}"}


class Token(Struct, frozen=True, kw_only=True):
    """A part of a query that cannot be divided. `kind`: string, number, word or sign."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The token in lower case if it can be a keyword or an operator; empty for strings and numbers."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


def tokens(text: str) -> list[Token]:
    """The tokens of a query without comments."""
    return [
        Token(kind=str(found.lastgroup), text=found[0], start=found.start(), end=found.end())
        for found in re.finditer(_TOKEN, text)
        if found.lastgroup != "space"
    ]


def closing(found: list[Token], opening: int) -> int:
    """The index of the bracket that closes the bracket at an index; the last index if none does."""
    depth = 0
    for index in range(opening, len(found)):
        if found[index].word in OPENING:
            depth += 1
        elif found[index].word in OPENING.values():
            depth -= 1
        if depth == 0:
            return index
    return len(found) - 1


def same(one: str, other: str) -> bool:
    """Whether two queries differ at most by white space."""
    return one == other or [token.text for token in tokens(one)] == [token.text for token in tokens(other)]
