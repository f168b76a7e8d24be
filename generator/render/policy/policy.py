"""The policy file that the receiver reads: rules, actions, escalation, gate and canary as data.

Durations are seconds (`*_s`). Decimals are texts, because a reader must not round them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from generator.model.routing import Routing
from generator.model.spec import Spec
from generator.model.teams import channels_of
from generator.render.policy import actions, policy_rules
from generator.render.policy.policy_values import RuleText, seconds

FORMAT = "freezeline.policy/2"


def render(spec: Spec, loaded: Callable[[], Sequence[RuleText]] = tuple) -> dict[str, object]:
    """The policy of one spec as JSON data. `loaded` gives the rules of the spec, for a gate that asks for them."""
    policy: dict[str, object] = {
        "format": FORMAT,
        "name": spec.name,
        "service": spec.service,
        "spec": spec.reference,
        "rules": [policy_rules.render(spec, rule) for rule in spec.policy],
        "actions": {name: actions.render(action) for name, action in spec.actions.items()},
    }
    if spec.routing is not None:
        policy |= _people(spec.routing)
    if spec.gate is not None or spec.canary is not None:
        from generator.render.policy import shipping

        policy |= shipping.render(spec, loaded)
    if spec.targets:
        policy["targets"] = dict(spec.targets)
    return policy


def _people(routing: Routing) -> dict[str, object]:
    found: dict[str, object] = {}
    if routing.escalation:
        found["escalation"] = [
            {
                "after_s": seconds(level.after_ms),
                "level": level.level,
                "to": level.to,
                "channels": list(channels_of(routing.teams[level.to])),
                "severities": list(level.severities),
            }
            | ({"ask": level.ask} if level.ask else {})
            for level in routing.escalation
        ]
    if routing.status_every_ms is not None:
        found["status_every_s"] = seconds(routing.status_every_ms)
    return found
