"""Mistakes of people who set up several receivers: each ends at the start, and its message says what to do.

The exit code is 3, for what is around the receiver.
"""

import contextlib
import os
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from receiver.journal.postgres import PostgresStore
from receiver.steps import pass_by
from tests.acceptance.receiver.harness import Site
from tests.postgres import Cluster, pair
from tests.tools import ROOT

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

DEADLINE_S = 60
PARAMETERS = {"server_encoding": "UTF8", "client_encoding": "UTF8", "in_hot_standby": "off"}
PARAMETERS |= {"default_transaction_read_only": "off", "standard_conforming_strings": "on"}


def run(*words: object, **env: str) -> tuple[int, str]:
    """Run a command that must end by itself; its exit code and what it says about the mistake."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "FREEZELINE"))}
    ran = subprocess.run(
        [sys.executable, "-m", "freezeline", *map(str, words)],
        env={**own, "PYTHONPATH": str(ROOT), "PGPASSFILE": "/nonexistent", **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stderr


def serve(site: Site, journal: object, **env: str) -> tuple[int, str]:
    """Start a receiver that must refuse its start."""
    site.settings = {"journal": journal}
    site.write()
    words = ("--policy", site.root / "policy", "--state", site.state, "--config", site.root / "receiver.yaml")
    return run("serve", *words, "--listen", "127.0.0.1:0", **env)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A host."""
    return Site(root=tmp_path / "host")


@pytest.fixture(scope="module")
def asking(server: Cluster) -> Cluster:
    """A server that wants a password of the user `locked`, and refuses the user `stranger`."""
    rules = server.data / "pg_hba.conf"
    first = "host all locked 127.0.0.1/32 scram-sha-256\nhost all stranger 127.0.0.1/32 reject\n"
    rules.write_text(first + rules.read_text())
    server.run("SELECT pg_reload_conf()")
    server.run("CREATE ROLE locked LOGIN PASSWORD 'open'")
    server.run("CREATE ROLE guest LOGIN")
    return server


@contextlib.contextmanager
def greeting(version: str) -> Iterator[int]:
    """A server that greets as PostgreSQL of a version does, and says no more; its port."""

    class Greeting(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while struct.unpack("!i", self.rfile.read(4)) == (8,):  # encryption is asked for, and refused
                self.rfile.read(4)
                self.wfile.write(b"N")
            parameters = {**PARAMETERS, "server_version": version}
            texts = [f"{name}\0{value}\0".encode() for name, value in parameters.items()]
            said = [(b"R", struct.pack("!i", 0)), *((b"S", text) for text in texts), (b"Z", b"I")]
            self.wfile.write(b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in said))
            self.connection.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


CONNECTING = {
    "the wrong password": (
        {"user": "locked"},
        "wrong",
        'password authentication failed for user "locked". Write the password into ~/.pgpass',
    ),
    "no password": ({"user": "locked"}, "", "no password supplied. Write the password into ~/.pgpass"),
    "no such database": (
        {"dbname": "none"},
        "",
        'database "none" does not exist. Create the database: `createdb --owner USER none`',
    ),
    "no such user": (
        {"user": "nobody-here"},
        "",
        'role "nobody-here" does not exist. Create the user: `createuser --pwprompt nobody-here`',
    ),
    "a user that the server does not let in": (
        {"user": "stranger"},
        "",
        "Allow the receiver's host in pg_hba.conf of the server",
    ),
    "a user who does not own the database": (
        {"user": "guest"},
        "",
        "permission denied for schema public. Let the user own a database",
    ),
    "no server": ({"port": "1"}, "", "Connection refused. Check host and port, and listen_addresses of the server"),
    "no such host": ({"host": "db1.invalid"}, "", "Name or service not known. Correct the name of the host"),
}


@pytest.mark.parametrize("mistake", CONNECTING)
def test_a_database_that_cannot_be_used(mistake: str, asking: Cluster, site: Site) -> None:
    """The server's own words, then what to do. No server's answer is a file's mistake: exit code 3."""
    wrong, password, said = CONNECTING[mistake]
    dsn = make_conninfo(asking.database(), **wrong)
    env = {"PGPASSWORD": password} if password else {}
    code, err = serve(site, {"postgres": dsn, "require_standby": False}, **env)
    assert (code, err.count("\n")) == (3, 1), err
    assert said in err


def test_the_standby_alone_is_named() -> None:
    """The list lacks the primary; and a primary whose standby is not configured."""
    with pair() as (primary, standby):
        site = Site(root=primary.directory / "host")
        code, err = serve(site, {"postgres": standby.dsn()})
        assert code == 3
        assert "session is read-only. Add the primary to the list of hosts, or promote this standby" in err
        primary.require("")
        code, err = serve(site, {"postgres": primary.dsn()})
        assert code == 3
        assert "Set synchronous_standby_names on the server, or `journal: {require_standby: false}`" in err


@pytest.mark.soak
def test_a_lost_standby_is_looked_for_on_the_primary() -> None:
    """The server waits for its standby, whatever `require_standby` says."""
    with pair() as (primary, standby):
        standby.stop()
        site = Site(root=primary.directory / "host")
        code, err = serve(site, {"postgres": primary.dsn(), "require_standby": False})
        assert code == 3
        assert "did not answer within 10 s. Look in pg_stat_replication on the primary" in err


def test_an_old_server_is_refused(site: Site) -> None:
    """A server that says version 14 in its greeting."""
    with greeting("14.9") as port:
        code, err = serve(site, {"postgres": f"host=127.0.0.1 port={port} dbname=freezeline user=freezeline"})
    assert code == 3
    assert f"port {port}: this server is PostgreSQL 14.9. Upgrade the server to PostgreSQL 15 or newer" in err


def test_a_journal_of_its_own_is_not_left_behind(server: Cluster, site: Site) -> None:
    """A receiver that kept its journal in a file would forget its freezes."""
    site.state.mkdir(parents=True, exist_ok=True)
    (site.state / "journal.db").write_bytes(b"")
    dsn = server.database()
    code, err = serve(site, {"postgres": dsn, "require_standby": False})
    assert code == 3
    assert f"freezeline journal migrate --state {site.state} --postgres '{dsn}'" in err
    assert "move journal.db* out of" in err


@pytest.mark.parametrize("command", ["journal", "incidents"])
def test_a_user_who_may_read_too_little(command: str, asking: Cluster) -> None:
    """The journal opens, and its rows are refused: the same words and the same remedy as at the start."""
    dsn = asking.database()
    store = PostgresStore(dsn, require_standby=False)
    store.open(pass_by).close()
    store.close()
    with psycopg.connect(dsn) as owner:
        owner.execute("GRANT SELECT ON meta, chain_head TO guest")
    code, err = run(command, "--postgres", make_conninfo(dsn, user="guest"))
    assert (code, err.count("\n")) == (3, 1), err
    assert "permission denied for table" in err
    assert "Let the user own a database" in err
