"""The parts of every panel: queries, unit, thresholds and links, as plain data of Grafana 9.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, RED, BLUE, ORANGE, PURPLE, GREY = "green", "yellow", "red", "blue", "orange", "purple", "#8e8e8e"


class Target(Struct, frozen=True, kw_only=True):
    """One query of a panel. `instant`: only the newest value. `table`: rows with a column for each label."""

    expr: str
    legend: str = "__auto"
    instant: bool = False
    table: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """From `value` on, the colour is `color`. The first step has the value None: from minus infinity."""

    color: str
    value: Decimal | None = None


class View(Struct, frozen=True, kw_only=True):
    """A panel without a place: the fields that all types share. Sizes are cells of Grafana's grid of 24 columns."""

    title: str
    description: str
    unit: str
    targets: tuple[Target, ...]
    width: int
    height: int
    steps: tuple[Step, ...] = (Step(color=GREEN),)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    decimals: int | None = None
    no_value: str = "no data"
    mappings: tuple[Json, ...] = ()
    overrides: tuple[Json, ...] = ()
    links: tuple[Json, ...] = ()  # in the panel's header
    data_links: tuple[Json, ...] = ()  # on a value
    transformations: tuple[Json, ...] = ()
    time_from: str = ""  # the panel's own time range, whatever range the dashboard shows


def assemble(kind: str, view: View, *, color: str, custom: Mapping[str, Any], options: Mapping[str, Any]) -> Json:
    """The panel as Grafana stores it. The layout gives `id` and the place in `gridPos`."""
    defaults: Json = {
        "color": {"mode": color},
        "custom": dict(custom),
        "mappings": list(view.mappings),
        "noValue": view.no_value,
        "thresholds": thresholds(view.steps),
        "unit": view.unit,
    }
    for key, value in (("min", view.minimum), ("max", view.maximum)):
        if value is not None:
            defaults[key] = number(value)
    if view.decimals is not None:
        defaults["decimals"] = view.decimals
    if view.data_links:
        defaults["links"] = list(view.data_links)
    panel: Json = {
        "type": kind,
        "title": view.title,
        "description": view.description,
        "datasource": DATASOURCE,
        "targets": [_target(index, target) for index, target in enumerate(view.targets)],
        "fieldConfig": {"defaults": defaults, "overrides": list(view.overrides)},
        "options": dict(options),
        "links": list(view.links),
        "transparent": False,
        "gridPos": {"h": view.height, "w": view.width},
    }
    if view.transformations:
        panel["transformations"] = list(view.transformations)
    if view.time_from:
        panel["timeFrom"] = view.time_from
    return panel


def reference(index: int) -> str:
    """Grafana's name of a query: A … Z, AA, AB and further."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _target(index: int, target: Target) -> Json:
    return {
        "refId": reference(index),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": target.expr,
        "format": "table" if target.table else "time_series",
        "instant": target.instant,
        "range": not target.instant,
        "legendFormat": target.legend,
    }


def thresholds(steps: Sequence[Step]) -> Json:
    """Steps as Grafana stores them, also for an override of one field."""
    found = [{"color": step.color, "value": None if step.value is None else number(step.value)} for step in steps]
    return {"mode": "absolute", "steps": found}


def number(value: Decimal) -> int | float:
    """A JSON number; whole numbers have no decimal point."""
    return int(value) if value == value.to_integral_value() else float(value)


def value_mapping(texts: Mapping[int, tuple[str, str]]) -> Json:
    """Text and colour instead of a number that stands for a state."""
    options = {
        str(value): {"text": text, "color": color, "index": index}
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return {"type": "value", "options": options}


def range_mapping(start: Decimal | None, end: Decimal | None, text: str, color: str) -> Json:
    """Text and colour for a range of numbers, both ends included; None = open."""
    limits = {
        "from": None if start is None else number(start),
        "to": None if end is None else number(end),
    }
    return {"type": "range", "options": {**limits, "result": {"text": text, "color": color, "index": 0}}}


def nan_mapping(text: str) -> Json:
    """Text for 0/0, a ratio without events."""
    return {"type": "special", "options": {"match": "nan", "result": {"text": text, "color": GREY, "index": 0}}}


def override(field: str, properties: Mapping[str, Any]) -> Json:
    """An override of the field of that name."""
    found = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": field}, "properties": found}


def rising(yellow: Decimal, red: Decimal) -> tuple[Step, ...]:
    """Green, yellow from one value on, red from another."""
    return (Step(color=GREEN), Step(color=YELLOW, value=yellow), Step(color=RED, value=red))


def falling(yellow: Decimal, red: Decimal) -> tuple[Step, ...]:
    """Red at `red` and below, yellow at `yellow` and below, green above.

    Grafana's steps include their own value and go upwards. Each step therefore begins a thousandth of the gap higher:
    with `falling: [1, 0]`, 0 is red, 1 is yellow and 2 is green.
    """
    just_above = (yellow - red) / 1000
    return (
        Step(color=RED),
        Step(color=YELLOW, value=red + just_above),
        Step(color=GREEN, value=yellow + just_above),
    )


def reduce_last(values: Sequence[str] = ("lastNotNull",)) -> Json:
    """How Grafana takes a single value from each series."""
    return {"calcs": list(values), "fields": "", "values": False}
