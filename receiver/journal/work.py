"""A transaction and its pieces of work: what each wrote, which writes wait, and what a failure undoes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from receiver.decide.model import EPOCH, Decision, Episode, FlagView, Seen, stamp
from receiver.journal import chain, rows
from receiver.journal.deliveries import Deliveries
from receiver.journal.last_seen import WRITTEN_EVERY, LastSeen
from receiver.journal.view import View
from receiver.journal.write_buffer import WriteBuffer

REMEMBERED_MAX = 20_000
"""Alerts whose last state stays in memory. Only this writer changes the state."""

PREFETCH_MAX = 500
"""The most alerts in one query."""


class Work(View):
    """`now` is one time for the whole transaction. `acted` says that worker and reconciler have something to look at.

    A transaction runs many pieces of work, and each piece can fail alone. The order of calls: `begin`; for each piece
    `begin_work`, then `end_work` or `undo_work`; at last `end` and `commit`, or `roll_back`.
    """

    def __init__(self, connection: sqlite3.Connection, heard_every: timedelta = WRITTEN_EVERY) -> None:
        super().__init__(connection)
        self.now = EPOCH
        self.acted = False
        self._at = stamp(EPOCH)
        self._pending = WriteBuffer()
        self._mark = self._pending.mark()
        self._in_work = False
        self._savepoint = False
        self._head: tuple[int, str] | None = None
        self._head_before: tuple[int, str] | None = None
        self._seen: dict[str, Seen | None] = {}
        self._seen_now: dict[str, Seen | None] = {}
        self._episodes: dict[str, list[Episode]] = {}
        self._heard = LastSeen(heard_every)
        self._deliveries = Deliveries(connection)
        self._newly_held: dict[str, None] = {}
        self.held: tuple[FlagView, ...] = ()

    def begin(self, now: datetime, fingerprints: Iterable[str]) -> None:
        """Start anew. The state of these alerts is read at once for all of the work."""
        self.now, self._at = now, stamp(now)
        self._in_work = False
        self.acted = False
        self._pending = WriteBuffer()
        self._savepoint = False
        self._head = None
        self._seen_now = {}
        self._newly_held, self.held = {}, ()
        if len(self._seen) > REMEMBERED_MAX or len(self._episodes) > REMEMBERED_MAX:
            self.forget()
        seen, episodes = self._seen, self._episodes
        unknown = list({one: None for one in fingerprints if one not in seen or one not in episodes})
        for start in range(0, len(unknown), PREFETCH_MAX):
            chunk = unknown[start : start + PREFETCH_MAX]
            heard, newest = View.seen(self, chunk), View.newest_episodes(self, chunk)
            for fingerprint in chunk:
                seen[fingerprint] = heard.get(fingerprint)
                episodes[fingerprint] = newest.get(fingerprint, [])

    def forget(self) -> None:
        """Forget the remembered states, which may be untrue after a failed commit."""
        self._seen, self._seen_now, self._episodes = {}, {}, {}
        self._heard.forget()
        self._deliveries.forget()

    def begin_work(self) -> None:
        """Begin a piece of work."""
        self._in_work, self._savepoint = True, False
        self._mark = self._pending.mark()
        self._head_before = self._head

    def end_work(self) -> None:
        """Keep a successful piece of work as a part of the transaction."""
        if self._savepoint:
            self._db.execute("RELEASE work")
            self._savepoint = False
        if self._seen_now:
            self._seen.update(self._seen_now)
            self._seen_now = {}

    def undo_work(self) -> None:
        """Undo a failed piece of work completely."""
        if self._savepoint:
            self._db.execute("ROLLBACK TO work")
            self._db.execute("RELEASE work")
            self._savepoint = False
            self._deliveries.forget()
            self._episodes = {}
            self._pending = WriteBuffer()
        else:
            self._pending.cut(self._mark)
        self._head = self._head_before
        self._seen_now = {}

    def end(self) -> None:
        """End all work. `held` then gives the flags that got a freeze reason.

        A statement alone is its own transaction. Most groups need only one statement, for their deliveries, and
        `commit` runs this statement. Each statement less saves several waits for the interpreter's lock.
        """
        self._in_work = False
        if self._db.in_transaction or self._heard.is_due(self.now) or self._pending.statements(self._deliveries) != 1:
            self._begin()
            self._pending.flush(self._db, self._deliveries)
            if self._heard.is_due(self.now):
                self._heard.write(self._db, self.now)
        self.held = tuple(self.flag_view(flag) for flag in self._newly_held)

    def commit(self) -> None:
        """Make the transaction durable."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")
        else:
            self._pending.flush(self._db, self._deliveries)
        self._heard.written()

    def roll_back(self) -> None:
        """Undo the whole transaction."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self.forget()

    @property
    def owes(self) -> bool:
        """Whether memory holds values that are not on disk yet; `pay` writes these values."""
        return self._heard.owes

    def pay(self, now: datetime) -> None:
        """Write the waiting values, while no transaction is open."""
        self._heard.write(self._db, now)
        self._heard.written()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _sync(self) -> None:
        """Prepare for a statement of a piece of work: everything that this transaction wrote is now in the database."""
        if not self._in_work:
            return
        if not self._savepoint:
            self._begin()
            working = self._pending.cut(self._mark)
            self._pending.flush(self._db, self._deliveries)
            self._db.execute("SAVEPOINT work")
            self._savepoint = True
            self._pending = working
        self._pending.flush(self._db, self._deliveries)

    def _all(self, sql: str, parameters: Sequence[object] = ()) -> list[rows.Row]:
        self._sync()
        return super()._all(sql, parameters)

    def _one(self, sql: str, parameters: Sequence[object] = ()) -> rows.Row | None:
        self._sync()
        return super()._one(sql, parameters)

    def _run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Change rows, and return their number."""
        self._sync()
        return self._db.execute(sql, parameters).rowcount

    @property
    def noted(self) -> int:
        """Number of the last decision that this transaction added; 0 if none."""
        return self._head[0] if self._head is not None else 0

    def head(self) -> tuple[int, str]:
        """Number and hash of the last decision, with those of this transaction."""
        if self._head is None:
            self._head = super().head()
            self._head_before = self._head_before or self._head
        return self._head

    def note(self, decision: Decision) -> int:
        """Append one decision to the chain and return its number."""
        last, prev_hash = self.head()
        seq = last + 1
        digest = chain.row_hash(prev_hash, seq, self._at, decision)
        self._pending.decisions.append(
            (
                seq,
                self._at,
                decision.kind,
                decision.sentence,
                decision.delivery,
                decision.episode,
                decision.action,
                decision.trace_id,
                prev_hash,
                digest,
            )
        )
        self._head = (seq, digest)
        return seq
