"""A connection to PostgreSQL that speaks as the journal does, ends in time, and never believes a doubtful COMMIT.

A COMMIT that waits for a standby can end in three ways besides success. The server cancels the wait and then reports
success with warning 01000, although no standby has the transaction. The connection breaks, or nothing comes back in
time. In all three cases nobody knows whether the transaction is durable, and `commit` raises.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.errors import Diagnostic
from psycopg.types.string import TextLoader

from receiver.journal.postgres_words import translated

T = TypeVar("T")

LOOK_S = 0.1
"""How often psycopg looks whether the time is over."""

NO_ANSWER = (
    "the server did not answer within {:g} s. Look in pg_stat_replication on the primary whether the standby is there"
)
"""Nearly always, a COMMIT waits for a standby. The server's settings decide so, and not `require_standby`."""

NOT_REPLICATED = "01000"
"""The class of the warning "The transaction has already committed locally, but might not have been replicated"."""


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""


class DoubtfulCommitError(psycopg.OperationalError):
    """The transaction may not be on a standby."""


class Wire(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits `answer_s` for each answer, and then closes its socket."""

    answer_s = 10.0
    timeline = 0
    """The server's timeline when the connection was made: each promotion of a standby begins another."""

    def wait(self, gen: PQGen[T], interval: float = LOOK_S, timeout: float | None = None) -> T:
        """Run one of psycopg's steps, but not for ever. A step that got no answer may still happen on the server."""
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.Error as error:
            if timeout is None and self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()
                raise NoAnswerError(NO_ANSWER.format(self.answer_s)) from error
            raise


class PostgresConnection:
    """One connection, which is opened again after it was closed or lost, but never in the middle of a transaction.

    `connect` makes a connection that is ready for use. A connection that `is_old` is left when a transaction begins: a
    reader that stays on an old primary would show an old state for ever.
    """

    total_changes = 0

    def __init__(self, connect: Callable[[], Wire], *, is_old: Callable[[Wire], bool]) -> None:
        self._connect = connect
        self._is_old = is_old
        self._wire: Wire | None = None
        self._began = False
        self._doubts: list[str] = []

    @property
    def wire(self) -> Wire:
        """The open connection. Raises psycopg.Error if it was lost in a transaction, or if none can be had."""
        if self._wire is not None and not self._wire.closed:
            return self._wire
        if self._began:
            raise psycopg.OperationalError("the connection was lost in the middle of a transaction")
        wire = self._connect()
        wire.add_notice_handler(self._heard)
        wire.adapters.register_loader("json", TextLoader)
        self._wire = wire
        return wire

    def _heard(self, diagnostic: Diagnostic) -> None:
        if diagnostic.sqlstate == NOT_REPLICATED:
            self._doubts.append(diagnostic.message_primary or "")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open. One whose connection was lost is open until `rollback`."""
        idle = {pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN}
        return self._began or (self._wire is not None and self._wire.info.transaction_status not in idle)

    def _begin(self, sql: str) -> psycopg.Cursor[tuple[Any, ...]]:
        """Begin a transaction, on a new connection if the old one is lost."""
        self._began = False
        if self._wire is not None and self._is_old(self._wire):
            self.close()
        try:
            done = self.wire.execute(sql.encode())
        except psycopg.OperationalError:
            self.close()
            done = self.wire.execute(sql.encode())
        self._began = True
        return done

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement."""
        if sql.startswith("BEGIN"):
            return self._begin(sql)
        text, order = translated(sql)
        with self._told_apart():
            return self.wire.execute(text.encode(), [parameters[number] for number in order])

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement for each row of parameters."""
        cursor = self.wire.cursor()
        with self._told_apart():
            cursor.executemany(translated(sql)[0].encode(), parameters)
        return cursor

    @contextlib.contextmanager
    def _told_apart(self) -> Iterator[None]:
        """Raise OperationalError where psycopg takes a failure of the server for a fault of the statement.

        The server ended the session, because the receiver stood still for too long; or the server takes no writes any
        more. The next transaction then looks for the primary again.
        """
        try:
            yield
        except psycopg.InternalError as error:
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                self.close()
            if self._wire is None or self._wire.closed:
                raise psycopg.OperationalError(str(error)) from error
            raise

    def commit(self) -> None:
        """Make the transaction durable. Raises DoubtfulCommitError or another psycopg.Error if that is not certain."""
        self._doubts.clear()
        done = self.wire.execute("COMMIT")
        self._began = False
        if done.statusmessage != "COMMIT":
            raise psycopg.OperationalError(f"the server answered {done.statusmessage} to COMMIT")
        if self._doubts:
            raise DoubtfulCommitError("; ".join(self._doubts))

    def rollback(self) -> None:
        """Undo the transaction. A connection that cannot do so is closed, which undoes it too."""
        try:
            self.wire.execute("ROLLBACK")
        except psycopg.Error:
            self.close()
        self._began = False

    def close(self) -> None:
        """Close the connection; the next transaction opens a new one."""
        if self._wire is not None:
            with contextlib.suppress(psycopg.Error):
                self._wire.close()
            self._wire = None
