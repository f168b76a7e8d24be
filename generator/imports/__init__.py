"""Imports from other SLO tools: each tool's name on the command line, with the reader of its files.

Begin with `pyrra.py`, one tool from file to SLOs; `assemble.py` writes and checks the specs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from generator.imports import openslo, pyrra, sloth
from generator.imports.base import Difference, Found
from generator.reading.source import Value

__all__ = ["IMPORTERS", "Importer"]


class Importer(Struct, frozen=True, kw_only=True):
    """One tool. `read` puts its documents into a `Found`; `differences` says what changes for all its SLOs."""

    title: str
    read: Callable[[Iterable[Value], Found], None]
    differences: Callable[[Found], list[Difference]]


IMPORTERS: Mapping[str, Importer] = MappingProxyType(
    {
        "sloth": Importer(title=sloth.TITLE, read=sloth.read, differences=sloth.differences),
        "pyrra": Importer(title=pyrra.TITLE, read=pyrra.read, differences=pyrra.differences),
        "openslo": Importer(title=openslo.TITLE, read=openslo.read, differences=openslo.differences),
    }
)
