"""A page of the database is damaged: senders send again, and health says so until people have mended the server."""

import asyncio

import psycopg
import pytest

from receiver.decide.model import Decision
from receiver.journal import Journal, JournalError, Tx
from receiver.journal.postgres import PostgresStore
from receiver.steps import pass_by
from tests.postgres import Cluster, cluster
from tests.unit.receiver.builders import episode
from tests.unit.receiver.conftest import now

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

SAID = "Look at the server's disk. Then promote a standby, or restore a backup"


def opened(dsn: str) -> Journal:
    """A journal that has begun."""
    journal = Journal(PostgresStore(dsn, require_standby=False), clock=now, reached=pass_by)
    journal.start()
    return journal


def note(tx: Tx) -> int:
    """A piece of work that needs no episode."""
    return tx.note(Decision(kind="x", sentence="y"))


def damage(server: Cluster, dsn: str, table: str) -> None:
    """Write nonsense over the first page of a table, while the server is stopped."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        ((name, page_bytes),) = connection.execute(
            "SELECT pg_relation_filepath(%s), current_setting('block_size')::int", (table,)
        ).fetchall()
    server.stop()
    with (server.data / name).open("r+b") as file:
        file.write(b"\x55" * page_bytes)
    server.start()


async def test_the_journal_fails_and_not_the_work() -> None:
    """PostgreSQL calls it no failure of the server; the receiver does, and remembers it."""
    with cluster() as server:
        dsn = server.database()
        journal = opened(dsn)
        await journal.write(lambda tx: tx.add_episode(episode()))
        await journal.close()
        damage(server, dsn, "episode")
        journal = opened(dsn)
        await journal.probe()
        assert journal.damaged == ""
        group = [journal.write(note), journal.write(lambda tx: len(tx.live_episodes()))]
        answers = await asyncio.gather(*group, return_exceptions=True)
        assert [type(answer) for answer in answers] == [JournalError] * 2, answers
        assert [SAID in str(answer) for answer in answers] == [True] * 2, answers
        with pytest.raises(JournalError, match=SAID):
            await journal.read(lambda view: view.live_episodes())
        await journal.probe()
        assert "invalid page in block 0" in journal.damaged
        await journal.close()
