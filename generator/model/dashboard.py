"""Panels that a spec adds to its dashboard: the values of its `dashboard` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, field

from freezeline.problems import Position
from generator.units import HOUR, SECOND

DEFAULT_REFRESH_MS = 30 * SECOND


DEFAULT_RANGE_MS = 6 * HOUR


class PanelQuery(Struct, frozen=True, kw_only=True):
    """One query of a panel. `legend` is Grafana's legend format; Grafana makes the legend from the labels if empty."""

    expr: str
    legend: str = ""


class Thresholds(Struct, frozen=True, kw_only=True):
    """Where a value turns yellow and red, in the panel's unit. `falling`: low values are bad."""

    yellow: Decimal
    red: Decimal
    falling: bool = False


class Link(Struct, frozen=True, kw_only=True):
    """A link to a further page: its text and its URL."""

    title: str
    url: str


class PanelSpec(Struct, frozen=True, kw_only=True):
    """One panel that the spec adds. `unit` is Grafana's id of a unit."""

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
    """What a spec decides about its dashboard."""

    refresh_ms: int = DEFAULT_REFRESH_MS
    range_ms: int = DEFAULT_RANGE_MS
    panels: tuple[PanelSpec, ...] = ()
    links: tuple[Link, ...] = ()
    position: Position = field(default_factory=lambda: Position("-"))
