"""`stat`: one number, large, in the colour of its threshold."""

from __future__ import annotations

from generator.panels.base import Json, View, assemble, reduce_last

TYPE = "stat"


def build(view: View, *, background: bool = True, sparkline: bool = False) -> Json:
    """The panel. `background` fills it with the colour, to be seen across a room."""
    options: Json = {
        "colorMode": "background" if background else "value",
        "graphMode": "area" if sparkline else "none",
        "justifyMode": "center",
        "orientation": "auto",
        "reduceOptions": reduce_last(),
        "text": {},
        "textMode": "auto",
    }
    return assemble(TYPE, view, color="thresholds", custom={}, options=options)
