"""Checks of whole specs: each section against the others, and specs against each other. The registry is `CHECKS`.

Each check is a module with `check(output_set, problems)`; `references` calls the checks of single sections. This wing
may import `model` and what lies below it, never a renderer. Begin to read with `tiers`, a short check.
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
