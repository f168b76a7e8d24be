"""`table`: a row per set of labels, a column per label and query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generator.panels.base import Json, View, assemble

TYPE = "table"


def build(view: View, *sort_by: tuple[str, bool]) -> Json:
    """The panel, sorted by these columns: (shown name, whether descending)."""
    custom: Json = {"align": "auto", "displayMode": "auto", "filterable": False, "inspect": False}
    options: Json = {
        "footer": {"fields": "", "reducer": ["sum"], "show": False},
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"desc": descending, "displayName": name} for name, descending in sort_by],
    }
    return assemble(TYPE, view, color="thresholds", custom=custom, options=options)


def joined(columns: Sequence[str], rename: Mapping[str, str], hidden: Sequence[str] = ()) -> tuple[Json, ...]:
    """One table from several queries: rows with equal labels are merged; `columns` gives order and names.

    All queries must keep the same labels (`max by (…)`), or their rows do not meet.
    """
    organize = {
        "excludeByName": dict.fromkeys(("Time", "__name__", *hidden), True),
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": dict(rename),
    }
    return ({"id": "merge", "options": {}}, {"id": "organize", "options": organize})
