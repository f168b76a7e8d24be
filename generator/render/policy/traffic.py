"""The policy's `canary.traffic`: how the engine moves traffic."""

from __future__ import annotations

from generator.model.traffic import Haproxy, RenderedFile, Traffic
from generator.render.policy.policy_values import seconds


def render(traffic: Traffic) -> dict[str, object]:
    """One adapter as JSON data."""
    if isinstance(traffic, Haproxy):
        return {"haproxy": _haproxy(traffic)}
    if isinstance(traffic, RenderedFile):
        return {"file": _file(traffic)}
    timeout_s = seconds(traffic.timeout_ms)
    return {"commands": {"set": list(traffic.set), "read": list(traffic.read), "timeout_s": timeout_s}}


def _haproxy(traffic: Haproxy) -> dict[str, object]:
    found: dict[str, object] = {
        "socket": traffic.socket,
        "backend": traffic.backend,
        "stable": list(traffic.stable),
        "canary": list(traffic.canary),
    }
    users = traffic.users
    return found | ({"users": {"map": users.map, "values": list(users.values)}} if users else {})


def _file(traffic: RenderedFile) -> dict[str, object]:
    found: dict[str, object] = {
        "template": traffic.template,
        "file": traffic.file,
        "reload": list(traffic.reload),
        "read": list(traffic.read),
        "timeout_s": seconds(traffic.timeout_ms),
    }
    found |= {"cut": list(traffic.cut)} if traffic.cut else {}
    return found | ({"users": list(traffic.users)} if traffic.users else {})
