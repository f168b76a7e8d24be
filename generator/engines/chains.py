"""Which rules of a group read what other rules of the same group record, and at which instant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from generator.render.rules.rule_file import Rule

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_READ = re.compile(
    rf"(?P<metric>(?:slo|freezeline):[A-Za-z0-9_:]+)(?P<matchers>\{{(?:[^\"{{}}]|{_QUOTED})*\}})"
    r"(?P<range>\[[^\]]*\])?(?P<offset> offset )?"
)
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')


class Read(Struct, frozen=True, kw_only=True):
    """One selector of a recorded series in an expression; `start` and `end` are the place of the selector."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    start: int
    end: int
    ranged: bool
    past: bool
    """Whether the selector reads only an earlier instant."""

    def may_select(self, rule: Rule) -> bool:
        """Whether the selector finds what the rule records, as far as the rule's own labels tell."""
        if rule.record != self.metric:
            return False
        return all(
            _holds(operator, rule.labels.get(label, ""), value)
            for label, operator, value in self.matchers
            if label in rule.labels or not value
        )


def _holds(operator: str, found: str, wanted: str) -> bool:
    plain = wanted.replace('\\"', '"').replace("\\\\", "\\")
    equal = found == plain if operator in {"=", "!="} else re.fullmatch(plain, found) is not None
    return equal if operator in {"=", "=~"} else not equal


def reads(expr: str) -> Iterator[Read]:
    """The recorded series that an expression reads, in order."""
    for found in _READ.finditer(expr):
        yield Read(
            metric=found["metric"],
            matchers=tuple(_MATCHER.findall(found["matchers"])),
            start=found.start(),
            end=found.end("matchers"),
            ranged=found["range"] is not None,
            past=found["offset"] is not None,
        )


def producers(read: Read, earlier: Sequence[Rule]) -> list[Rule]:
    """The earlier rules of the group whose results of the same instant the selector finds."""
    return [] if read.past else [rule for rule in earlier if read.may_select(rule)]


def families(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Rules that read each other at the same instant, together and in order."""
    found: list[list[Rule]] = []
    for at, rule in enumerate(rules):
        earlier = rules[:at]
        read = [other for each in reads(rule.expr) for other in producers(each, earlier)]
        joined = [family for family in found if any(member in read for member in family)]
        apart = [family for family in found if family not in joined]
        merged = sorted((member for family in joined for member in family), key=earlier.index)
        found = [*apart, [*merged, rule]]
    return found
