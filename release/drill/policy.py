"""The policy for drills of the loop: the receiver answers drill alerts as real ones, with a flag of their own.

The policy stands in the receiver's policy directory all the time, and names a service of its own. Only alerts of
`freezeline drill loop` match. The policy freezes a flag in the drill directory, and never rolls anything back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from receiver.policy.formats import NEWEST
from receiver.policy.model import FreezeAction, NotifyAction, Policy

ALERT = "FreezelineDrill"
LABEL = "freezeline_drill"
"""The label with the name of one drill, so that each drill is an alert of its own."""

RULE = "drill"
FREEZE, TELL = "freeze", "tell"
RESOLVED_FOR_S = 1.0
REVIEW_AFTER_S = 3600.0


def service_of(policy: Policy) -> str:
    """The service that a drill of this policy freezes."""
    return f"{policy.service}-drill"


def name_of(policy: Policy) -> str:
    """The name of the policy for drills."""
    return f"{policy.name}-drill"


def channels_of(policy: Policy) -> tuple[str, ...]:
    """Every channel that the policy tells, each once."""
    told = (action.channels for action in policy.actions.values() if isinstance(action, NotifyAction))
    return tuple(dict.fromkeys(name for names in told for name in names))


def flag_of(policy: Policy, directory: Path) -> Path:
    """The flag of drills, in the drill directory."""
    return directory / service_of(policy) / "FREEZE.FLAG"


def refuse_real(policy: Policy, flag: Path) -> None:
    """Raise ValueError if the flag of drills is a real flag of the policy."""
    real = {Path(action.flag) for action in policy.actions.values() if isinstance(action, FreezeAction)}
    if flag in real:
        raise ValueError(f"{flag} is the real flag of {policy.service}: name another directory for drills")


def text(policy: Policy, directory: Path, channels: Sequence[str]) -> str:
    """The policy for drills, as the receiver reads it."""
    actions: dict[str, Any] = {FREEZE: {"type": "freeze", "flag": str(flag_of(policy, directory))}}
    if channels:
        actions[TELL] = {"type": "notify", "channels": list(channels), "events": ["frozen", "unfrozen"]}
    document = {
        "format": NEWEST,
        "name": name_of(policy),
        "service": service_of(policy),
        "spec": policy.spec,
        "rules": [
            {
                "id": RULE,
                "match": [
                    {"label": "alertname", "op": "=", "value": ALERT},
                    {"label": "service", "op": "=", "value": service_of(policy)},
                ],
                "do": list(actions),
                "unfreeze": {"resolved_for_s": RESOLVED_FOR_S, "all_of": [], "review_after_s": REVIEW_AFTER_S},
            }
        ],
        "actions": actions,
    }
    return json.dumps(document, indent=2) + "\n"
