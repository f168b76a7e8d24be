"""Where a spec's dashboard is found: Grafana's uids, and URLs with them."""

from __future__ import annotations

import re

from generator.text.digest import digest

MAX_UID = 40
OVERVIEW = "overview"

DATASOURCE = "datasource"  # a variable that every dashboard has
PREFIX = "label_"  # before a label of that name

_UID_PREFIX = "freezeline-"


def dashboard_uid(spec_name: str) -> str:
    """Grafana's uid of a spec's dashboard: the same for ever, at most 40 characters, no spaces and no dots."""
    plain = _UID_PREFIX + spec_name
    if re.fullmatch(rf"[A-Za-z0-9_-]{{1,{MAX_UID}}}", plain):
        return plain
    suffix = digest(spec_name.encode())[:8]
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", spec_name).strip("-")
    return f"{_UID_PREFIX}{slug[: MAX_UID - len(_UID_PREFIX) - 9]}-{suffix}"


def overview_uid(scope: str) -> str:
    """Grafana's uid of the overview of an output set; sets in one Grafana have one each."""
    return dashboard_uid(f"{OVERVIEW}/{scope}")  # no spec's name holds a slash


def variable(label: str) -> str:
    """The dashboard variable for a `group_by` label; Grafana keeps some names for itself."""
    return PREFIX + label if label == DATASOURCE or label.startswith("__") else label


def dashboard_url(grafana: str, spec_name: str) -> str:
    """Where a spec's dashboard opens. `grafana` is the base URL, with or without a path and trailing slash.

    Returns "" where no Grafana is known.
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
