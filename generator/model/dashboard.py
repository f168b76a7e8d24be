"""Panels that a spec adds to its dashboard: the values of its `dashboard` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, field

from freezeline.problems import Position
from generator.units import HOUR, SECOND

DEFAULT_REFRESH_MS = 30 * SECOND


DEFAULT_RANGE_MS = 6 * HOUR


class PanelQuery(Struct, frozen=True, kw_only=True):
    """One query of a panel. `legend` is Grafana's legend format; empty = made from the labels."""

    expr: str
    legend: str = ""


class Thresholds(Struct, frozen=True, kw_only=True):
    """Where a value turns yellow and where red, in the panel's unit; `falling` = low values are the bad ones."""

    yellow: Decimal
    red: Decimal
    falling: bool = False


class Link(Struct, frozen=True, kw_only=True):
    """A drill-down: what it says, and where it leads."""

    title: str
    url: str


class PanelSpec(Struct, frozen=True, kw_only=True):
    """One panel of the owner's own. `unit` is Grafana's id of a unit."""

    title: str
    type: str
    queries: tuple[PanelQuery, ...]
    unit: str
    position: Position
    description: str = ""
    thresholds: Thresholds | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    decimals: int | None = None
    links: tuple[Link, ...] = ()


class Dashboard(Struct, frozen=True, kw_only=True):
    """What the owner decides about the dashboard of one spec."""

    refresh_ms: int = DEFAULT_REFRESH_MS
    range_ms: int = DEFAULT_RANGE_MS
    panels: tuple[PanelSpec, ...] = ()
    links: tuple[Link, ...] = ()
    position: Position = field(default_factory=lambda: Position("-"))
