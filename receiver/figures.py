"""Numbers with their units, as status, pages, notices and reports of rollouts write them: `47.5 ms`, `2.3 %`."""

from __future__ import annotations

from decimal import Decimal

MINUTES_FROM_S = 120


def figure(value: Decimal | float | str, unit: str) -> str:
    """A value with four digits and its unit: "ratio", "seconds" or "milliseconds"; "" writes the bare number.

    Policies from before there were units have none.
    """
    number = float(value)
    match unit:
        case "ratio":
            return f"{number * 100:.4g} %"
        case "seconds":
            return _duration(number)
        case "milliseconds":
            return _duration(number / 1000)
        case _:
            return f"{number:.6g}"


def _duration(seconds: float) -> str:
    if abs(seconds) >= MINUTES_FROM_S:
        return f"{seconds / 60:.4g} min"
    return f"{seconds:.4g} s" if abs(seconds) >= 1 or seconds == 0 else f"{seconds * 1000:.4g} ms"
