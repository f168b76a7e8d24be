"""Whether the panels of `dashboard` can be told apart and change between two refreshes."""

from __future__ import annotations

from freezeline.problems import Position, Problems
from generator.model.spec import Spec
from generator.units import duration_text


def check(spec: Spec, problems: Problems) -> None:
    """What only the whole spec shows: panels that cannot be told apart, a refresh that shows nothing new."""
    section = spec.dashboard
    if section is None:
        return
    seen: dict[str, Position] = {}
    for panel in section.panels:
        first = seen.setdefault(panel.title, panel.position)
        if first != panel.position:
            hint = f"the first is on line {first.line}"
            message = f"a second panel has the title {panel.title!r}"
            problems.add("dashboard/duplicate-panel", panel.position, message, hint)
    if section.refresh_ms < spec.defaults.scrape_ms:
        message = f"refresh {duration_text(section.refresh_ms)} is shorter than a scrape"
        hint = f"nothing changes within {duration_text(spec.defaults.scrape_ms)}"
        problems.add("dashboard/refresh", section.position, message, hint, warning=True)
