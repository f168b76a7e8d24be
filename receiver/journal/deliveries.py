"""Bodies of webhooks as they came, in the order of their arrival. No index holds their hashes.

A hash is a random place: with an index, nearly every body changed a page of its own, and more so in a large table.
Measured at 100,000 bodies, the index took a fifth of the writer's time.

A repeated body arrives soon, from a peer or from a sender that got no answer. The receiver therefore remembers only the
newest hashes. If a body comes again later, the journal stores the body once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from receiver.journal import rows
from receiver.journal.store import Connection

KNOWN_MAX = 10_000
"""How many of the newest bodies the receiver recognises."""

_NEW = "INSERT INTO delivery (id, sha256, body, first_at, last_at, count) VALUES {}"
_AGAIN = "UPDATE delivery SET last_at = v.column2, count = count + v.column3 FROM (VALUES {}) AS v WHERE id = v.column1"
_NEWEST = "SELECT id, sha256 FROM delivery ORDER BY id DESC LIMIT ?"


class Deliveries:
    """The table of bodies, asked about each body. Only the journal's writer uses it. Rows are (hash, body, time)."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._last = self._last_number()

    def forget(self) -> None:
        """Rows that were sent may have been undone; nothing of them is in memory."""

    def _known(self, waiting: Sequence[rows.Row]) -> dict[str, int]:
        """Numbers of those of these bodies that are known, by hash; `_last` is then the last number in the table."""
        self._last = self._last_number()
        hashes = list({row[0]: None for row in waiting})
        known: dict[str, int] = {}
        for start in range(0, len(hashes), rows.SENT_MAX):
            chunk = hashes[start : start + rows.SENT_MAX]
            sql = f"SELECT sha256, id FROM delivery WHERE id > ? AND sha256 IN ({rows.marks_for(chunk)}) ORDER BY id"
            known.update(self._db.execute(sql, (self._last - KNOWN_MAX, *chunk)))
        return known

    def _last_number(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM delivery").fetchone()[0])

    def statements(self, waiting: Sequence[rows.Row]) -> int:
        """How many statements `send` would run."""
        ids = self._known(waiting)
        known = sum(row[0] in ids for row in waiting)
        return sum(-(-number // rows.SENT_MAX) for number in (known, len(waiting) - known))

    def send(self, waiting: Sequence[rows.Row]) -> None:
        """Store bodies, and count those that are known once more. All of them came at one time."""
        if not waiting:
            return
        ids = self._known(waiting)
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


class RememberedDeliveries(Deliveries):
    """The table of bodies while nobody else writes it: the newest hashes and the last number are in memory."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._ids: dict[str, int] = {}
        self._sure = False

    def forget(self) -> None:
        """Rows that were sent may have been undone: read the newest again before more is sent."""
        self._sure = False

    def _known(self, waiting: Sequence[rows.Row]) -> dict[str, int]:  # noqa: ARG002 - all newest ones are in memory
        """Numbers of the newest bodies, by hash, the oldest first."""
        if not self._sure:
            newest = self._db.execute(_NEWEST, (KNOWN_MAX,)).fetchall()
            self._ids = {sha256: number for number, sha256 in reversed(newest)}
            self._last = newest[0][0] if newest else 0
            self._sure = True
        elif len(self._ids) > 2 * KNOWN_MAX:
            self._ids = dict(islice(self._ids.items(), len(self._ids) - KNOWN_MAX, None))
        return self._ids
