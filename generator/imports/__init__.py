"""The family of importers from other SLO tools: one file per tool, and the registry `IMPORTERS` in this file.

An importer reads documents of its tool and gives SLOs as a spec would write them; no foreign format leaves this wing.
This wing may import `pipeline` and what lies below it. Begin to read with `base`, then with `sloth`.
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
