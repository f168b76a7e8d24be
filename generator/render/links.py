"""The addresses of dashboards: Grafana's uids, and URLs with these uids."""

from __future__ import annotations

import re

from generator.text.digest import digest

MAX_UID = 40
OVERVIEW = "overview"

DATASOURCE = "datasource"  # a variable of every dashboard
PREFIX = "label_"  # stands before a label of that name

_UID_PREFIX = "freezeline-"


def dashboard_uid(spec_name: str) -> str:
    """Grafana's uid of a spec's dashboard: it never changes, and has at most 40 characters without blanks and dots."""
    plain = _UID_PREFIX + spec_name
    if re.fullmatch(rf"[A-Za-z0-9_-]{{1,{MAX_UID}}}", plain):
        return plain
    suffix = digest(spec_name.encode())[:8]
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", spec_name).strip("-")
    return f"{_UID_PREFIX}{slug[: MAX_UID - len(_UID_PREFIX) - 9]}-{suffix}"


def overview_uid(scope: str) -> str:
    """Grafana's uid of the overview of an output set; each set in a Grafana has its own."""
    return dashboard_uid(f"{OVERVIEW}/{scope}")  # no name of a spec holds a slash


def variable(label: str) -> str:
    """The dashboard variable of a `group_by` label. Grafana reserves some names."""
    return PREFIX + label if label == DATASOURCE or label.startswith("__") else label


def dashboard_url(grafana: str, spec_name: str) -> str:
    """The address of a spec's dashboard. `grafana` is the base URL, with or without a path and a slash at its end.

    Returns "" without a Grafana.
    """
    if not grafana:
        return ""
    uid = dashboard_uid(spec_name)
    return f"{grafana.rstrip('/')}/d/{uid}/{uid}"


def link(template: str, **facts: str) -> str:
    """A URL with `{service}`, `{alert}`, `{slo}` filled in; other braces stay."""
    for name, value in facts.items():
        template = template.replace(f"{{{name}}}", value)
    return template
