"""The policy's `ab`: the statistics of a stage."""

from __future__ import annotations

from generator.model.ab import AbTest
from generator.units import decimal_text


def render(test: AbTest) -> dict[str, object]:
    """One test as JSON data."""
    return {
        "metrics": list(test.metrics),
        "confidence": decimal_text(test.confidence),
        "power": decimal_text(test.power),
        "method": test.method,
        "then": test.then,
    }
