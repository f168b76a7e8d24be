"""Which rules of a group read what other rules of the same group record, and at which instant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from generator import names
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


class Earlier:
    """The rules of a group so far, found by what they record. A spec's group may have thousands."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Rule]] = {}
        self._by_slo: dict[tuple[str, str], list[Rule]] = {}

    def add(self, rule: Rule) -> None:
        """Add the next rule."""
        if rule.record:
            self._by_name.setdefault(rule.record, []).append(rule)
            self._by_slo.setdefault((rule.record, rule.labels.get(names.SLO, "")), []).append(rule)

    def producers(self, read: Read) -> list[Rule]:
        """The rules whose results of the same instant the selector finds."""
        if read.past:
            return []
        of_slo = next((value for label, op, value in read.matchers if (label, op) == (names.SLO, "=") and value), "")
        if not of_slo:
            known = self._by_name.get(read.metric, [])
        else:
            known = [*self._by_slo.get((read.metric, of_slo), ()), *self._by_slo.get((read.metric, ""), ())]
        return [rule for rule in known if read.may_select(rule)]


def families(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Rules that read each other at the same instant, together and in order."""
    earlier = Earlier()
    family_of: dict[int, list[int]] = {}  # by the rule's identity: the members' places in the group
    for at, rule in enumerate(rules):
        members = [at]
        for read in reads(rule.expr):
            for other in earlier.producers(read):
                joined = family_of[id(other)]
                if joined is not members:
                    members = sorted({*members, *joined})
                    for member in members:
                        family_of[id(rules[member])] = members
        family_of[id(rule)] = members
        earlier.add(rule)
    distinct = {id(members): members for members in family_of.values()}
    return [[rules[at] for at in members] for members in sorted(distinct.values())]
