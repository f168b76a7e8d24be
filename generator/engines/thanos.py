"""Thanos Ruler: an evaluation fails unless every store answers. A missing store must not look like no errors."""

from __future__ import annotations

from msgspec.structs import replace

from generator.render.rules.rule_file import RuleFile


def adapt(file: RuleFile, _scrape_ms: int) -> RuleFile:
    """The rule file with Thanos' own strategy written out: `abort` is its default, and `warn` would be wrong here."""
    strict = {"partial_response_strategy": "abort"}
    return replace(file, groups=tuple(replace(group, options=strict) for group in file.groups))
