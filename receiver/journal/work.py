"""A transaction and its pieces of work: what each wrote, which writes wait, and what a failure undoes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from msgspec import Struct, field

from receiver.decide.model import EPOCH, Action, Decision, FlagView, Seen, stamp
from receiver.journal import chain, rows
from receiver.journal.exclusive import Caches
from receiver.journal.store import Connection
from receiver.journal.view import View
from receiver.journal.write_buffer import WriteBuffer

PREFETCH_MAX = 500
"""The most alerts in one query."""


class Answers(Struct):
    """What the database said in this transaction and would say again: ten thousand alerts ask the same questions.

    By service its incident and its rollbacks, by flag whether a freeze is unfinished, by feature flag the switch to
    join, and what was told.
    """

    incidents: dict[str, str | None] = field(default_factory=dict)
    rollbacks: dict[str, list[Action]] = field(default_factory=dict)
    ended: dict[tuple[str, datetime], list[Action]] = field(default_factory=dict)
    freezing: dict[str, bool] = field(default_factory=dict)
    switching: dict[tuple[tuple[str, str], ...], str | None] = field(default_factory=dict)
    told: set[tuple[str, ...]] = field(default_factory=set)


class Work(View):
    """`now` is one time for the whole transaction. `acted` says that worker and reconciler have something to look at.

    `body_bytes` is the size of all bodies that the transaction brings.

    A transaction runs many pieces of work, and each piece can fail alone. The order of calls: `begin`; for each piece
    `begin_work`, then `end_work` or `undo_work`; at last `end` and `commit`, or `roll_back`.
    """

    def __init__(self, connection: Connection, caches: Caches) -> None:
        super().__init__(connection)
        self.caches = caches
        self.now = EPOCH
        self.acted = False
        self.answers = Answers()
        self.body_bytes = 0
        self._at = stamp(EPOCH)
        self._buffer = WriteBuffer()
        self._mark = self._buffer.mark()
        self._in_work = False
        self._savepoint = False
        self._head: tuple[int, str] | None = None
        self._head_before: tuple[int, str] | None = None
        self._seen_now: dict[str, Seen | None] = {}
        self._newly_held: dict[str, None] = {}
        self.held: tuple[FlagView, ...] = ()

    def begin(self, clock: Callable[[], datetime], fingerprints: Iterable[str]) -> None:
        """Start over. What is known of these alerts is read at once for all of the work.

        The clock is read after any wait for other writers: later decisions have later times.
        """
        self.caches.begin()
        self.now = now = clock()
        self._at = stamp(now)
        self._in_work = False
        self.acted = False
        self.answers = Answers()
        self.body_bytes = 0
        self._buffer = WriteBuffer()
        self._savepoint = False
        self._head = None
        self._seen_now = {}
        self._newly_held, self.held = {}, ()
        seen, episodes = self.caches.seen, self.caches.episodes
        unknown = list({one: None for one in fingerprints if one not in seen or one not in episodes})
        for start in range(0, len(unknown), PREFETCH_MAX):
            chunk = unknown[start : start + PREFETCH_MAX]
            states, newest = View.seen(self, chunk), View.newest_episodes(self, chunk)
            for fingerprint in chunk:
                seen[fingerprint] = states.get(fingerprint)
                episodes[fingerprint] = newest.get(fingerprint, [])

    def begin_work(self) -> None:
        """Begin a piece of work."""
        self._in_work, self._savepoint = True, False
        self._mark = self._buffer.mark()
        self._head_before = self._head

    def end_work(self) -> None:
        """Keep a successful piece of work as a part of the transaction. Raises an error of the store for a bug."""
        if self._buffer.may_be_refused:
            self._sync()
        if self._savepoint:
            self._db.execute("RELEASE work")
            self._savepoint = False
        if self._seen_now:
            self.caches.seen.update(self._seen_now)
            self._seen_now = {}

    def undo_work(self) -> None:
        """Undo a failed piece of work completely."""
        if self._savepoint:
            self._db.execute("ROLLBACK TO work")
            self._db.execute("RELEASE work")
            self._savepoint = False
            self.caches.deliveries.forget()
            self.caches.episodes.clear()
            self._buffer = WriteBuffer()
        else:
            self._buffer.cut(self._mark)
        self._head = self._head_before
        self._seen_now = {}
        self.answers = Answers()
        self.caches.waits = None

    def end(self) -> None:
        """End all work. `held` then gives the flags that got a freeze reason.

        A statement alone is its own transaction. Most groups need only one statement, for their deliveries, and
        `commit` runs this statement. Each statement less saves several waits for the interpreter's lock.
        """
        self._in_work = False
        deliveries, last_seen = self.caches.deliveries, self.caches.last_seen
        due = last_seen.is_due(self.now)
        if self._db.in_transaction or due or self._buffer.statements(deliveries) != 1:
            self._begin()
            self._buffer.flush(self._db, deliveries)
            if due:
                last_seen.write(self._db, self.now)
        self.caches.ending(self._head if self.noted else None, acted=self.acted)
        self.held = tuple(self.flag_view(flag) for flag in self._newly_held)

    def commit(self) -> None:
        """Make the transaction durable."""
        if self._db.in_transaction:
            self._db.commit()
        else:
            self._buffer.flush(self._db, self.caches.deliveries)
        self.caches.last_seen.committed()

    def roll_back(self) -> None:
        """Undo the whole transaction."""
        if self._db.in_transaction:
            self._db.rollback()
        self._seen_now = {}
        self.caches.forget()

    def pay(self, now: datetime) -> None:
        """Write the times of repeats that are owed to the disk, while no transaction is open."""
        self.caches.last_seen.write(self._db, now)
        self.caches.last_seen.committed()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _sync(self) -> None:
        """Prepare for a statement of a piece of work: everything that this transaction wrote is now in the database."""
        if not self._in_work:
            return
        if not self._savepoint:
            self._begin()
            working = self._buffer.cut(self._mark)
            self._buffer.flush(self._db, self.caches.deliveries)
            self._db.execute("SAVEPOINT work")
            self._savepoint = True
            self._buffer = working
        self._buffer.flush(self._db, self.caches.deliveries)

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
    def changed_rows(self) -> int:
        """How many rows this connection has changed since it was opened."""
        return self._db.total_changes

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
        self._buffer.decisions.append(
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
