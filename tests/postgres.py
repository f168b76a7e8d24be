"""A real PostgreSQL for tests: a cluster of its own on the loopback, its standby, and a pgbouncer in front of it.

PostgreSQL refuses to run as root. A test that runs as root starts the servers as the user `nobody`, who also owns
their folders.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.balancers import free_ports
from tests.tools import ROOT, gone_with_us, missing_is_an_error
from tests.waiting import wait_until

USER = "freezeline"
UNPRIVILEGED = "nobody"
COMMAND_DEADLINE_S = 120
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "jit": "off",
    "fsync": "off",  # a killed process loses nothing; only a machine without power would
    "wal_level": "replica",
    "wal_sender_timeout": "5s",
    "hot_standby": "on",
    "log_checkpoints": "off",
}
BOUNCER = """\
[databases]
* = host=127.0.0.1 port={behind} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
max_client_conn = 100
default_pool_size = 20
"""
_numbers = itertools.count(1)


def program(name: str) -> Path:
    """A program that `./dev` linked. Without it, the test fails in CI and is skipped elsewhere."""
    place = ROOT / ".venv" / "tools" / "postgresql" / name
    if os.access(place, os.X_OK):
        return place.readlink()  # `nobody` may be unable to read the checkout
    reason = f"{name} is not here (./dev test fetches it)"
    if missing_is_an_error():
        pytest.fail(reason)
    pytest.skip(reason)


def _as_user() -> dict[str, Any]:
    """How `subprocess` starts a server: as a user that is not root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for servers, which belongs to the user that they run as. Its path is short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="freezeline-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(made, UNPRIVILEGED)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class Process:
    """A server process with a log, in a folder of its own."""

    def __init__(self, directory: Path, name: str, port: int) -> None:
        self.directory = directory
        self.log = directory / f"{name}.log"
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()

    @property
    def pid(self) -> int:
        """The process, which must run."""
        assert self.process is not None
        return self.process.pid

    def _start(self, argv: Sequence[str | Path]) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                argv, stdout=output, stderr=output, cwd=self.directory, process_group=0, **_as_user()
            )
        self._stack.enter_context(gone_with_us(self.process))

    def signal(self, number: int) -> None:
        """Send a signal to the server and its processes, which are no process group."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes."""
        self.signal(signal.SIGKILL)
        self.ended()

    def ended(self) -> None:
        """Wait for the end of the process."""
        if self.process is not None:
            self.process.wait(STOP_DEADLINE_S)
            self.process = None
            self._stack.close()

    def stop(self) -> None:
        """End the server at once, whatever its clients do."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
            os.kill(self.pid, signal.SIGQUIT)
            try:
                self.ended()
            except subprocess.TimeoutExpired:
                self.kill()

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection in autocommit mode."""
        return psycopg.connect(self.dsn(database), autocommit=True, **options)

    def dsn(self, database: str = "postgres", *, user: str = USER) -> str:
        """What a client needs to connect."""
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user} connect_timeout=5"

    def ask(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of one query on a connection of its own."""
        with self.connect(database) as connection:
            return connection.execute(sql.encode()).fetchall()

    def run(self, sql: str, database: str = "postgres") -> None:
        """Run one statement outside of a transaction, on a connection of its own."""
        with self.connect(database) as connection:
            connection.execute(sql.encode())

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return False
        return True


class Cluster(Process):
    """A PostgreSQL cluster: `create` or `standby_of`, then `start`."""

    def __init__(self, directory: Path, name: str, port: int | None = None) -> None:
        super().__init__(directory, name, port or free_ports(1)[0])
        self.name = name
        self.data = directory / name

    @classmethod
    def create(cls, directory: Path, name: str = "primary") -> Self:
        """A new cluster."""
        cluster = cls(directory, name)
        cluster._call("initdb", "-D", cluster.data, "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync")
        return cluster

    def standby(self, name: str = "standby", port: int | None = None) -> "Cluster":
        """A copy of this running cluster that follows it, under its own name."""
        copy = Cluster(self.directory, name, port)
        source = f"host=127.0.0.1 port={self.port} user={USER} application_name={name}"
        copy._call("pg_basebackup", "-D", copy.data, "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        return copy

    def start(self) -> Self:
        """Start the server, and wait until it answers."""
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.directory)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self._start([program("postgres"), "-D", self.data, *options])
        wait_until(self.answers, START_DEADLINE_S, f"{self.name} answers")
        return self

    def promote(self) -> None:
        """Make a standby the primary."""
        self.run("SELECT pg_promote(true, 60)")

    def require(self, standbys: str) -> None:
        """Let each commit wait for these standbys (`*` for any one, empty for none)."""
        self.run(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
        self.run("SELECT pg_reload_conf()")
        wait_until(
            lambda: self.ask("SHOW synchronous_standby_names") == [(standbys,)], START_DEADLINE_S, "the setting holds"
        )

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Receivers have lost their connections, and others hold all there are."""
        rivals = "backend_type = 'client backend' AND application_name <> 'taker'"
        with contextlib.ExitStack() as stack:
            own = [stack.enter_context(self.connect(application_name="taker"))]

            def taken() -> bool:
                with contextlib.suppress(psycopg.OperationalError):
                    while len(own) < int(SETTINGS["max_connections"]):
                        own.append(stack.enter_context(self.connect(application_name="taker")))
                own[0].execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {rivals}".encode())
                return len(own) == int(SETTINGS["max_connections"])

            wait_until(taken, START_DEADLINE_S, "others hold every connection")
            yield

    def follows(self, standby: str) -> bool:
        """Whether a standby streams from this cluster and counts for commits."""
        found = self.ask(
            f"SELECT 1 FROM pg_stat_replication WHERE application_name = '{standby}' AND sync_state = 'sync'"
        )
        return bool(found)

    def database(self) -> str:
        """The connection string of a new, empty database."""
        return beside(self.dsn())

    def _call(self, name: str, *arguments: str | Path) -> None:
        subprocess.run(
            [program(name), *arguments],
            cwd=self.directory,
            capture_output=True,
            check=True,
            timeout=COMMAND_DEADLINE_S,
            **_as_user(),
        )


class Bouncer(Process):
    """pgbouncer in transaction mode in front of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.directory, "pgbouncer", free_ports(1)[0])
        self._config = cluster.directory / "pgbouncer.ini"
        self._config.write_text(
            BOUNCER.format(behind=cluster.port, port=self.port, folder=cluster.directory, user=USER)
        )

    def start(self) -> Self:
        """Start pgbouncer, and wait until it answers."""
        self._start([program("pgbouncer"), self._config])
        wait_until(self.answers, START_DEADLINE_S, "pgbouncer answers")
        return self


def beside(dsn: str) -> str:
    """The connection string of a new, empty database on the same server."""
    name = f"journal_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_conninfo(dsn, dbname=name)


def either(dsn: str, *servers: Process) -> str:
    """The connection string of whichever of these servers takes writes, in their order."""
    return make_conninfo(
        dsn, host=",".join("127.0.0.1" for _ in servers), port=",".join(str(server.port) for server in servers)
    )


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster of its own."""
    with folder() as directory:
        made = Cluster.create(directory).start()
        try:
            yield made
        finally:
            made.stop()


@contextlib.contextmanager
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary whose commits wait for its standby, and the standby."""
    with cluster() as primary:
        standby = primary.standby().start()
        try:
            primary.require(standby.name)
            wait_until(lambda: primary.follows(standby.name), START_DEADLINE_S, "the standby follows")
            yield primary, standby
        finally:
            standby.stop()
