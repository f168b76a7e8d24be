"""Numbers as Grafana shows them: units, decimals, mappings, and colours of thresholds."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COLORS = {
    "green": "#73bf69",
    "yellow": "#f2cc0c",
    "red": "#f2495c",
    "blue": "#5794f2",
    "orange": "#ff9830",
    "purple": "#b877d9",
}
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#37872d", "#fa6400", "#447ebc")
_DURATIONS = ((86400 * 7, "weeks"), (86400, "days"), (3600, "hours"), (60, "mins"), (1, "s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """How the values of one series or column are shown: the defaults with the overrides."""

    config: Mapping[str, Any]

    @classmethod
    def of(cls, panel: Mapping[str, Any], name: str) -> "Field":
        """The field of that shown name in a panel."""
        config = dict(panel["fieldConfig"]["defaults"])
        config["custom"] = dict(config.get("custom", {}))
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["options"] != name:
                continue
            for item in override["properties"]:
                if item["id"].startswith("custom."):
                    config["custom"][item["id"].removeprefix("custom.")] = item["value"]
                else:
                    config[item["id"]] = item["value"]
        return cls(config=config)

    def color(self, value: float | None) -> str:
        """The colour of a value: from its mapping, else from its threshold."""
        mapped = self._mapped(value)
        if mapped is not None and mapped.get("color"):
            return css(mapped["color"])
        found = "green"
        for step in self.config["thresholds"]["steps"]:
            if step["value"] is None or (value is not None and value >= step["value"]):
                found = step["color"]
        return css(found)

    def text(self, value: float | None) -> str:
        """A value with its unit, or its text in a mapping."""
        mapped = self._mapped(value)
        if mapped is not None and mapped.get("text"):
            return str(mapped["text"])
        if value is None:
            return str(self.config.get("noValue", "no data"))
        return with_unit(value, self.config.get("unit", "short"), self.config.get("decimals"))

    def word(self, text: str) -> tuple[str, str | None]:
        """A text cell: its text and colour from the mapping."""
        for mapping in self.config.get("mappings", ()):
            if mapping["type"] == "value" and text in mapping["options"]:
                found = mapping["options"][text]
                return str(found.get("text", text)), css(found["color"]) if "color" in found else None
        return text, None

    def _mapped(self, value: float | None) -> Mapping[str, Any] | None:
        for mapping in self.config.get("mappings", ()):
            options = mapping["options"]
            if mapping["type"] == "special" and value is not None and math.isnan(value):
                result: Mapping[str, Any] = options["result"]
                return result
            if value is None or math.isnan(value):
                continue
            key = f"{value:.12g}"
            if mapping["type"] == "value" and key in options:
                found: Mapping[str, Any] = options[key]
                return found
            if mapping["type"] == "range":
                low, high = options["from"], options["to"]
                if (low is None or value >= low) and (high is None or value <= high):
                    ranged: Mapping[str, Any] = options["result"]
                    return ranged
        return None


def css(color: str) -> str:
    """Grafana's colour names as CSS."""
    return COLORS.get(color, color)


def with_unit(value: float, unit: str, decimals: int | None) -> str:
    """A number in its unit."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if unit == "percentunit":
        return f"{_plain(value * 100, decimals)}%"
    if unit == "percent":
        return f"{_plain(value, decimals)}%"
    if unit in ("s", "ms"):
        return _duration(value if unit == "s" else value / 1000, decimals)
    if unit == "reqps":
        return f"{_short(value, decimals)} req/s"
    if unit == "dateTimeFromNow":
        return f"{_duration(max(time.time() - value / 1000, 0), 0)} ago"
    if unit.startswith("suffix:"):
        return _plain(value, decimals) + unit.removeprefix("suffix:")
    return _short(value, decimals) if unit == "short" else _plain(value, decimals)


def _duration(seconds: float, decimals: int | None) -> str:
    size = abs(seconds)
    if size < 1:
        return f"{_plain(seconds * 1000, decimals)} ms"
    length, name = next(found for found in _DURATIONS if size >= found[0])
    return f"{_plain(seconds / length, 1 if decimals is None else decimals)} {name}"


def _short(value: float, decimals: int | None) -> str:
    for size, suffix in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(value) >= size:
            return f"{_plain(value / size, 2 if decimals is None else decimals)}{suffix}"
    return _plain(value, decimals)


def _plain(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"
