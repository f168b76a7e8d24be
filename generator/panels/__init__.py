"""The family of Grafana panels: one file per panel type, and the registry `PANELS` in this file.

This wing imports nothing else of the generator: a panel is plain data, as Grafana 9.0 stores it. Begin to read with
`base`, then with `stat`, the smallest member.
"""

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
