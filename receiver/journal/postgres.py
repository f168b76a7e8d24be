"""The journal in PostgreSQL.

Every transaction locks the row `chain_head` first. Whoever holds the lock sees all earlier commits, and nobody else
writes until the commit. The journal's work is therefore the same as on a SQLite file. A receiver that stops in
the middle of a transaction keeps others waiting for a few seconds; then the server ends that transaction.

A sender gets its 200 when COMMIT came back without a doubt. With `require_standby`, the server must have waited for a
standby: every transaction checks the settings that make it wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from receiver.journal.postgres_clock import ServerClock
from receiver.journal.postgres_connection import PostgresConnection, Wire
from receiver.journal.postgres_listener import CHANNEL, Listener
from receiver.journal.postgres_remedies import with_remedies
from receiver.journal.postgres_shapes import Runs, bring_up, known, require_newest, too_old
from receiver.journal.store import Connection, JournalError
from receiver.steps import Reached

ANSWER_S = 10.0
"""How long the receiver waits for the server's answer, COMMIT included. Then it closes the connection."""

IDLE_MAX_S = 5.0
"""After this time the server ends the transaction of a receiver that says nothing more."""

CONNECT_S = 5

OLDEST = 150000
"""The oldest server that the tests run: PostgreSQL 15."""

DURABLE = frozenset({"on", "remote_apply"})
"""Values of `synchronous_commit` with which COMMIT waits for the standby's disk."""

ON_DISK = DURABLE | {"local", "remote_write"}
"""Values with which COMMIT waits for the disk of the primary."""

# The time is read after the wait for the lock: in one query without the WITH, it would be the time before the wait.
_BEGIN = (
    "WITH head AS MATERIALIZED (SELECT seq, hash, version, lead, needs FROM chain_head FOR UPDATE) "
    "SELECT seq, hash, version, current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), "
    "set_config('idle_in_transaction_session_timeout', ?, TRUE), lead, needs, clock_timestamp() FROM head"
)
# Whatever the database's default is: what is read after the wait for the lock must be what the last holder committed.
_ALONE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_VERSION = "SELECT version FROM chain_head"
_TIMELINE = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int, clock_timestamp()"


class NotSafeError(psycopg.OperationalError):
    """The server would lose what it acknowledges, is not the primary any more, or has tables for newer versions.

    The message says what to do.
    """


class PostgresStore:
    """A database that several receivers may write. `dsn` is a connection string of libpq; it may name many hosts."""

    exclusive = False
    several = True
    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    again: tuple[type[Exception], ...] = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
    reading = contextlib.nullcontext()

    def __init__(
        self,
        dsn: str,
        *,
        require_standby: bool = True,
        runs: Runs = Runs(),  # noqa: B008 - frozen
        answer_s: float = ANSWER_S,
        clock: ServerClock | None = None,
    ) -> None:
        self._dsn = dsn
        self._require_standby = require_standby
        self._runs = runs
        self._answer_s = answer_s
        self.leader = ""
        self._clock = clock or ServerClock()
        self._timeline = 0
        self._acknowledged: tuple[int, str] | None = None
        self._head: tuple[int, str] | None = None  # of the open transaction
        self._wrote = False  # the open transaction writes what others may want to know
        self._version = 0  # that this receiver knows
        self._news = 0
        self._lost = ""
        self._listener = Listener(self._connect, is_old=self._is_old)

    @property
    def shown(self) -> str:
        """The database without its password."""
        parts = conninfo_to_dict(self._dsn)
        return f"PostgreSQL {parts.get('host', 'localhost')}, database {parts.get('dbname', '')}"

    @property
    def knows(self) -> int:
        """The last shape that this version knows."""
        return known()

    @property
    def promise(self) -> str:
        """With `require_standby`, a failover loses nothing that was acknowledged."""
        return "on the disks of the primary and of a standby" if self._require_standby else "on the disk of the primary"

    def _connect(self) -> Wire:
        """A connection to the newest primary. Raises psycopg.Error if there is none.

        All servers of the list are asked: an old primary that came back takes writes too, on an older timeline.
        """
        found: list[Wire] = []
        problems: list[str] = []
        for server in each_server(self._dsn):
            try:
                found.append(self._connect_one(server))
            except NotSafeError as error:
                problems.append(f"{_place(server)}: {error}")
            except psycopg.Error as error:
                problems.append(str(error))
        if not found:
            raise psycopg.OperationalError(with_remedies(problems))
        chosen = max(found, key=lambda wire: wire.timeline)  # the first of those that are alike
        for wire in found:
            if wire is not chosen:
                wire.close()
        self._timeline = chosen.timeline
        return chosen

    def _connect_one(self, server: str) -> Wire:
        """A connection to one server. Raises NotSafeError for a server that was the primary earlier."""
        wire: Wire = Wire.connect(
            server,
            autocommit=True,
            prepare_threshold=None,  # pgbouncer of Debian 12 knows no prepared statements
            connect_timeout=CONNECT_S,
            target_session_attrs="read-write",
            application_name="freezeline",
            client_encoding="UTF8",
        )
        wire.answer_s = self._answer_s
        try:
            require_version(wire.info.server_version)
            require_unicode(wire.info.parameter_status("server_encoding") or "")
            wire.timeline = self._timeline_of(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    def _timeline_of(self, wire: Wire) -> int:
        timeline, at = wire.execute(_TIMELINE).fetchone() or (0, None)
        if timeline < self._timeline:
            raise NotSafeError(
                f"this server is on timeline {timeline}, and the receiver has written to timeline {self._timeline}: "
                "the server is an old primary. Make it a standby of the new one"
            )
        if at is not None:
            self._clock.read(at)
        return int(timeline)

    def told(self, error: Exception) -> str:
        """What the server or libpq says in one line, with what an operator types."""
        return f"{self.shown}: {with_remedies([str(error)])}"

    def is_damaged(self, error: Exception) -> bool:
        """The server cannot read a page of a table or an index."""
        return isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted)

    def has_failed(self, error: Exception) -> bool:
        """The connection is lost, the server cannot do its work, or the database is damaged."""
        return self.is_damaged(error) or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)

    def _is_old(self, wire: Wire) -> bool:
        """Whether a connection is to a server that is not the primary any more."""
        return wire.timeline < self._timeline

    def now(self, own: datetime) -> datetime:
        """The server's time, whatever the clock of this machine says."""
        return self._clock.now(otherwise=own)

    def open(self, reached: Reached) -> Connection:  # noqa: ARG002 - nothing is copied before a migration
        """The writer's connection. The tables are made or migrated. Raises JournalError."""
        connection = PostgresConnection(self._connect, is_old=self._is_old)
        try:
            bring_up(connection.wire, self._runs)
            self._version = self._asked_version(connection)
        except (psycopg.Error, JournalError) as error:
            connection.close()
            raise JournalError(self.told(error)) from error
        return connection

    def reader(self) -> Connection:
        """A connection for reading only."""
        return PostgresConnection(self._connect, is_old=self._is_old)

    def checked_reader(self, *, earlier: bool = False) -> Connection:  # noqa: ARG002 - the server migrates in time
        """A connection for reading a journal of this version's shape. Raises JournalError."""
        reader = PostgresConnection(self._connect, is_old=self._is_old)
        try:
            require_newest(reader.wire)
        except (psycopg.Error, JournalError) as error:
            reader.close()
            raise JournalError(self.told(error)) from error
        return reader

    def begin_moving(self, writer: Connection) -> None:
        """Begin a transaction while no receiver leads. Raises JournalError or psycopg.Error."""
        writer.execute(_ALONE)
        row = writer.execute("SELECT lead FROM chain_head WHERE lead_until > clock_timestamp() FOR UPDATE").fetchone()
        if row is not None:
            raise JournalError(f"the receiver {row[0]} runs with this journal. Stop every receiver first")

    def end_moving(self, writer: Connection, head: tuple[int, str]) -> None:
        """Bring up to date what is not copied: the end of the chain, and the number of the next waiting alert."""
        writer.execute("UPDATE chain_head SET seq = ?, hash = ?, version = version + 1", head)
        writer.execute(
            "SELECT setval(pg_get_serial_sequence('waiting_alert', 'id'), coalesce(max(id), 0) + 1, FALSE) "
            "FROM waiting_alert"
        )

    def begin_reading(self, reader: Connection) -> None:
        """Begin a transaction that sees one state of the database. Raises psycopg.Error."""
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin_alone(self, writer: Connection) -> None:
        """Wait for the end of other receivers' transactions, and keep new ones waiting. Raises psycopg.Error."""
        writer.execute(_ALONE)
        row = writer.execute(_BEGIN, (f"{IDLE_MAX_S:g}s",)).fetchone()
        seq, hash_, version, commits, standbys, _, self.leader, needs, at = row
        self._clock.read(at)
        why = too_old(needs) or unsafe(commits, standbys, require_standby=self._require_standby)
        if why:
            raise NotSafeError(why)
        self._head, self._wrote = (seq, hash_), False
        self._look(version)
        if self._acknowledged is not None and self._acknowledged[0] > 0:
            self._require_acknowledged(writer, *self._acknowledged, seq)

    def _require_acknowledged(self, writer: Connection, seq: int, digest: str, head: int) -> None:
        """Note a loss, once, where the server does not hold the last decision that this receiver has acknowledged."""
        if self._head == (seq, digest):
            return
        row = writer.execute("SELECT hash FROM decision WHERE seq = ?", (seq,)).fetchone()
        self._acknowledged = None
        if head < seq or (row is not None and row[0] != digest):
            self._lost = (
                f"The database lost decisions: decision {seq} was acknowledged and is not there; the last one is {head}"
            )

    def take_loss(self) -> str:
        """What the database has lost since the last call; "" if nothing. Raises nothing."""
        lost, self._lost = self._lost, ""
        return lost

    def ending(self, writer: Connection, head: tuple[int, str] | None, *, acted: bool) -> None:
        """Write the new end of the chain, and tell other receivers that there is something to look at."""
        if head is None or head == self._head:
            if not acted:
                return
            head = self._head
        writer.execute("UPDATE chain_head SET seq = ?, hash = ?, version = version + 1", head or ())
        writer.execute("SELECT pg_notify(?, ?)", (CHANNEL, self._listener.name))
        self._head = head
        self._wrote = True

    def version(self, writer: Connection) -> int:
        """How often this receiver has seen that others wrote. Raises psycopg.Error."""
        self._look(self._asked_version(writer))
        return self._news

    @staticmethod
    def _asked_version(connection: Connection) -> int:
        return int(connection.execute(_VERSION).fetchone()[0])

    def _look(self, version: int) -> None:
        if version != self._version:
            self._version = version
            self._news += 1

    def committed(self) -> None:
        """Remember what was acknowledged. A commit in doubt that happens later is news, as one of another receiver."""
        self._acknowledged = self._head
        self._version += self._wrote

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake`, in a thread, when another receiver has committed."""
        self._listener.start(wake)

    def rest(self, writer: Connection, *, pages: int, idle: bool) -> None:
        """Nothing: the server maintains itself."""

    def close(self) -> None:
        """End the thread that listens."""
        self._listener.stop()


def each_server(dsn: str) -> list[str]:
    """A connection string for each server that a connection string names."""
    parts = conninfo_to_dict(dsn)
    hosts, ports = (str(parts.get(name) or "").split(",") for name in ("host", "port"))
    if len(ports) == 1:
        ports *= len(hosts)
    return [make_conninfo(dsn, host=host or None, port=port or None) for host, port in zip(hosts, ports, strict=True)]


def _place(server: str) -> str:
    """A server of the list, as libpq's messages name it."""
    parts = conninfo_to_dict(server)
    return f'server at "{parts.get("host", "localhost")}", port {parts.get("port", 5432)}'


def require_version(number: int) -> None:
    """Raise NotSafeError for a server that no test runs. `number` is libpq's, such as 150012."""
    if number < OLDEST:
        raise NotSafeError(
            f"this server is PostgreSQL {number // 10000}.{number % 10000}. "
            f"Upgrade the server to PostgreSQL {OLDEST // 10000} or newer"
        )


def require_unicode(encoding: str) -> None:
    """Raise NotSafeError for a database that cannot hold every alert. `encoding` is the server's word, as `UTF8`."""
    if encoding != "UTF8":
        raise NotSafeError(
            f"the database has the encoding {encoding}, which cannot hold every alert. Create it anew with "
            "`CREATE DATABASE NAME ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0`"
        )


def unsafe(commits: str, standbys: str, *, require_standby: bool) -> str:
    """Why a commit with these settings of the server would not keep the promise of a 200; "" if it does."""
    if not require_standby:
        if commits in ON_DISK:
            return ""
        return f"synchronous_commit is {commits}: a crash of the server loses commits. Set synchronous_commit to on"
    if commits not in DURABLE:
        return f"synchronous_commit is {commits}: a commit does not wait for the standby. Set synchronous_commit to on"
    if not standbys.strip():
        return (
            "the server has no synchronous standby. Set synchronous_standby_names on the server, or "
            "`journal: {require_standby: false}` in receiver.yaml"
        )
    return ""
