"""Bodies of webhooks as they came, in the order of their arrival. No index holds their hashes.

A hash is a random place: with an index, nearly every body changed a page of its own, and more so in a large table.
Measured at 100,000 bodies, the index took a fifth of the writer's time.

A repeated body arrives soon, from a peer or from a sender that got no answer. The receiver therefore remembers only the
newest hashes. If a body comes again later, the journal stores the body once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice
from typing import Any

from receiver.journal import rows

KNOWN_MAX = 10_000
"""How many of the newest bodies the receiver recognises."""

_NEW = "INSERT INTO delivery (id, sha256, body, first_at, last_at, count) VALUES {}"
_AGAIN = "UPDATE delivery SET last_at = v.column2, count = count + v.column3 FROM (VALUES {}) AS v WHERE id = v.column1"
_NEWEST = "SELECT id, sha256 FROM delivery ORDER BY id DESC LIMIT ?"


class Deliveries:
    """The table of bodies, for the journal's writer alone. Rows to send are (hash, body, time)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._ids, self._last = self._newest()
        self._sure = True

    def forget(self) -> None:
        """Forget what was remembered: sent rows may have been undone, so the next call reads the table again."""
        self._sure = False

    def _newest(self) -> tuple[dict[str, int], int]:
        newest = self._db.execute(_NEWEST, (KNOWN_MAX,)).fetchall()
        return {sha256: number for number, sha256 in reversed(newest)}, newest[0][0] if newest else 0

    def _known(self) -> dict[str, int]:
        """Numbers of the newest bodies by hash, the oldest first."""
        if not self._sure:
            self._ids, self._last = self._newest()
            self._sure = True
        return self._ids

    def statements(self, waiting: Sequence[rows.Row]) -> int:
        """How many statements `send` would run."""
        ids = self._known()
        known = sum(row[0] in ids for row in waiting)
        return sum(-(-number // rows.SENT_MAX) for number in (known, len(waiting) - known))

    def send(self, waiting: Sequence[rows.Row]) -> None:
        """Store new bodies, and count known bodies once more. All bodies have the same time."""
        ids = self._known()
        new: dict[str, list[Any]] = {}
        again: dict[int, list[Any]] = {}
        for sha256, body, at in waiting:
            number = ids.get(sha256)
            if number is None:
                self._last = number = self._last + 1
                ids[sha256] = number
                new[sha256] = [number, sha256, body, at, at, 1]
            elif sha256 in new:
                new[sha256][-1] += 1
            elif number in again:
                again[number][-1] += 1
            else:
                again[number] = [number, at, 1]
        rows.send(self._db, _NEW, list(new.values()))
        rows.send(self._db, _AGAIN, list(again.values()))
        if len(ids) > 2 * KNOWN_MAX:
            self._ids = dict(islice(ids.items(), KNOWN_MAX, None))
