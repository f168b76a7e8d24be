"""Grafana Mimir: by default a group has at most 20 rules (`-ruler.max-rules-per-rule-group`)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from generator.engines import chains
from generator.render.rules.rule_file import Group, Rule, RuleFile

MAX_RULES = 20


def adapt(file: RuleFile, _scrape_ms: int) -> RuleFile:
    """The rule file with its larger groups in parts. Rules that read each other stay together, in their order."""
    return replace(file, groups=tuple(part for group in file.groups for part in _parts(group)))


def _parts(group: Group) -> Iterable[Group]:
    if len(group.rules) <= MAX_RULES:
        return [group]
    packed: list[list[Rule]] = []
    for family in chains.families(group.rules):
        if not packed or len(packed[-1]) + len(family) > MAX_RULES:
            packed.append([])
        packed[-1] += family
    return [
        replace(group, name=f"{group.name}-part-{number}" if number > 1 else group.name, rules=tuple(rules))
        for number, rules in enumerate(packed, start=1)
    ]
