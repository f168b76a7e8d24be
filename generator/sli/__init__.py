"""The family of SLI types: one file per type, and the registry `SLI_TYPES` in this file.

The key by which a spec's `sli:` is recognised names the type. This wing may import `reading`, `promql` and `units`.
Begin to read with `base`, which says what every SLI type offers, then with `bad_total`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from generator.reading.reader import Reader
from generator.sli import bad_total, error_ratio, good_total, histogram, time_slices
from generator.sli.base import BaseContext, BaseQueries, Sli

__all__ = ["SLI_TYPES", "BaseContext", "BaseQueries", "Sli", "parse"]

SLI_TYPES: Mapping[str, Callable[[Reader], Sli]] = MappingProxyType(
    {
        "bad": bad_total.parse,
        "good": good_total.parse,
        "histogram": histogram.parse,
        "error_ratio": error_ratio.parse,
        "good_when": time_slices.parse_good_when,
        "value": time_slices.parse_value,
    }
)


def parse(reader: Reader) -> Sli | None:
    """Read an `sli:` mapping. None if the mapping names no type, or several (reported)."""
    kinds = [key for key in SLI_TYPES if reader.has(key)]
    if len(kinds) != 1:
        wanted = ", ".join(f"`{key}`" for key in SLI_TYPES)
        message = "has the keys of several types" if kinds else "has no key that names its type"
        reader.fail("spec/sli-type", f"{reader.what} {message}", f"write exactly one of {wanted}")
        return None
    parsed = SLI_TYPES[kinds[0]](reader)
    reader.finish()
    return parsed
