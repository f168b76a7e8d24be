"""Alertmanager's matchers, read from an existing configuration: `match`, `match_re` and `matchers`.

A matcher that this module cannot read accepts every value, so that no effect is missed for its sake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from generator.existing.document import Text, mapping

_MATCHER = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s=!~"{},]+))\s*(=~|!~|!=|=)\s*(.*?)\s*', re.DOTALL)
_PARTS = re.compile(r'(?:[^",\\]|\\.|"(?:[^"\\]|\\.)*")+', re.DOTALL)
_ESCAPE = re.compile(r'\\([n"\\])')


class Matcher(Struct, frozen=True, kw_only=True):
    """One matcher: a label that an alert lacks has the value ""."""

    label: str
    op: str
    value: str

    def accepts(self, value: str) -> bool:
        """Whether the label may have this value."""
        if self.op in ("=", "!="):
            return (value == self.value) == (self.op == "=")
        pattern = _pattern(self.value)
        return pattern is None or bool(pattern.fullmatch(value)) == (self.op == "=~")

    @property
    def values(self) -> Iterable[str]:
        """The values that the matcher names."""
        return (self.value,) if self.op in ("=", "!=") else self.value.split("|")


Matchers = tuple[Matcher, ...]


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str] | None:
    """The anchored expression; None if Python cannot read an expression of Go."""
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None


def of(part: Mapping[str, Text], prefix: str = "") -> Matchers:
    """The matchers of a route, or of one side of an inhibition (`source_`, `target_`)."""
    equal = mapping(part.get(f"{prefix}match"))
    like = mapping(part.get(f"{prefix}match_re"))
    found = [Matcher(label=label, op="=", value=_text(value)) for label, value in equal.items()]
    found += [Matcher(label=label, op="=~", value=_text(value)) for label, value in like.items()]
    written = part.get(f"{prefix}matchers")
    lines = written if isinstance(written, list) else [written]
    return (*found, *(one for line in lines if isinstance(line, str) for one in _parse(line)))


def _text(value: Text) -> str:
    return value if isinstance(value, str) else ""


def _parse(line: str) -> Iterable[Matcher]:
    """The matchers of one text, which may hold several behind commas, in braces or without."""
    inside = line.strip().removeprefix("{").removesuffix("}")
    for part in _PARTS.findall(inside):
        match = _MATCHER.fullmatch(part)
        if match:
            quoted, plain, op, value = match.groups()
            if len(value) > 1 and value.startswith('"') and value.endswith('"'):
                value = value[1:-1]
            yield Matcher(label=_unescaped(quoted) if quoted is not None else plain, op=op, value=_unescaped(value))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)


def accept(matchers: Matchers, labels: Mapping[str, str]) -> bool:
    """Whether an alert with exactly these labels matches."""
    return all(matcher.accepts(labels.get(matcher.label, "")) for matcher in matchers)
