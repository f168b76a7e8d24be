"""The seam between the journal and the database that holds the journal.

`receiver.journal.sqlite` is a file of this machine, written by one receiver. `receiver.journal.postgres` is a server
that several receivers can write. Above this seam, SQL is written once, in the words of SQLite; PostgreSQL's connection
translates the few words that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Protocol

from receiver.steps import Reached

NO_LIMIT = 2**62
"""The LIMIT of a query that has none: both databases take this number."""


class JournalError(Exception):
    """The journal could not be written, and nothing of the work was kept."""


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One connection, of one thread at a time. `sqlite3.Connection` is one."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    @property
    def total_changes(self) -> int:
        """How many rows were changed since the connection was opened; 0 where nobody needs to know."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Run one statement for each row of parameters."""

    def commit(self) -> None:
        """Make the transaction durable. If this raises, nobody knows whether the transaction is durable."""

    def rollback(self) -> None:
        """Undo the transaction."""

    def close(self) -> None:
        """Close the connection."""


class Store(Protocol):
    """One database. The journal's writer thread calls everything but `reader` and `begin_reading`."""

    @property
    def shown(self) -> str:
        """How messages name the database."""

    @property
    def promise(self) -> str:
        """Where work is when its caller has the answer."""

    @property
    def exclusive(self) -> bool:
        """Whether this receiver alone writes the database: see `receiver.journal.exclusive`."""

    @property
    def reading(self) -> AbstractContextManager[Any]:
        """Held by a reader while it reads."""

    @property
    def several(self) -> bool:
        """Whether several receivers may share the journal, each on a host of its own."""

    @property
    def knows(self) -> int:
        """The last shape of such a database that this version knows."""

    @property
    def leader(self) -> str:
        """The receiver that led when the open transaction began; "" if nobody did."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Every error that the database raises."""

    @property
    def again(self) -> tuple[type[Exception], ...]:
        """The failures after which the same work may succeed at once."""

    def told(self, error: Exception) -> str:
        """An error for people: which database, what is wrong, and what to do."""

    def is_damaged(self, error: Exception) -> bool:
        """Whether an error says that the database is damaged: nothing helps before people mend the database."""

    def has_failed(self, error: Exception) -> bool:
        """Whether the database is to blame for an error, and not a piece of work: the whole group fails."""

    def now(self, own: datetime) -> datetime:
        """The time by the clock that all writers share, from the time of this machine."""

    def open(self, reached: Reached) -> Connection:
        """The writer's connection, to tables of this version's shape. Raises JournalError."""

    def reader(self) -> Connection:
        """A connection for reading only. Raises JournalError."""

    def checked_reader(self, *, earlier: bool = False) -> Connection:
        """A connection for reading a journal of this version's shape, which nobody needs to write. Raises JournalError.

        With `earlier`, an earlier shape will do: decisions, deliveries and policies are alike in all shapes of a file.
        """

    def begin_reading(self, reader: Connection) -> None:
        """Begin a transaction that sees one state of the database."""

    def begin_alone(self, writer: Connection) -> None:
        """Begin a transaction while nobody else can write, and keep others from writing until its end.

        Only for a database that others write as well.
        """

    def ending(self, writer: Connection, head: tuple[int, str] | None, *, acted: bool) -> None:
        """Do what belongs at the end of a transaction: `head` is its last decision, if the transaction made any."""

    def version(self, writer: Connection) -> int:
        """A number that changes with each commit of other writers."""

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from any thread, when another writer has committed. The writer also looks now and then."""

    def take_loss(self) -> str:
        """What the database has lost of what was committed, said once; "" if nothing."""

    def committed(self) -> None:
        """Raise an error if what was just committed is not where the journal is read from."""

    def rest(self, writer: Connection, *, pages: int, idle: bool) -> None:
        """Do maintenance while callers have their answers. About so many pages were written since the last call.

        `idle`: no work came for a moment. Maintenance that can wait waits for this, because what follows a commit, such
        as the writing of a flag, needs the disk.
        """

    def close(self) -> None:
        """Release what belongs to no connection, after all connections are closed."""


@contextmanager
def errors_of(store: Store) -> Iterator[None]:
    """Raise every error of a database as JournalError, with what to do."""
    try:
        yield
    except store.errors as error:
        raise JournalError(store.told(error)) from error
