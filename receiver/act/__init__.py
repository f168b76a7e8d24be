"""What the receiver can do: one file per kind of action, and the registry `ACTIONS` in this file.

A performer takes the due actions of one lane and carries them as far as they go now. It returns nothing: what was
done is in the journal. This wing may import `notify`, `run`, `context` and what lies below them, never a loop. Begin
to read with `freeze`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from receiver.act import freeze, rollback
from receiver.context import Context
from receiver.decide.model import Action, ActionType

Performer = Callable[[Context, str, Sequence[Action]], Coroutine[Any, Any, None]]

ACTIONS: Mapping[ActionType, Performer] = {
    ActionType.FREEZE: freeze.perform,
    ActionType.UNFREEZE: freeze.perform,
    ActionType.ROLLBACK: rollback.perform,
    ActionType.UNDO: rollback.perform,
}
"""Who performs what. Notices are the family of `receiver.notify`, carried out by `receiver.act.notices`."""


def lane_of(action: Action) -> str:
    """Actions of one lane are done one after the other: a flag's, a service's rollbacks, a channel's notices."""
    if action.type in {ActionType.FREEZE, ActionType.UNFREEZE}:
        return f"flag:{action.payload.get('flag', '')}"
    if action.type in {ActionType.ROLLBACK, ActionType.UNDO}:
        return f"rollback:{action.service}"
    return f"channel:{action.name}"


def lane_name(lane: str) -> str:
    """The flag, service or channel of a lane."""
    return lane.partition(":")[2]
