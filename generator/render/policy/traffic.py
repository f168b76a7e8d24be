"""The policy's `canary.traffic`: how the engine moves traffic."""

from __future__ import annotations

from generator.model.traffic import Haproxy, TrafficCommands
from generator.render.policy.policy_values import seconds


def render(traffic: Haproxy | TrafficCommands) -> dict[str, object]:
    """One adapter as JSON data."""
    if isinstance(traffic, Haproxy):
        return {
            "haproxy": {
                "socket": traffic.socket,
                "backend": traffic.backend,
                "stable": traffic.stable,
                "canary": traffic.canary,
            }
        }
    timeout_s = seconds(traffic.timeout_ms)
    return {"commands": {"set": list(traffic.set), "read": list(traffic.read), "timeout_s": timeout_s}}
