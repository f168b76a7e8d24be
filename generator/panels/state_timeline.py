"""`state-timeline`: one bar per series that changes its colour and text with its state."""

from __future__ import annotations

from generator.panels.base import Json, View, assemble

TYPE = "state-timeline"


def build(view: View) -> Json:
    """The panel."""
    custom: Json = {
        "fillOpacity": 80,
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "lineWidth": 0,
        "spanNulls": False,
    }
    options: Json = {
        "alignValue": "center",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom"},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return assemble(TYPE, view, color="thresholds", custom=custom, options=options)
