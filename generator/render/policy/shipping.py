"""The policy's members `gate` and `canary`, for a spec that has one of these sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from generator.model import canary, gate
from generator.model.spec import Spec
from generator.render.policy import canary as canary_render
from generator.render.policy import gate as gate_render
from generator.render.policy.policy_values import RuleText


def render(spec: Spec, loaded: Callable[[], Sequence[RuleText]]) -> dict[str, object]:
    """Gate and canary. If a rollout asks a gate that the spec lacks, the default gate is written."""
    found: dict[str, object] = {}
    asked = spec.gate
    if asked is None and spec.canary is not None and canary.asks_gate(spec.canary):
        asked = gate.default(spec.canary.position)
    if asked is not None:
        found["gate"] = gate_render.render(spec, asked, loaded() if gate.asks_rules(asked) else ())
    if spec.canary is not None:
        found["canary"] = canary_render.render(spec, spec.canary)
    return found
