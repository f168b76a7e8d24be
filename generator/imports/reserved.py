"""Groups by labels that Freezeline's own series use, such as `service`: an SLO keeps the groups under another name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from generator.imports.base import ForeignReader
from generator.names import RESERVED_LABELS

# A histogram's bounds and a metric's name are no labels to group by, under whatever name.
_NEVER = frozenset({"le", "quantile", "__name__"})


def renames(by: Iterable[str]) -> dict[str, str]:
    """Each reserved label of a grouping, and its new name. Prometheus itself calls a label in the way `exported_…`."""
    labels = set(by)
    found = {}
    for label in sorted(labels & (RESERVED_LABELS - _NEVER)):
        name = f"exported_{label}"
        while name in labels:
            name = f"exported_{name}"
        found[label] = name
    return found


def renamed(by: Iterable[str]) -> tuple[str, ...]:
    """The grouping with its new names."""
    new = renames(by)
    return tuple(sorted(new.get(label, label) for label in by))


def grouped(function: str, text: str, by: Iterable[str]) -> str:
    """`function by (…) (…)` of a query, each reserved label copied to its new name."""
    labels = tuple(by)
    for label, name in renames(labels).items():
        text = f'label_replace({text}, "{name}", "$1", "{label}", "(.*)")'
    return f"{function} by ({', '.join(renamed(labels))}) ({text})" if labels else f"{function}({text})"


def warn(reader: ForeignReader, key: str, new: Mapping[str, str]) -> None:
    """Warn of labels that have another name now."""
    for label, name in new.items():
        message = f"the group's label {label} becomes {name}: Freezeline's own series use {label}"
        hint = (
            f"use {name} in routes and dashboards; rename {label} with `metric_relabel_configs` to count by selectors"
        )
        reader.problems.add("import/renamed", reader.at(key), message, hint, warning=True)
