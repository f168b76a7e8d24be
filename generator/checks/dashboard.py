"""Whether a reader can tell the panels of `dashboard` apart, and whether a refresh shows new data."""

from __future__ import annotations

from freezeline.problems import Position, Problems
from generator.model.spec import Spec
from generator.units import duration_text


def check(spec: Spec, problems: Problems) -> None:
    """Report two panels with one title, and a refresh that is shorter than a scrape."""
    section = spec.dashboard
    if section is None:
        return
    seen: dict[str, Position] = {}
    for panel in section.panels:
        first = seen.setdefault(panel.title, panel.position)
        if first != panel.position:
            hint = f"write another `title:`; the panel on line {first.line} has this one"
            message = f"two panels have the title {panel.title!r}"
            problems.add("dashboard/duplicate-panel", panel.position, message, hint)
    if section.refresh_ms < spec.defaults.scrape_ms:
        message = f"`refresh` is {duration_text(section.refresh_ms)}, shorter than the scrape interval"
        hint = f"write `refresh: {duration_text(spec.defaults.scrape_ms)}` or more"
        problems.add("dashboard/refresh", section.position, message, hint, warning=True)
