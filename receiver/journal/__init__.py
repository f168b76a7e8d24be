"""The journal: SQLite in WAL mode with `synchronous=FULL`, one writer thread, grouped commits.

The journal holds everything that the receiver must know after a restart, and no other wing contains SQL. Work is a
function over a `Tx`. One transaction runs many pieces of work, each in its own savepoint; callers get their answers
only after the commit. This wing may import `decide`, `policy` and `steps`. Begin to read with `tx`, which says what a
transaction may change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from receiver.decide.model import FlagView
from receiver.journal import shapes
from receiver.journal.chain import Verdict, verify
from receiver.journal.exclusive import AT_ONCE, caches
from receiver.journal.jobs import Job, prepared
from receiver.journal.last_seen import WRITTEN_EVERY
from receiver.journal.opening import LOCK_WAIT_S, JournalError, connect, open_view
from receiver.journal.same_file import SameFile
from receiver.journal.tx import Tx
from receiver.journal.view import View
from receiver.steps import Reached, Step

__all__ = ["GROUP_MAX", "Journal", "JournalError", "Tx", "Verdict", "View", "open_view", "verify"]

T = TypeVar("T")

log = logging.getLogger(__name__)

GROUP_MAX = 256
"""Most pieces of work in one commit."""

QUIET_TURNS = 2
"""Turns of the event loop without new work, after which the writer is woken.

Writer and event loop share the interpreter's lock. A writer that wakes while requests are still being read fights for
the lock and commits fewer pieces at a time. The measured cost: a tenth more processor time per webhook.
"""

GATHER_MAX_S = 0.005
"""The longest time that work waits before the writer is woken, however busy the event loop is."""

CHECKPOINT_PAGES = 1000
"""Pages after which the write-ahead log is moved into the database.

A log that begins anew overwrites itself. A growing log makes the file system record the new size at every commit, which
takes twice the time (measured). The writer therefore keeps the log short.
"""

PAGE_BYTES = 4096

COMMIT_PAGES, WORK_PAGES = 4, 1
"""Pages that a commit, and each piece of work in it, add to the log: measured with deliveries of three alerts.

Where more rows than pieces of work change, each row counts as a page: measured with ten thousand new episodes.
"""

LOG_PAGES_MAX = 2 * CHECKPOINT_PAGES
"""Pages after which the writer lets this process's readers wait, so that the log begins anew."""

READERS_WAIT_MS = 100
"""How long the writer then waits for readers of other processes."""

COMMIT_MAX_S = 0.1
"""The longest time that a transaction takes up further pieces of work. What is left goes into the next transaction."""


class Journal:
    """One database. `start` and `close` pair up; `write` and `read` are for the event loop in which it was started.

    `exclusive` says that no other process writes the database: see `receiver.journal.exclusive`.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        reached: Reached,
        group_max: int = GROUP_MAX,
        exclusive: bool = True,
    ) -> None:
        self._exclusive = exclusive
        self._path = path
        self._clock = clock
        self._reached = reached
        self._group_max = group_max
        self._jobs: queue.SimpleQueue[list[Job[Any]] | None] = queue.SimpleQueue()
        self._handed_in: list[Job[Any]] = []
        self._waiting: deque[Job[Any]] = deque()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[int, bool], None]] = []
        self._on_held: Callable[[FlagView], None] | None = None
        self._on_broken: Callable[[], None] = lambda: None
        self._head = 0
        self._broken: BaseException | None = None
        self._log_pages = 0
        self._reading = threading.Lock()

    @property
    def head(self) -> int:
        """Number of the last committed decision."""
        return self._head

    @property
    def broken(self) -> str:
        """Why the journal cannot be written any more; "" while there is no fault."""
        return "" if self._broken is None else f"the writer died: {self._broken}"

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
        try:
            # Nobody else may read the alerts' labels. SQLite gives its side files the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            writer = connect(self._path)
            shapes.bring_up(writer, self._path, self._reached)
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA synchronous = FULL")
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            self._reader = connect(self._path, read_only=True)
            # One commit a piece of work means that nothing of it waits for a later one either.
            written_every = WRITTEN_EVERY if self._group_max > 1 else AT_ONCE
            self._files = SameFile(self._path)
            tx = Tx(writer, caches(writer, exclusive=self._exclusive, written_every=written_every))
            self._head = tx.head()[0]
        except (sqlite3.Error, OSError, shapes.ShapeError) as error:
            raise JournalError(f"{self._path}: {error}") from error
        self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-read")
        # A daemon: a forgotten `close` must not keep the process alive, and committed work is safe without it.
        self._thread = threading.Thread(target=self._run, args=(writer, tx), name="journal-write", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish the work that was handed in, and close."""
        self._hand_over()
        self._jobs.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._readers is not None:
            self._readers.shutdown(wait=True)
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
        if self._loop is None or self._broken is not None:
            raise JournalError(f"the journal is not open ({self._broken})")
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._handed_in:
            self._loop.call_soon(self._gather, self._loop, 0, 0, self._loop.time() + GATHER_MAX_S)
        self._handed_in.append(Job(work, future, prepare))
        return future

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int, quiet: int, until: float) -> None:
        """Wake the writer once for all work of these turns of the event loop."""
        count = len(self._handed_in)
        quiet = quiet + 1 if count == before else 0
        if quiet < QUIET_TURNS and count < self._group_max and loop.time() < until:
            loop.call_soon(self._gather, loop, count, quiet, until)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        jobs, self._handed_in = self._handed_in, []
        if jobs:
            self._jobs.put(jobs)

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
            with self._reading:
                self._reader.execute("BEGIN")
                try:
                    return question(View(self._reader))
                finally:
                    self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from error

    # the writer thread

    def _run(self, connection: sqlite3.Connection, tx: Tx) -> None:
        group: list[Job[Any]] = []
        try:
            while group := self._next_group(tx):
                # A disk that refuses these refuses the next work too, and the sender of that work is told.
                done = self._commit_group(tx, group)
                self._waiting.extendleft(reversed(group[len(done) :]))
                with contextlib.suppress(sqlite3.Error):
                    self._tell_news(tx)
                    self._checkpoint(connection)
            with contextlib.suppress(sqlite3.Error):
                tx.pay(self._clock())
        except BaseException as error:
            # A writer that dies must not leave its callers waiting. The receiver then ends, to be started again.
            log.critical("journal.writer_died", exc_info=error)
            self._broken = error
            self._fail([*group, *self._waiting], error)
        finally:
            connection.close()
            self._files.close()

    def _next_group(self, tx: Tx) -> list[Job[Any]]:
        """Wait for work, and take everything that is waiting. Empty if the journal must close."""
        while len(self._waiting) < self._group_max:
            try:
                jobs = self._jobs.get_nowait() if self._waiting else self._next_jobs(tx)
            except queue.Empty:
                break
            if jobs is None:
                self._jobs.put(None)
                break
            self._waiting.extend(jobs)
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._group_max))]

    def _next_jobs(self, tx: Tx) -> list[Job[Any]] | None:
        """Wait for work; meanwhile write what is owed to the disk, and look for commits of others."""
        while True:
            try:
                return self._jobs.get(timeout=tx.caches.patience_s)
            except queue.Empty:
                # A disk that refuses these times refuses the next delivery too, and the sender of that one is told.
                with contextlib.suppress(sqlite3.Error):
                    tx.pay(self._clock())
                    self._tell_news(tx)

    def _tell_news(self, tx: Tx) -> None:
        """Wake the listeners after a commit of another process, as after one of our own."""
        if self._loop is not None and tx.caches.others_wrote():
            self._loop.call_soon_threadsafe(self._on_news, View.head(tx)[0])

    def _commit_group(self, tx: Tx, group: list[Job[Any]]) -> list[Job[Any]]:
        """Commit the first pieces of work of a group: all of them, unless they would take too long together."""
        group, ready = prepared(group)
        head, acted = 0, False
        changed = tx.changed_rows
        try:
            tx.begin(self._clock, (one for job in ready for one in job.about or ()))
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
            self._files.check()
        except sqlite3.Error as error:
            tx.roll_back()
            head, acted = 0, False
            for job in group:
                job.error = job.error or JournalError(f"{self._path}: {error}")
        else:
            self._reached(Step.JOURNAL_COMMITTED)
        pages = max(WORK_PAGES * len(group), tx.changed_rows - changed, tx.body_bytes // PAGE_BYTES)
        self._log_pages += COMMIT_PAGES + pages
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._answer, group, head, acted, tx.held if head else ())
        return group

    def _run_job(self, tx: Tx, job: Job[Any]) -> None:
        tx.begin_work()
        try:
            job.result = job.work(tx)
            tx.end_work()
        except sqlite3.OperationalError:
            raise  # The disk failed, not the work: the whole group fails.
        except Exception as error:  # noqa: BLE001 - handed to the caller, whose future raises it
            tx.undo_work()
            job.error = error

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move the log into the database now and then, but only after the callers have their answers.

        The log begins anew only while nobody reads from the log. In a storm somebody always does, so the writer takes
        a moment without readers before the log is long.
        """
        if self._log_pages < CHECKPOINT_PAGES:
            return
        self._log_pages = 0
        ((_, pages, _),) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if pages > LOG_PAGES_MAX:
            with self._reading:
                connection.execute(f"PRAGMA busy_timeout = {READERS_WAIT_MS}")
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                connection.execute(f"PRAGMA busy_timeout = {1000 * LOCK_WAIT_S}")

    def _fail(self, group: list[Job[Any]], error: BaseException) -> None:
        for job in group:
            job.error = JournalError(f"{self._path}: the writer died: {error}")
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._answer, group, 0, False, ())
            self._loop.call_soon_threadsafe(self._on_broken)

    # the event loop

    def _on_news(self, head: int) -> None:
        """Others have committed up to this decision: whatever listeners wait for may have changed."""
        self._head = max(self._head, head)
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

    def _answer(self, group: list[Job[Any]], head: int, acted: bool, held: tuple[FlagView, ...]) -> None:  # noqa: FBT001 - a callback's argument
        for view in held:
            self._tell_held(view)
        if head > self._head or acted:
            self._head = max(self._head, head)
            self._tell_listeners(acted=acted)
        for job in group:
            if job.done.cancelled():
                continue
            if job.error is not None:
                job.done.set_exception(job.error)
            else:
                job.done.set_result(job.result)
