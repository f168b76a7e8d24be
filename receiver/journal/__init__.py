"""The journal: one writer thread, grouped commits, in a SQLite file or in PostgreSQL (`store`).

The journal holds everything that the receiver must know after a restart, and no other wing contains SQL. Work is a
function over a `Tx`. One transaction runs many pieces of work, each in its own savepoint; callers get their answers
only after the commit. This wing may import `decide`, `policy` and `steps`. Begin to read with `tx`, which says what a
transaction may change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from receiver.decide.model import Decision, FlagView
from receiver.journal.chain import Verdict, verify
from receiver.journal.exclusive import AT_ONCE, caches
from receiver.journal.jobs import GROUP_MAX, Answer, Inbox, Job, prepared
from receiver.journal.last_seen import WRITTEN_EVERY
from receiver.journal.opening import postgres_store
from receiver.journal.reading import open_view, reading
from receiver.journal.sqlite import SqliteStore
from receiver.journal.store import Connection, JournalError, Store, errors_of
from receiver.journal.tx import Tx
from receiver.journal.view import View
from receiver.steps import Reached, Step

__all__ = [
    "GROUP_MAX",
    "Journal",
    "JournalError",
    "SqliteStore",
    "Store",
    "Tx",
    "Verdict",
    "View",
    "open_view",
    "postgres_store",
    "reading",
    "verify",
]

T = TypeVar("T")

log = logging.getLogger(__name__)

FLAG_FIRST_S = 0.003
"""How long answers and listeners wait after a commit that gave a flag a reason: nearly always until the flag is there.

The thread that writes the flag needs the interpreter's lock, and the event loop would keep the lock for its own work.
After a wait of 1 ms, one flag in a hundred came 1 to 2 ms later (measured).
"""

IDLE_S = 0.05
"""How long no work must come until the writer counts as idle: a freeze and what it leads to take a few milliseconds."""

PAGE_BYTES = 4096

COMMIT_PAGES, WORK_PAGES = 4, 1
"""Pages that a commit, and each piece of work in it, add to the log: measured with deliveries of three alerts.

Where more rows than pieces of work change, each row counts as a page: measured with ten thousand new episodes.
"""

TRIES_MAX = 5
"""How often a group is tried where the database undid the group for no fault of the group."""

COMMIT_MAX_S = 0.1
"""The longest time that a transaction takes up further pieces of work. What is left goes into the next transaction."""


class Journal:
    """One database. `start` and `close` pair up; `write` and `read` are for the event loop in which it was started."""

    def __init__(
        self, store: Store, *, clock: Callable[[], datetime], reached: Reached, group_max: int = GROUP_MAX
    ) -> None:
        self._store = store
        self._own_clock = clock
        self._reached = reached
        self._group_max = group_max
        self._inbox = Inbox(group_max)
        self._waiting: deque[Job[Any]] = deque()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[int, bool], None]] = []
        self._on_held: Callable[[FlagView], None] | None = None
        self._on_broken: Callable[[], None] = lambda: None
        self._head = 0
        self._closing = False
        self._broken: BaseException | None = None
        self._damaged = ""
        self._pages = 0

    @property
    def head(self) -> int:
        """Number of the last committed decision."""
        return self._head

    def now(self) -> datetime:
        """The time by which all receivers of this journal act."""
        return self._store.now(self._own_clock())

    @property
    def several(self) -> bool:
        """Whether several receivers may share this journal."""
        return self._store.several

    @property
    def knows(self) -> int:
        """The last shape of a journal that this version knows."""
        return self._store.knows

    @property
    def kept(self) -> str:
        """Where the journal is, and where work is when its caller has the answer, for people."""
        return f"{self._store.shown}: {self._store.promise}"

    @property
    def broken(self) -> str:
        """Why the journal cannot be written any more; "" while there is no fault."""
        return "" if self._broken is None else f"the writer died: {self._broken}"

    @property
    def damaged(self) -> str:
        """Why people must mend the database, from the first error that says so until the next start; "" if none did."""
        return self._damaged

    def on_commit(self, listener: Callable[[int, bool], None]) -> None:
        """After every commit with decisions or changed actions, call `listener`: head, whether any changed."""
        self._listeners.append(listener)

    def on_held(self, listener: Callable[[FlagView], None]) -> None:
        """Call `listener` after every commit that gave a flag a reason, with everything known of the flag."""
        self._on_held = listener

    def on_broken(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the writer has died: nothing can be written until the journal is opened anew."""
        self._on_broken = listener

    def off_commit(self, listener: Callable[[int, bool], None]) -> None:
        """Undo `on_commit`."""
        self._listeners.remove(listener)

    def start(self) -> None:
        """Open the database, make or migrate its tables and start the writer. Raises JournalError."""
        self._loop = asyncio.get_running_loop()
        writer = self._store.open(self._reached)
        with errors_of(self._store):
            self._reader = self._store.reader()
            # One commit a piece of work means that nothing of it waits for a later one either.
            written_every = WRITTEN_EVERY if self._group_max > 1 else AT_ONCE
            tx = Tx(writer, caches(writer, self._store, written_every=written_every))
            self._head = tx.head()[0]
        self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-read")
        # A daemon: a forgotten `close` must not keep the process alive, and committed work is safe without it.
        self._thread = threading.Thread(target=self._run, args=(writer, tx), name="journal-write", daemon=True)
        self._thread.start()
        self._store.listen(self._inbox.wake)

    async def close(self) -> None:
        """Finish the work that was handed in, and close. No more work is taken."""
        self._closing = True
        self._inbox.end()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.shutdown(wait=True)
            self._reader.close()

    def write(
        self, work: Callable[[Tx], T], *, prepare: Callable[[], Sequence[str]] | None = None
    ) -> asyncio.Future[T]:
        """Run `work` in the next transaction. The future is done when the result is durable.

        The writer runs `prepare` before the transaction, for the part of the work that needs no database. Many
        preparations in a row are faster than single ones. `prepare` returns the fingerprints that `work` will read, so
        that the writer can read them at once for a whole group.

        The future raises JournalError if the commit failed, and also whatever `prepare` or `work` raised. In both cases
        nothing of the work is kept.
        """
        if self._loop is None or self._closing or self._broken is not None:
            raise JournalError(f"the journal is not open{f' ({self._broken})' if self._broken else ''}")
        future: asyncio.Future[T] = self._loop.create_future()
        self._inbox.put(Job(work, Answer(future), prepare), self._loop)
        return future

    async def probe(self) -> None:
        """Show that work could be stored now: commit something to the disk. Raises JournalError."""
        await self.write(lambda tx: tx.probe())

    async def read(self, question: Callable[[View], T]) -> T:
        """Read the last committed state beside the writer. Raises JournalError."""
        if self._loop is None or self._readers is None:
            raise JournalError("the journal is not open")
        return await self._loop.run_in_executor(self._readers, self._ask, question)

    def _ask(self, question: Callable[[View], T]) -> T:
        try:
            with self._store.reading:
                self._store.begin_reading(self._reader)
                try:
                    return question(View(self._reader))
                finally:
                    # After an error a server refuses COMMIT, and that refusal would hide the error.
                    self._reader.rollback()
        except self._store.errors as error:
            raise self._error_of(error) from error

    # the writer thread

    def _run(self, writer: Connection, tx: Tx) -> None:
        group: list[Job[Any]] = []
        try:
            while group := self._next_group(writer, tx):
                # A disk that refuses these refuses the next work too, and the sender of that work is told.
                done = self._commit_group(tx, group)
                self._waiting.extendleft(reversed(group[len(done) :]))
                group = []
                with contextlib.suppress(*self._store.errors):
                    self._tell_news(tx)
                    pages, self._pages = self._pages, 0
                    self._store.rest(writer, pages=pages, idle=False)
            with contextlib.suppress(*self._store.errors):
                tx.pay(self.now())
        except BaseException as error:
            # A writer that dies must not leave its callers waiting. The receiver then ends, to be started again.
            log.critical("journal.writer_died", exc_info=error)
            self._broken = error
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._fail, [*group, *self._waiting], error)
        finally:
            writer.close()
            self._store.close()

    def _next_group(self, writer: Connection, tx: Tx) -> list[Job[Any]]:
        """Wait for work, and take everything that is waiting. Empty if the journal must close."""
        while len(self._waiting) < self._group_max:
            try:
                jobs = self._inbox.take_waiting() if self._waiting else self._next_jobs(writer, tx)
            except queue.Empty:
                break
            if jobs is None:
                break
            self._waiting.extend(jobs)
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._group_max))]

    def _next_jobs(self, writer: Connection, tx: Tx) -> list[Job[Any]] | None:
        """Wait for work; meanwhile do maintenance, write what is owed to the disk, and look for commits of others."""
        try:
            return self._inbox.take(IDLE_S)
        except queue.Empty:
            with contextlib.suppress(*self._store.errors):
                self._store.rest(writer, pages=0, idle=True)
                self._tell_news(tx)
        while True:
            try:
                return self._inbox.take(tx.caches.patience_s)
            except queue.Empty:
                # A disk that refuses these times refuses the next delivery too, and the sender of that one is told.
                with contextlib.suppress(*self._store.errors):
                    tx.pay(self.now())
                    self._tell_news(tx)

    def _tell_news(self, tx: Tx) -> None:
        """Wake the listeners after a commit of another process, as after one of our own."""
        if self._loop is not None and tx.caches.others_wrote():
            self._loop.call_soon_threadsafe(self._on_news, View.head(tx)[0])

    def _commit_group(self, tx: Tx, group: list[Job[Any]]) -> list[Job[Any]]:
        """Commit the first pieces of work of a group: all of them, unless they would take too long together."""
        group, ready = prepared(group)
        for _ in range(TRIES_MAX - 1):
            try:
                return self._commit_once(tx, group, ready)
            except self._store.again:
                tx.roll_back()
                for job in ready:
                    job.answer.error = None
        return self._commit_once(tx, group, ready, last=True)

    def _commit_once(
        self, tx: Tx, group: list[Job[Any]], ready: list[Job[Any]], *, last: bool = False
    ) -> list[Job[Any]]:
        """Try once. Raises one of the store's errors after which another try may succeed, unless this is the last."""
        head, acted = 0, False
        changed = tx.changed_rows
        try:
            tx.begin(self.now, (one for job in ready for one in job.about or ()))
            if lost := self._store.take_loss():
                log.critical("journal.lost", extra={"why": lost})
                tx.note(Decision(kind="decisions_lost", sentence=lost))
            until = time.monotonic() + COMMIT_MAX_S
            for job in ready:
                if job is not ready[0] and time.monotonic() > until:
                    group = group[: group.index(job)]
                    break
                self._run_job(tx, job)
            head, acted = tx.noted, tx.acted
            tx.end()
            self._reached(Step.JOURNAL_BEFORE_COMMIT)
            tx.commit()
            self._store.committed()
        except self._store.errors as error:
            if isinstance(error, self._store.again) and not last:
                raise
            tx.roll_back()
            head, acted = 0, False
            for job in group:
                job.answer.error = job.answer.error or self._error_of(error)
        else:
            self._reached(Step.JOURNAL_COMMITTED)
        pages = max(WORK_PAGES * len(group), tx.changed_rows - changed, tx.body_bytes // PAGE_BYTES)
        self._pages += COMMIT_PAGES + pages
        if self._loop is not None:
            answers = [job.answer for job in group]
            self._loop.call_soon_threadsafe(self._answer, answers, head, acted, tx.held if head else ())
        return group

    def _error_of(self, error: Exception) -> JournalError:
        """The error for those who wait. Damage is remembered: whatever does not touch the damaged page still works."""
        told = self._store.told(error)
        if self._store.is_damaged(error):
            self._damaged = told
        return JournalError(told)

    def _run_job(self, tx: Tx, job: Job[Any]) -> None:
        tx.begin_work()
        try:
            job.answer.result = job.work(tx)
            tx.end_work()
        except Exception as error:
            if self._store.has_failed(error):
                raise
            tx.undo_work()
            job.answer.error = error

    # the event loop

    def _fail(self, taken: list[Job[Any]], error: BaseException) -> None:
        """The writer is dead. Whatever it took, and whatever was on the way to it, gets an answer."""
        for job in (*taken, *self._inbox.left()):
            job.answer.error = JournalError(f"{self._store.shown}: the writer died: {error}")
            job.answer.give()
        self._on_broken()

    def _on_news(self, head: int) -> None:
        """Others have committed up to this decision: whatever listeners wait for may have changed."""
        self._head = head
        self._tell_listeners(acted=True)

    def _tell_held(self, view: FlagView) -> None:
        try:
            if self._on_held is not None:
                self._on_held(view)
        except Exception:
            log.exception("journal.listener_failed")

    def _tell_listeners(self, *, acted: bool) -> None:
        """Call the listeners. One that fails must not keep the others, or the work, from an answer."""
        for listener in tuple(self._listeners):
            try:
                listener(self._head, acted)
            except Exception:
                log.exception("journal.listener_failed")

    def _answer(self, answers: list[Answer], head: int, acted: bool, held: tuple[FlagView, ...]) -> None:  # noqa: FBT001 - a callback's argument
        news = head not in {0, self._head} or acted
        self._head = head or self._head
        for view in held:
            self._tell_held(view)
        if held and self._loop is not None:
            self._loop.call_later(FLAG_FIRST_S, self._answer_rest, answers, news, acted)
        else:
            self._answer_rest(answers, news, acted)

    def _answer_rest(self, answers: list[Answer], news: bool, acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        if news:
            self._tell_listeners(acted=acted)
        for answer in answers:
            answer.give()
