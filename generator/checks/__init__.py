"""Checks beyond single values: what a spec says against the rest of it, and specs against each other.

Each is a module of this package with `CODES` (problem codes that it can give) and `check(output_set, problems)`.
Those in `live` ask a Prometheus as well, and run only when there is one.
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
