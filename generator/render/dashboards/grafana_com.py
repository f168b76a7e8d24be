"""The dashboards in the form for grafana.com: with `__inputs` instead of a data source variable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from generator.render.dashboards.dashboard import export

DASHBOARDS = "dashboards/grafana-com/"
_DASHBOARD = re.compile(r"dashboards/[^/]+\.json")


def wrap(outputs: Mapping[str, bytes]) -> dict[str, bytes]:
    """The outputs, with dashboards in the form for grafana.com; other files unchanged."""
    found: dict[str, bytes] = {}
    for path, content in outputs.items():
        if _DASHBOARD.fullmatch(path):
            text = json.dumps(export(json.loads(content)), indent=2, ensure_ascii=False)
            found[DASHBOARDS + PurePosixPath(path).name] = f"{text}\n".encode()
        else:
            found[path] = content
    return found
