"""The servers of the other tests: a primary whose commits wait for a standby, and a pgbouncer."""

import contextlib
import sqlite3
from pathlib import Path

import psycopg
import pytest

from receiver.journal import Journal, SqliteStore, postgres_store
from receiver.steps import pass_by
from tests.postgres import Bouncer, Cluster, pair
from tests.unit.receiver.conftest import now
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"


def test_a_standby_has_what_is_committed_and_takes_over() -> None:
    """A commit is on the standby; after the primary's end, the standby takes writes."""
    with pair() as (primary, standby):
        primary.run("CREATE TABLE kept (number integer)")
        primary.run("INSERT INTO kept VALUES (7)")
        bouncer = Bouncer(primary).start()
        try:
            assert bouncer.ask("SELECT number FROM kept") == [(7,)]
        finally:
            bouncer.stop()
        primary.kill()
        wait_until(lambda: standby.ask("SELECT number FROM kept") == [(7,)], 10, "the standby has the row")
        assert standby.ask("SELECT pg_is_in_recovery()") == [(True,)]
        standby.promote()
        standby.run("INSERT INTO kept VALUES (8)")
        assert standby.ask("SELECT sum(number) FROM kept") == [(15,)]


async def test_both_databases_have_the_same_columns(server: Cluster, tmp_path: Path) -> None:
    """A column that one migration adds and the other forgets would be missed by the journal's SQL only now and then."""
    dsn, file = server.database(), tmp_path / "j.db"
    for store in (postgres_store(dsn, require_standby=False), SqliteStore(file)):
        journal = Journal(store, clock=now, reached=pass_by)
        journal.start()
        await journal.close()
    with psycopg.connect(dsn) as connection:
        ours = set(connection.execute(COLUMNS).fetchall())
    with contextlib.closing(sqlite3.connect(file)) as sqlite:
        tables = sqlite.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        theirs = {(name, row[1]) for (name,) in tables for row in sqlite.execute(f"PRAGMA table_info({name})")}
    assert theirs
    assert {table for table, _ in ours - theirs} == {"chain_head"}
    assert theirs <= ours
