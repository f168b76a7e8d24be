"""Whether this receiver may act for all. Of several receivers that share a journal, one leads; the others stand by.

The right of a leader ends by itself. The leader counts from before it asked, and stops early. Before a deed outside of
the journal, the receiver calls `require`. A transaction that claims an action calls `require_in` with the leader that
the transaction has read.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEASE_S = 30.0
"""How long a leader leads without renewing. A receiver that gave no sign for so long counts as ended.

The settings may give another number.
"""

PARTS = 6
"""The leader renews after one such part of the lease, and stops to act one part before the end."""


class NotLeadingError(Exception):
    """Another receiver leads, or this one could not renew its right in time."""


class Leading:
    """The right to act. A receiver with a journal of its own always has the right.

    `owner` names this run of the receiver. `place` is its host and state directory, of which one receiver at a time
    has the lock.
    """

    def __init__(
        self,
        *,
        several: bool = False,
        place: str = "",
        owner: str = "",
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.several = several
        self.place = place
        self.owner = owner
        self.lease_s = lease_s
        self._clock = clock
        self._until = float("-inf")

    def asked_at(self) -> float:
        """The time to pass to `won`, from before the journal is asked."""
        return self._clock()

    def won(self, asked_at: float) -> None:
        """The journal has given or renewed the right."""
        self._until = asked_at + self.lease_s - self.lease_s / PARTS

    def lost(self) -> None:
        """Another receiver leads."""
        self._until = float("-inf")

    def holds(self) -> bool:
        """Whether this receiver may act now."""
        return not self.several or self._clock() < self._until

    def require(self) -> None:
        """Raise NotLeadingError unless this receiver may act now."""
        if not self.holds():
            raise NotLeadingError("this receiver does not lead")

    def require_in(self, leader: str) -> None:
        """Raise NotLeadingError unless this receiver is the leader that a transaction has read."""
        if self.several and leader != self.owner:
            raise NotLeadingError(f"{leader or 'nobody'} leads")

    def is_foreign(self, owner: str) -> bool:
        """Whether an action was begun at another place, where alone its process can be followed."""
        return self.several and bool(owner) and owner.partition("#")[0] != self.place
