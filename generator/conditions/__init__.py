"""The family of conditions of plain alerts: one file per condition, and the registry `CONDITIONS` in this file.

The key by which an alert is recognised names the condition. This wing may import `sli`, `reading`, `promql` and
`units`. Begin to read with `base`, which says what every condition offers, then with `when`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from generator.conditions import increase_of, quantile_of, ratio, when
from generator.conditions.base import THRESHOLDS, Condition, Threshold
from generator.reading.reader import Reader

__all__ = ["CONDITIONS", "Condition", "Threshold", "parse"]

CONDITIONS: Mapping[str, Callable[[Reader], Condition]] = MappingProxyType(
    {
        "when": when.parse,
        "ratio": ratio.parse,
        "increase_of": increase_of.parse_increase,
        "changes_of": increase_of.parse_changes,
        **{key: quantile_of.parser(key) for key in quantile_of.QUANTILES},
    }
)


_PARAMETERS = ("over", "by", "native", *THRESHOLDS)


def parse(reader: Reader) -> Condition | None:
    """Read the condition of an alert. None if the alert has no condition, or several (reported)."""
    kinds = [key for key in CONDITIONS if reader.has(key)]
    if len(kinds) != 1:
        wanted = ", ".join(f"`{key}`" for key in CONDITIONS)
        message = "has more than one condition" if kinds else "has no condition"
        reader.fail("spec/condition", f"{reader.what} {message}", f"write exactly one of {wanted}")
        for key in _PARAMETERS:
            reader.has(key)  # nobody knows which condition these keys belong to: one problem is enough
        return None
    return CONDITIONS[kinds[0]](reader)
