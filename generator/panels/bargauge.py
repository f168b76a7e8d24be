"""`bargauge`: one bar per series, in the colour of its threshold."""

from __future__ import annotations

from generator.panels.base import Json, View, assemble, reduce_last
from generator.panels.gauge import with_ends

TYPE = "bargauge"


def build(view: View) -> Json:
    """The panel."""
    options: Json = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": reduce_last(),
        "showUnfilled": True,
        "text": {},
    }
    return assemble(TYPE, with_ends(view), color="thresholds", custom={}, options=options)
