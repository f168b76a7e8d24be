"""The servers of the other tests: a primary whose commits wait for a standby, and a pgbouncer."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from receiver.journal import Journal, SqliteStore, postgres_store, shapes, verify
from receiver.journal.move import TABLES
from receiver.steps import pass_by
from tests.postgres import Bouncer, Cluster, pair
from tests.tools import ROOT
from tests.unit.receiver.conftest import now
from tests.unit.receiver.journal.writers import Writer, body
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
    assert {table for table, _ in ours - theirs} == {"chain_head", "receiver", "flag_on_host"}
    assert theirs <= ours


async def test_a_journal_moves_into_postgres_and_back(server: Cluster, tmp_path: Path) -> None:
    """Row by row the same; each side refuses what would lose something."""
    state = tmp_path / "state"
    state.mkdir()
    file, dsn = state / "journal.db", server.database()
    writer = Writer(SqliteStore(file))
    writer.journal.start()
    for number in range(5):
        await writer.process(body(name=f"FailureRateHigh{number or ''}"))
    await writer.process(body("resolved"))
    await writer.journal.close()
    before = kept(file)

    assert migrate(state, dsn) == (0, "")
    assert not file.exists()
    assert migrate(state, dsn) == (3, f"{file}: there is no journal")
    shutil.copy(state / "journal.db.moved", file)
    assert migrate(state, dsn)[1].startswith("the target already holds a journal")
    assert migrate(state, dsn, "--back")[1].startswith(f"{file}: there is a journal already")
    file.unlink()
    assert migrate(state, dsn, "--back") == (0, "")
    assert kept(file) == before

    writer = Writer(postgres_store(dsn, require_standby=False))
    writer.clock.now = later(before)
    writer.journal.start()
    assert await writer.process(body()) > 0
    assert (await writer.journal.read(lambda view: verify(view.all_decisions()))).broken_at is None
    await writer.journal.close()


def migrate(state: Path, dsn: str, *more: str) -> tuple[int, str]:
    """Run the command: its exit code, and what it says of a failure."""
    command = [
        sys.executable,
        "-m",
        "freezeline",
        "journal",
        "migrate",
        "--state",
        str(state),
        "--postgres",
        dsn,
        *more,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    return ran.returncode, ran.stderr.strip().removeprefix("freezeline journal migrate: ")


def kept(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of a file's journal, by table."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return {
            table.name: connection.execute(f"SELECT {table.columns} FROM {table.name} ORDER BY {table.key}").fetchall()
            for table in TABLES
        }


def later(journal: dict[str, list[tuple[object, ...]]]) -> datetime:
    """A time after the last decision of a journal."""
    return datetime.fromisoformat(str(journal["decision"][-1][1])) + timedelta(minutes=1)


def test_every_table_moves() -> None:
    """All tables with all columns, but for what belongs to each database alone."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for migration in shapes.migrations():
            connection.executescript(migration.sql)
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        made = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for (name,) in names}
    assert {table.name: set(table.columns.split(", ")) for table in TABLES} == {
        name: columns for name, columns in made.items() if name != "meta"
    }
