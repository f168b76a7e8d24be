"""What a feature flag shall be, and what its value in the file means: pure decisions about switches.

An episode's switch holds a feature flag until a `switch_back` is planned for the switch. The newest holder decides the
variant. The values before the first switch come back with the last holder, unless a person has changed the flag.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from receiver.decide.model import FINAL_STATES, Action, ActionState

Values = Mapping[str, Any]
DEFAULT, TARGETING = "defaultVariant", "targeting"


class Written(Struct, frozen=True, kw_only=True):
    """A flag's values before the receiver set the flag, and the values that the receiver gave the flag."""

    before: Values
    ours: Values

    def facts(self) -> dict[str, str]:
        """As members of an action's result."""
        return {"before": json.dumps(self.before), "ours": json.dumps(self.ours)}


class Switches(Struct, frozen=True, kw_only=True):
    """The switches of one file that are not taken back yet, oldest first, and the actions that take them back."""

    file: str
    switches: tuple[Action, ...]
    backs: tuple[Action, ...]

    def flags(self) -> list[str]:
        """The flags with something left to do."""
        return list(dict.fromkeys(one.payload["flag"] for one in self._all() if one.state not in FINAL_STATES))

    def unfinished(self, flag: str) -> list[Action]:
        """The actions of a flag that have not ended."""
        return [one for one in self._all() if one.payload["flag"] == flag and one.state not in FINAL_STATES]

    def holders(self, flag: str) -> list[Action]:
        """The switches that hold a flag, oldest first."""
        ending = {back.payload["of"] for back in self.backs}
        return [
            one
            for one in self.switches
            if one.payload["flag"] == flag and one.id not in ending and one.state is not ActionState.CANCELLED
        ]

    def written(self, flag: str) -> Written | None:
        """What the receiver last wrote, or was about to write; None if nothing."""
        for one in reversed(self.switches):
            if one.payload["flag"] == flag and "ours" in one.result:
                return Written(before=json.loads(one.result["before"]), ours=json.loads(one.result["ours"]))
        return None

    def _all(self) -> Iterable[Action]:
        return (*self.switches, *self.backs)


def to_write(holder: Action, current: Values, last: Written | None) -> Written:
    """What a holder makes of a flag. If a person has changed the flag, the person's values are those to go back to."""
    before = last.before if last is not None and current == last.ours else current
    targeting = None if holder.payload["everyone"] else before[TARGETING]
    return Written(before=before, ours={DEFAULT: holder.payload["variant"], TARGETING: targeting})


class Return(Enum):
    """What becomes of a flag that nobody holds any more."""

    WRITE = "the earlier values come back"
    NOTHING = "the flag has its earlier values"
    KEEP = "a person has changed the flag"


def on_return(current: Values | None, last: Written | None) -> Return:
    """How a flag goes back. `current` is None if the file has no such flag any more."""
    if last is None or current == last.before:
        return Return.NOTHING
    return Return.WRITE if current == last.ours else Return.KEEP
