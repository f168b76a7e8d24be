"""The table panel as HTML: merged rows; ordered, renamed, hidden and coloured columns."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from devtools.pictures.values import Field

Row = dict[str, Any]


def merged(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Row]:
    """Rows of several instant answers, by ref id. Rows that agree in the labels of all answers are merged."""
    several = len(answers) > 1
    label_sets = [set().union(*(series["metric"] for series in found)) for found in answers.values() if found]
    common = set.intersection(*label_sets) if label_sets else set()
    rows: dict[tuple[tuple[str, str], ...], Row] = {}
    for ref_id, found in answers.items():
        column = f"Value #{ref_id}" if several else "Value"
        for series in found:
            key = tuple(sorted((name, series["metric"].get(name, "")) for name in common))
            row = rows.setdefault(key, {})
            row.update(series["metric"])
            row[column] = float(series["value"][1])
    return list(rows.values())


def html(panel: Mapping[str, Any], answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The table; without rows, the text of an empty panel."""
    rows = merged(answers)
    if not rows:
        words = panel["fieldConfig"]["defaults"].get("noValue", "no data")
        return f'<div class="nothing">{escape(words)}</div>'
    columns = _columns(panel, rows)
    fields = {name: Field.of(panel, heading) for name, heading in columns}
    shown = {fields[name].config.get("displayName", heading): name for name, heading in columns}
    for sort in reversed(panel["options"]["sortBy"]):
        rows.sort(key=_order(shown.get(sort["displayName"], "")), reverse=sort["desc"])
    kept = [(name, heading) for name, heading in columns if not fields[name].config["custom"].get("hidden")]
    head = "".join(f"<th>{escape(fields[name].config.get('displayName', heading))}</th>" for name, heading in kept)
    body = "".join("<tr>" + "".join(_cell(row.get(name), fields[name]) for name, _ in kept) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _columns(panel: Mapping[str, Any], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(source, heading) of each column, in the order of the panel's transformation."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    options: Mapping[str, Any] = next(
        (item["options"] for item in panel.get("transformations", ()) if item["id"] == "organize"), {}
    )
    hidden, order, renamed = (options.get(key, {}) for key in ("excludeByName", "indexByName", "renameByName"))
    names = [name for name in names if not hidden.get(name)]
    names.sort(key=lambda name: order.get(name, 99))
    return [(name, renamed.get(name, name)) for name in names]


def _order(column: str) -> Callable[[Row], tuple[int, float, str]]:
    """How to sort rows by a column: numbers, then texts, then missing values."""

    def key(row: Row) -> tuple[int, float, str]:
        value = row.get(column)
        if isinstance(value, float) and not math.isnan(value):
            return 0, value, ""
        return (1, 0.0, value) if isinstance(value, str) else (2, 0.0, "")

    return key


def _cell(value: object, field: Field) -> str:
    link = ' class="link"' if field.config.get("links") else ""
    if not isinstance(value, float):
        words, color = field.word("" if value is None else str(value))
        style = f' style="color:{color}"' if color else ""
        return f"<td{style}><span{link}>{escape(words)}</span></td>"
    color, mode = field.color(value), field.config["custom"].get("displayMode", "auto")
    style = ""
    if mode == "color-background":
        style = f' style="background:{color};color:#111217;font-weight:600"'
    elif mode == "color-text":
        style = f' style="color:{color};font-weight:600"'
    return f"<td{style}><span{link}>{escape(field.text(value))}</span></td>"
