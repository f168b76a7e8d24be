"""`timeseries`: lines over time; thresholds are lines, with areas behind them."""

from __future__ import annotations

from generator.panels.base import RED, Json, View, assemble

TYPE = "timeseries"


def build(view: View, *, from_zero: bool = False) -> Json:
    """The panel. The axis begins at zero, unless low values are bad: then the interesting part is at the top.

    `from_zero` makes the axis begin at zero even then, for values that are used up.

    Lines have the classic palette, and thresholds a style of their own. In the colour mode *thresholds*, a line would
    vanish where the threshold's colour is transparent.
    """
    custom: Json = {
        "axisLabel": "",
        "axisPlacement": "auto",
        "barAlignment": 0,
        "drawStyle": "line",
        "fillOpacity": 10 if len(view.targets) == 1 else 0,
        "gradientMode": "none",
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "lineInterpolation": "linear",
        "lineWidth": 2,
        "pointSize": 5,
        "scaleDistribution": {"type": "linear"},
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "none"},
        "thresholdsStyle": {"mode": "line+area" if len(view.steps) > 1 else "off"},
    }
    low_is_bad = view.steps[0].color == RED
    if view.minimum is None and (from_zero or not low_is_bad):
        custom["axisSoftMin"] = 0
    options: Json = {
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return assemble(TYPE, view, color="palette-classic", custom=custom, options=options)
