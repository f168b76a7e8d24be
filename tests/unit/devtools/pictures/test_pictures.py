"""The tool that draws the documentation's pictures: numbers, colours and rows as Grafana would show them."""

import math
from decimal import Decimal

import pytest

from devtools.pictures import tables
from devtools.pictures.charts import CHARTS, Canvas, Series
from devtools.pictures.values import Field, with_unit
from generator.panels import PANELS
from generator.panels.base import RED, Json, Target, View, falling, override, value_mapping
from generator.panels.table import joined


def view(**more: object) -> View:
    """A view with what every panel needs."""
    wanted: Json = {"title": "A", "description": "A panel", "unit": "short", "targets": (Target(expr="up"),)}
    return View(**(wanted | {"width": 6, "height": 4} | more))


@pytest.mark.parametrize(
    "value,unit,decimals,shown",
    [
        (0.99875, "percentunit", 3, "99.875%"),
        (33.3, "percent", None, "33.3%"),
        (7200, "s", 1, "2.0 hours"),
        (1500, "ms", None, "1.5 s"),
        (0.25, "s", None, "250 ms"),
        (5920, "short", None, "5.92 K"),
        (14.4, "suffix:×", 2, "14.40×"),
        (65.54, "reqps", None, "65.5 req/s"),
        (math.nan, "short", None, "NaN"),
        (math.inf, "s", None, "∞"),
    ],
)
def test_numbers_have_their_unit(value: float, unit: str, decimals: int | None, shown: str) -> None:
    """As Grafana writes them, near enough."""
    assert with_unit(value, unit, decimals) == shown


def test_a_value_has_the_colour_of_its_step_or_mapping() -> None:
    """The mapping wins."""
    texts = value_mapping({7: ("seven", RED)})
    field = Field.of(PANELS["gauge"](view(steps=falling(Decimal(1), Decimal(0)), mappings=(texts,))), "")
    assert [field.color(value) for value in (0, 1, 2, 7)] == ["#f2495c", "#f2cc0c", "#73bf69", "#f2495c"]
    assert (field.text(7), field.text(None)) == ("seven", "no data")


def test_an_override_changes_the_field_that_it_names_only() -> None:
    """By its shown name."""
    panel = PANELS["table"](view(overrides=(override("Left", {"unit": "percentunit", "custom.hidden": True}),)))
    assert (Field.of(panel, "Left").text(0.5), Field.of(panel, "Right").text(0.5)) == ("50%", "0.50")
    assert Field.of(panel, "Left").config["custom"]["hidden"] is True


def test_rows_of_several_queries_meet_in_their_common_labels() -> None:
    """As Grafana's merge does: the labels that all answers have."""
    answers: Json = {
        "A": [
            {"metric": {"service": "a", "team": "x"}, "value": [0, "1"]},
            {"metric": {"service": "b"}, "value": [0, "2"]},
        ],
        "B": [{"metric": {"service": "a"}, "value": [0, "3"]}],
    }
    assert tables.merged(answers) == [
        {"service": "a", "team": "x", "Value #A": 1.0, "Value #B": 3.0},
        {"service": "b", "Value #A": 2.0},
    ]


def test_a_table_is_sorted_renamed_and_escaped() -> None:
    """A label can hold anything."""
    panel = PANELS["table"](view(transformations=joined(("service", "Value"), {"Value": "Left"})))
    panel["options"]["sortBy"] = [{"displayName": "Left", "desc": False}]
    rows = [("b", "2"), ("<script>", "1")]
    found = tables.html(panel, {"A": [{"metric": {"service": name}, "value": [0, value]} for name, value in rows]})
    assert found.index("&lt;script&gt;") < found.index("<span>b</span>")
    assert "<th>Left</th>" in found


def test_a_table_is_sorted_by_the_first_column_first() -> None:
    """And by the next where that is equal, by the names that are shown."""
    panel = PANELS["table"](view(overrides=(override("severity", {"displayName": "Severity"}),)))
    panel["options"]["sortBy"] = [{"displayName": "Value", "desc": True}, {"displayName": "Severity", "desc": False}]
    rows = [("warning", "1"), ("critical", "1"), ("info", "2")]
    found = tables.html(panel, {"A": [{"metric": {"severity": name}, "value": [0, value]} for name, value in rows]})
    assert [found.index(name) for name in ("info", "critical", "warning")] == sorted(
        found.index(name) for name in ("info", "critical", "warning")
    )


@pytest.mark.parametrize("kind", sorted(CHARTS))
def test_every_type_of_panel_is_drawn(kind: str) -> None:
    """Values that are not numbers do not stop it."""
    series = [
        Series(name="one & two", points=[(0, 1.0), (15, math.nan), (30, 2.0)]),
        Series(name="b", points=[(30, 0.0)]),
    ]
    panel = PANELS[kind](view(maximum=None))
    drawn = CHARTS[kind](Canvas(panel=panel, series=series, width=400, height=300, start=0, end=30))
    assert "<" in drawn
    assert "nan" not in drawn


def test_every_type_but_the_table_has_a_chart() -> None:
    """Tables are HTML."""
    assert set(CHARTS) | {"table"} == set(PANELS)
