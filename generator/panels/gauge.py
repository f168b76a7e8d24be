"""`gauge`: a number on a dial that shows where green, yellow and red are."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from generator.panels.base import Json, View, assemble, reduce_last

TYPE = "gauge"

# A dial needs both ends; the ends of shares are known.
_ENDS = {"percent": Decimal(100), "percentunit": Decimal(1)}


def build(view: View) -> Json:
    """The panel."""
    options: Json = {
        "orientation": "auto",
        "reduceOptions": reduce_last(),
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "text": {},
    }
    return assemble(TYPE, with_ends(view), color="thresholds", custom={}, options=options)


def with_ends(view: View) -> View:
    """The view with the natural ends of its unit, if the spec has none: 0, and 100 % for shares."""
    minimum = Decimal(0) if view.minimum is None else view.minimum
    maximum = _ENDS.get(view.unit) if view.maximum is None else view.maximum
    return replace(view, minimum=minimum, maximum=maximum)
