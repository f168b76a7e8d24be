"""Divides a query at its outermost operation or call. The parts are texts, so no escape and no blank is lost."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType

from msgspec import Struct

from generator.promql.tokens import Token, closing, tokens

# How tightly each operator binds.
_PRECEDENCE: Mapping[str, int] = MappingProxyType(
    {
        "or": 1,
        **dict.fromkeys(("and", "unless"), 2),
        **dict.fromkeys(("==", "!=", ">", "<", ">=", "<="), 3),
        **dict.fromkeys("+-", 4),
        **dict.fromkeys(("*", "/", "%", "atan2"), 5),
        "^": 6,
    }
)
COMPARISONS = ("==", "!=", ">=", "<=", ">", "<")
_MODIFIERS = ("on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right", "bool")
_GROUPING = ("by", "without")
_SIGNED = ("offset", "@")  # a sign may follow, and is no operator there


class Operation(Struct, frozen=True, kw_only=True):
    """The outermost operation of a query. `modifier` is the text between operator and right side: `on (job)`."""

    op: str
    left: str
    right: str
    modifier: str

    @property
    def returns_bool(self) -> bool:
        """Whether the comparison returns 0 or 1 instead of the series that pass."""
        return self.modifier.lower().startswith("bool")

    @property
    def many_on_right(self) -> bool:
        """Whether several series of the right side belong to one series of the left side."""
        return "group_right" in self.modifier.lower()


class Call(Struct, frozen=True, kw_only=True):
    """The outermost call of a function or an aggregation. `grouping` is the text `by (…)` or `without (…)`."""

    name: str
    grouping: str
    arguments: tuple[str, ...]


def bare(text: str) -> str:
    """The query without brackets around the whole query."""
    text = text.strip()
    while text.startswith("("):
        found = tokens(text)
        if closing(found, 0) != len(found) - 1 or found[-1].text != ")":
            break
        text = text[1:-1].strip()
    return text


def operation(text: str) -> Operation | None:
    """The outermost binary operation; None for any other query. Brackets around the query do not count."""
    text = bare(text)
    found = tokens(text)
    operators = _operators(found)
    if not operators:
        return None
    loosest = min(_PRECEDENCE[found[index].word] for index in operators)
    same_level = [index for index in operators if _PRECEDENCE[found[index].word] == loosest]
    powers = loosest == _PRECEDENCE["^"]
    if powers and found[0].text in ("+", "-"):
        return None  # the sign is the outermost
    place = same_level[0] if powers else same_level[-1]
    right = _after_modifiers(found, place + 1)
    begins, ends = found[place].end, found[right].start if right < len(found) else len(text)
    return Operation(
        op=found[place].word,
        left=text[: found[place].start].strip(),
        right=text[ends:].strip(),
        modifier=text[begins:ends].strip(),
    )


def _operators(found: list[Token]) -> list[int]:
    """The indexes of all binary operators outside brackets."""
    operators = []
    index, operand_came = 0, False
    while index < len(found):
        word = found[index].word
        if word in ("(", "[", "{"):
            index, operand_came = closing(found, index) + 1, True
        elif word in _PRECEDENCE and operand_came:
            operators.append(index)
            index, operand_came = _after_modifiers(found, index + 1), False
        else:
            operand_came = word not in _SIGNED and word not in ("+", "-")
            index += 1
    return operators


def _after_modifiers(found: list[Token], index: int) -> int:
    """The index of the first token of an operator's right side."""
    while index < len(found) and found[index].word in _MODIFIERS:
        index += 1
        if index < len(found) and found[index].text == "(" and found[index - 1].word != "bool":
            index = closing(found, index) + 1
    return index


def call(text: str) -> Call | None:
    """The call that the whole query is; None for any other query."""
    text = bare(text)
    found = tokens(text)
    if len(found) < 3 or found[0].kind != "word":
        return None
    opening, grouping = 1, ""
    if found[1].word in _GROUPING:
        opening = closing(found, 2) + 1
        grouping = text[found[1].start : found[opening - 1].end]
    if opening >= len(found) or found[opening].text != "(":
        return None
    end = closing(found, opening)
    if not grouping and end + 2 < len(found) and found[end + 1].word in _GROUPING:
        last = closing(found, end + 2)
        grouping = text[found[end + 1].start : found[last].end]
    else:
        last = end
    if last != len(found) - 1:
        return None
    return Call(name=found[0].word, grouping=grouping, arguments=_arguments(text, found[opening : end + 1]))


def _arguments(text: str, found: list[Token]) -> tuple[str, ...]:
    """The texts between the commas inside the brackets that the tokens begin and end with."""
    commas, index = [0], 1
    while index < len(found) - 1:
        if found[index].word in ("(", "[", "{"):
            index = closing(found, index)
        elif found[index].text == ",":
            commas.append(index)
        index += 1
    edges = [*commas, len(found) - 1]
    parts = [text[found[edge].end : found[following].start].strip() for edge, following in pairwise(edges)]
    return tuple(part for part in parts if part)
