"""Checks beyond single values: parts of a spec against each other, and specs against each other.

Each module has `CODES` (the problem codes that it can give) and `check(output_set, problems)`, or `check(spec,
problems)` for one section. The modules of `live` also ask a running Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from freezeline.problems import Problems
from generator.checks import grouping, measures, promises, references, selectors, tiers, unique, windows
from generator.model.spec import OutputSet

CHECKS: Mapping[str, Callable[[OutputSet, Problems], None]] = MappingProxyType(
    {
        "references": references.check,
        "unique": unique.check,
        "windows": windows.check,
        "tiers": tiers.check,
        "promises": promises.check,
        "grouping": grouping.check,
        "selectors": selectors.check,
        "measures": measures.check,
    }
)


def run(output_set: OutputSet, problems: Problems) -> None:
    """Run every check."""
    for check in CHECKS.values():
        check(output_set, problems)
