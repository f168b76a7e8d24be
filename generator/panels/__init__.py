"""The panel types: one module for each, and this list of them. Begin with `stat.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from generator.panels import bargauge, gauge, stat, state_timeline, table, timeseries
from generator.panels.base import Json, View
from generator.panels.units import UNITS, is_unit

PANELS: Mapping[str, Callable[[View], Json]] = {
    stat.TYPE: stat.build,
    timeseries.TYPE: timeseries.build,
    gauge.TYPE: gauge.build,
    bargauge.TYPE: bargauge.build,
    table.TYPE: table.build,
    state_timeline.TYPE: state_timeline.build,
}

__all__ = ["PANELS", "UNITS", "is_unit"]
