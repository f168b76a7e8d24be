"""The percentage that a command prints."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from receiver.plaintext import plain
from release.traffic.adapter import TrafficError


def percentage_of(output: str, program: str) -> Decimal:
    """The ratio of a percentage from 0 to 100, with or without `%`. Raises TrafficError for any other text."""
    text = output.strip().removesuffix("%").strip()
    try:
        percent = Decimal(text)
    except InvalidOperation as error:
        raise TrafficError(f"{program} printed no percentage: {plain(text, 60)}") from error
    if not percent.is_finite() or not 0 <= percent <= 100:
        raise TrafficError(f"{program} printed {plain(text, 60)}, no percentage from 0 to 100")
    return percent / 100
