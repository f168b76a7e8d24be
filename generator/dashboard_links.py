"""Where a spec's dashboard is found: Grafana's uids, and URLs with them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from generator.digest import digest

MAX_UID = 40
OVERVIEW = "overview"

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


def dashboard_url(grafana: str, spec_name: str, variables: Mapping[str, str] | None = None) -> str:
    """Where a spec's dashboard opens. `grafana` is the base URL, with or without a path and trailing slash.

    `variables` are values of the dashboard's variables. They are put in as they are, so that an alert can write its own
    template: `{"route": "{{ $labels.route | urlquery }}"}`. Returns "" where no Grafana is known.
    """
    if not grafana:
        return ""
    uid = dashboard_uid(spec_name)
    query = "&".join(f"var-{name}={value}" for name, value in (variables or {}).items())
    return f"{grafana.rstrip('/')}/d/{uid}/{uid}" + (f"?{query}" if query else "")
