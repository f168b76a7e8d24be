"""The dashboards in the form for grafana.com: with `__inputs` instead of a data source variable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import PurePosixPath

from generator.panels.base import DATASOURCE, Json
from generator.render.dashboards.dashboard import all_panels

DASHBOARDS = "dashboards/grafana-com/"
OLDEST_GRAFANA = "9.0.0"
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


def export(dashboard: Json) -> Json:
    """The form for grafana.com: it asks for the data source as an input instead of a variable."""
    exported = deepcopy(dashboard)
    variables = exported["templating"]["list"]
    exported["templating"]["list"] = [item for item in variables if item["name"] != "datasource"]
    _replace_datasource(exported, {**DATASOURCE, "uid": "${DS_PROMETHEUS}"})
    inputs = [
        {
            "name": "DS_PROMETHEUS",
            "label": "Data source",
            "description": "The Prometheus that evaluates the generated rules",
            "type": "datasource",
            "pluginId": "prometheus",
            "pluginName": "Prometheus",
        }
    ]
    kinds = sorted({panel["type"] for panel in all_panels(exported)} - {"row"})
    needed = [{"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds]
    requires = [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": OLDEST_GRAFANA},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *needed,
    ]
    return {"__inputs": inputs, "__elements": {}, "__requires": requires, **exported}


def _replace_datasource(node: object, new: Json) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "datasource" and value == DATASOURCE:
                node[key] = new
            else:
                _replace_datasource(value, new)
    elif isinstance(node, list):
        for item in node:
            _replace_datasource(item, new)
