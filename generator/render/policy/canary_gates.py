"""The policy's `canary.gates`: what the engine measures."""

from __future__ import annotations

from generator.model.canary_gate import CanaryGate
from generator.units import decimal_text


def render(gate: CanaryGate) -> dict[str, object]:
    """One gate as JSON data."""
    measured = {"query": gate.query} if gate.query else {"source": "push"}
    return {
        "id": gate.id,
        **measured,
        "op": gate.op,
        "value": decimal_text(gate.value),
        "consecutive": gate.consecutive,
    }
