"""What the receiver can do: one file per kind of action, and the registry `ACTIONS` in this file.

A performer takes the due actions of one lane, carries each as far as possible now, and returns nothing: the journal
holds the results. This wing may import `notify`, `run`, `context` and what lies below them, never a loop. Begin to read
with `freeze`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from receiver.act import freeze, rollback, switch
from receiver.context import Context
from receiver.decide.model import Action, ActionType

Performer = Callable[[Context, str, Sequence[Action]], Coroutine[Any, Any, None]]

ACTIONS: Mapping[ActionType, Performer] = {
    ActionType.FREEZE: freeze.perform,
    ActionType.UNFREEZE: freeze.perform,
    ActionType.ROLLBACK: rollback.perform,
    ActionType.UNDO: rollback.perform,
    ActionType.SWITCH: switch.perform,
    ActionType.SWITCH_BACK: switch.perform,
}
"""The performer of each action type. `receiver.act.notices` delivers notices through `receiver.notify`."""


def lane_of(action: Action) -> str:
    """The lane of an action. Actions of one lane run one after the other.

    A lane is a flag, a service's rollbacks, a file of feature flags, or a channel.
    """
    if action.type in {ActionType.FREEZE, ActionType.UNFREEZE}:
        return f"flag:{action.payload.get('flag', '')}"
    if action.type in {ActionType.ROLLBACK, ActionType.UNDO}:
        return f"rollback:{action.service}"
    if action.type in {ActionType.SWITCH, ActionType.SWITCH_BACK}:
        return f"features:{action.payload.get('file', '')}"
    return f"channel:{action.name}"


def lane_name(lane: str) -> str:
    """The flag, service, file or channel of a lane."""
    return lane.partition(":")[2]
