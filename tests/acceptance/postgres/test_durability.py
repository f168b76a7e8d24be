"""What a 200 means: the journal believes a COMMIT only when a standby has it, and says what a failover has lost."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from receiver.decide.model import Decision, Recorded
from receiver.journal import Journal, JournalError, Tx, View, verify
from receiver.journal.postgres import PostgresStore
from receiver.journal.postgres_words import translated
from receiver.steps import pass_by
from tests.postgres import Bouncer, Cluster, either, pair
from tests.unit.receiver.conftest import now
from tests.waiting import until, wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

ANSWER_S = 1.5
WAIT_S = 30.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
FULL = """CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.sentence = 'full' THEN
    RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';
  END IF;
  RETURN NEW;
END $$"""
IN_TRANSACTION = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
WAITED_S = 2
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary whose commits wait for its standby. Tests leave both as they were."""
    with pair() as found:
        yield found


@pytest.fixture
def fated() -> Iterator[tuple[Cluster, Cluster]]:
    """Servers of one test, which ends the primary."""
    with pair() as found:
        yield found


@contextlib.asynccontextmanager
async def opened(dsn: str, *, require_standby: bool = True, answer_s: float = ANSWER_S) -> AsyncIterator[Journal]:
    """A journal that waits a short time for each answer."""
    store = PostgresStore(dsn, require_standby=require_standby, answer_s=answer_s)
    journal = Journal(store, clock=now, reached=pass_by)
    journal.start()
    try:
        yield journal
    finally:
        await journal.close()


async def said(journal: Journal) -> list[str]:
    """The sentences of all decisions. The chain must hold."""

    def ask(view: View) -> list[str]:
        recorded = list(view.all_decisions())
        assert verify(recorded).broken_at is None
        return [one.decision.sentence for one in recorded]

    return await journal.read(ask)


def note(sentence: str) -> Callable[[Tx], int]:
    """Work that appends one decision."""
    return lambda tx: tx.note(Decision(kind="test", sentence=sentence))


async def test_a_commit_that_was_cancelled_is_not_believed(servers: tuple[Cluster, Cluster]) -> None:
    """The server reports success with a warning, and has the row; the sender is told to send again."""
    primary, standby = servers
    async with opened(primary.database()) as journal:
        standby.signal(signal.SIGSTOP)
        doubtful = journal.write(note("cancelled"))
        await until(lambda: primary.ask(WAITING) == [(1,)], WAIT_S, "the commit waits")
        primary.run(CANCEL)
        with pytest.raises(JournalError, match="canceling wait for synchronous replication"):
            await doubtful
        standby.signal(signal.SIGCONT)
        assert await journal.write(note("again")) == 2
        assert await said(journal) == ["cancelled", "again"]


async def test_without_its_standby_nothing_is_acknowledged(servers: tuple[Cluster, Cluster]) -> None:
    """The receiver waits for its own deadline and never cancels: what it sent may still happen, once."""
    primary, standby = servers
    async with opened(primary.database()) as journal:
        assert await journal.write(note("before")) == 1
        standby.stop()
        with pytest.raises(JournalError, match="did not answer within"):
            await journal.write(note("alone"))
        with pytest.raises(JournalError):
            await journal.write(note("still alone"))
        standby.start()
        await until(lambda: primary.follows(standby.name), WAIT_S, "the standby follows again")
        await until(lambda: primary.ask(WAITING) == [(0,)], WAIT_S, "no commit waits")
        await journal.write(note("after"))
        told = await said(journal)
        assert (told[0], told[-1], len(told)) == ("before", "after", len(set(told)))


async def test_a_commit_in_doubt_that_happened_wakes_the_receiver(servers: tuple[Cluster, Cluster]) -> None:
    """Its sender heard 503, and nothing else wakes the loop that writes the flag."""
    primary, standby = servers
    async with opened(primary.database()) as journal:
        heard: list[tuple[int, bool]] = []
        journal.on_commit(lambda head, acted: heard.append((head, acted)))
        standby.signal(signal.SIGSTOP)
        with pytest.raises(JournalError, match="did not answer within"):
            await journal.write(note("late"))
        standby.signal(signal.SIGCONT)
        await until(lambda: heard == [(1, True)], WAIT_S, "the receiver hears of its own commit")


async def test_a_failover_keeps_what_was_acknowledged(fated: tuple[Cluster, Cluster]) -> None:
    """The primary dies while work comes; the receiver goes on with the standby, and every answer holds."""
    primary, standby = fated
    async with opened(either(primary.database(), *fated)) as journal:
        kept = [f"{number}" for number in range(20)]
        await asyncio.gather(*(journal.write(note(one)) for one in kept))
        going = [journal.write(note(f"during {number}")) for number in range(20)]
        primary.kill()
        answers = await asyncio.gather(*going, return_exceptions=True)
        kept += [f"during {number}" for number, answer in enumerate(answers) if isinstance(answer, int)]
        standby.promote()
        standby.require("")
        standby.run("ALTER SYSTEM SET synchronous_standby_names = ''")
        with pytest.raises(JournalError, match="no synchronous standby"):
            await written_at_last(journal, "unsafe")
        standby.require("fresh")
        another = standby.standby("fresh").start()
        try:
            await until(lambda: standby.follows("fresh"), WAIT_S, "another standby follows")
            await journal.write(note("after"))
            told = await said(journal)
            assert set(kept) <= set(told)
            assert told[-1] == "after"
        finally:
            another.stop()


async def written_at_last(journal: Journal, sentence: str) -> None:
    """Write once the server answers."""

    async def done() -> bool:
        try:
            await journal.write(note(sentence))
        except JournalError as error:
            if "no synchronous standby" in str(error):
                raise
            return False
        return True

    await until(done, WAIT_S, "the journal is written")


async def test_a_loss_is_reported(fated: tuple[Cluster, Cluster]) -> None:
    """Where no standby is required, a failover may lose decisions: the chain then says so."""
    primary, standby = fated
    primary.require("")
    async with opened(either(primary.database(), *fated), require_standby=False) as journal:
        await journal.write(note("kept"))
        await until(lambda: caught_up(primary), WAIT_S, "the standby has everything")
        standby.stop()
        await journal.write(note("lost"))
        primary.kill()
        standby.start()
        standby.promote()
        await written_at_last(journal, "after")
        told = await said(journal)
        assert told[0] == "kept"
        assert told[1].startswith("The database lost decisions: decision 2 was acknowledged and is not there")
        assert told[2:] == ["after"]


def caught_up(primary: Cluster) -> bool:
    """Whether the standby has written everything that the primary has."""
    return primary.ask("SELECT bool_and(flush_lsn = pg_current_wal_lsn()) FROM pg_stat_replication") == [(True,)]


async def test_an_old_primary_is_refused(fated: tuple[Cluster, Cluster]) -> None:
    """It takes writes and comes first in the list, and the receiver does not write there."""
    primary, standby = fated
    primary.require("")
    async with opened(either(primary.database(), *fated), require_standby=False) as journal:
        await journal.write(note("kept"))
        await until(lambda: caught_up(primary), WAIT_S, "the standby has everything")
        primary.kill()
        standby.promote()
        await written_at_last(journal, "on the new primary")
        primary.start()
        await journal.write(note("again on the new primary"))
        standby.kill()
        with pytest.raises(JournalError, match="old primary"):
            await refused(journal)
        standby.start()
        await written_at_last(journal, "on the new primary at last")
        told = await said(journal)
        assert told == ["kept", "on the new primary", "again on the new primary", "on the new primary at last"]


async def refused(journal: Journal) -> None:
    """Write until the receiver has tried the old primary."""

    async def told() -> bool:
        try:
            await journal.write(note("on the old primary"))
        except JournalError as error:
            if "old primary" in str(error):
                raise
        return False

    await until(told, WAIT_S, "the old primary is refused")


async def test_a_pooler_in_transaction_mode_loses_only_notifications(
    servers: tuple[Cluster, Cluster], caplog: pytest.LogCaptureFixture
) -> None:
    """The receiver warns, and two receivers still see each other's commits."""
    primary, _ = servers
    dsn = primary.database()
    bouncer = Bouncer(primary).start()
    try:
        async with opened(make_conninfo(dsn, port=bouncer.port)) as one, opened(dsn) as other:
            heard: list[int] = []
            one.on_commit(lambda head, _acted: heard.append(head))
            assert await other.write(note("by the other")) == 1
            await until(lambda: 1 in heard, WAIT_S, "the first receiver sees the commit")
            assert await one.write(note("by the first")) == 2
            await until(lambda: "journal.deaf" in caplog.text, WAIT_S, "the warning")
            assert await said(one) == ["by the other", "by the first"]
    finally:
        bouncer.stop()


async def test_a_session_that_the_server_ended_fails_the_whole_group(servers: tuple[Cluster, Cluster]) -> None:
    """A receiver that stood still for too long loses what the group wrote before, and acknowledges nothing of it."""
    primary, _ = servers

    def first(tx: Tx) -> int:
        seq = tx.note(Decision(kind="test", sentence="first"))
        tx._run("SET LOCAL idle_in_transaction_session_timeout = '10ms'")  # noqa: SLF001 - sends the decision too
        return seq

    def stands_still(tx: Tx) -> int:
        wait_until(lambda: primary.ask(IN_TRANSACTION) == [(0,)], WAIT_S, "the server has ended the session")
        return tx._run("SELECT 1")  # noqa: SLF001

    async with opened(primary.database()) as journal:
        group = [journal.write(work) for work in (first, stands_still, note("last"))]
        answers = await asyncio.gather(*group, return_exceptions=True)
        assert [type(answer) for answer in answers] == [JournalError] * 3
        assert await journal.write(note("after")) == 1
        assert await said(journal) == ["after"]


async def test_a_reader_that_lost_its_connection_reads_again(servers: tuple[Cluster, Cluster]) -> None:
    """Also if the connection went in the middle of what it read."""
    primary, _ = servers

    def cut(view: View) -> list[Recorded]:
        view.last_decisions(1)
        primary.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        wait_until(lambda: primary.ask(IN_TRANSACTION) == [(0,)], WAIT_S, "the session is gone")
        return view.last_decisions(1)

    async with opened(primary.database()) as journal:
        await journal.write(note("one"))
        with pytest.raises(JournalError):
            await journal.read(cut)
        assert await said(journal) == ["one"]


async def test_a_server_that_takes_no_writes_any_more_is_left(fated: tuple[Cluster, Cluster]) -> None:
    """Its connections are whole, and the receiver writes and reads the other server of the list."""
    primary, standby = fated
    async with opened(either(primary.database(), *fated), require_standby=False) as journal:
        await journal.write(note("before"))
        assert await said(journal) == ["before"]
        primary.run("ALTER SYSTEM SET default_transaction_read_only = on")
        primary.run("SELECT pg_reload_conf()")
        standby.promote()
        await until(lambda: written(journal), WAIT_S, "the new primary is written")
        assert await said(journal) == ["before", "after"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_the_databases_own_isolation_does_not_count(servers: tuple[Cluster, Cluster], level: str) -> None:
    """A transaction that waited for another receiver's sees what that receiver has stored."""
    primary, _ = servers
    dsn = primary.database()
    name = dsn.partition("dbname=")[2].split()[0]
    primary.run(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    async with opened(dsn) as one, opened(dsn) as other:

        def store(number: int) -> Callable[[Tx], None]:
            return lambda tx: tx.insert_delivery(f"{number}", b"{}")

        await asyncio.gather(*(journal.write(store(n)) for n in range(100) for journal in (one, other)))
    assert primary.ask("SELECT count(*), sum(count) FROM delivery", name) == [(100, 200)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_hold_every_alert_is_refused(
    servers: tuple[Cluster, Cluster], encoding: str
) -> None:
    """Else an alert with a letter that the database does not know would get 503 for ever."""
    primary, _ = servers
    name = f"in_{encoding.lower()}"
    primary.run(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with pytest.raises(JournalError, match=f"has the encoding {encoding}"):
        async with opened(primary.dsn(name)):
            pass


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_work_that_the_server_undid_is_done_again(servers: tuple[Cluster, Cluster], code: str) -> None:
    """A deadlock or a serialization failure is nobody's fault: the sender does not hear of it."""
    primary, _ = servers
    failures = iter([True, True])

    def work(tx: Tx) -> int:
        seq = tx.note(Decision(kind="test", sentence="once"))
        tx.live_episodes()
        if next(failures, False):
            tx._run(f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END $$")  # noqa: SLF001
        return seq

    async with opened(primary.database()) as journal:
        assert await journal.write(work) == 1
        assert await said(journal) == ["once"]


async def test_a_full_disk_fails_the_work_and_not_the_receiver(servers: tuple[Cluster, Cluster]) -> None:
    """The server says 53100; the next work is stored."""
    primary, _ = servers
    dsn = primary.database()
    async with opened(dsn) as journal:
        name = dsn.partition("dbname=")[2].split()[0]
        primary.run(FULL, name)
        primary.run("CREATE TRIGGER no_room BEFORE INSERT ON decision FOR EACH ROW EXECUTE FUNCTION no_room()", name)
        with pytest.raises(JournalError, match="no space left"):
            await journal.write(note("full"))
        assert await journal.write(note("room")) == 1
        assert await said(journal) == ["room"]


async def test_a_server_without_free_connections_fails_only_what_comes_meanwhile(
    servers: tuple[Cluster, Cluster],
) -> None:
    """The receiver has lost its connection, and others hold all there are."""
    primary, _ = servers
    async with opened(primary.database()) as journal:
        assert await journal.write(note("before")) == 1
        with primary.full(), pytest.raises(JournalError, match="too many clients"):
            await journal.write(note("meanwhile"))
        await until(lambda: written(journal), WAIT_S, "the journal is written again")
        assert await said(journal) == ["before", "after"]


async def written(journal: Journal) -> bool:
    """Whether the journal takes one more decision."""
    try:
        return bool(await journal.write(note("after")))
    except JournalError:
        return False


@pytest.mark.parametrize("minutes", [10, -10])
async def test_a_receiver_with_a_wrong_clock_goes_by_the_servers(
    servers: tuple[Cluster, Cluster], minutes: int
) -> None:
    """Decisions, and the time by which the receiver's loops act, also while somebody sets the clock."""
    primary, _ = servers
    wrong = timedelta(minutes=minutes)

    def clock() -> datetime:
        return now() + wrong

    journal = Journal(PostgresStore(primary.database()), clock=clock, reached=pass_by)
    journal.start()
    try:
        await journal.write(note("one"))
        (one,) = await journal.read(lambda view: view.last_decisions(1))
        assert abs(one.at - now()) < timedelta(minutes=1)
        assert abs(journal.now() - now()) < timedelta(minutes=1)
        wrong *= 2
        assert abs(journal.now() - now()) < timedelta(minutes=1)
        assert await said(journal) == ["one"]
    finally:
        await journal.close()


async def test_a_decision_that_waited_for_another_receiver_has_the_time_after_the_wait(
    servers: tuple[Cluster, Cluster],
) -> None:
    """The other receiver held the lock, and changed nothing in the end."""
    primary, _ = servers
    dsn = primary.database()
    async with opened(dsn, answer_s=WAIT_S) as journal:
        with psycopg.connect(dsn) as other:
            other.execute("SELECT seq FROM chain_head FOR UPDATE")
            late = journal.write(note("late"))
            await until(lambda: primary.ask(LOCKED) == [(1,)], WAIT_S, "the receiver waits")
            waited = now()
            await until(lambda: now() > waited + timedelta(seconds=WAITED_S), WAIT_S, "some time goes by")
            free_at = now()
        await late
        (one,) = await journal.read(lambda view: view.last_decisions(1))
        assert one.at > free_at


def test_numbered_marks_and_lists_without_members() -> None:
    """The three words in which the databases differ."""
    assert translated("SELECT ?2, ?1 FROM t WHERE a LIKE '%'") == ("SELECT %s, %s FROM t WHERE a LIKE '%%'", (1, 0))
    assert translated("x IN () AND json_extract(a.b, '$.c') = ?") == (
        "x IN (SELECT NULL::text WHERE FALSE) AND (a.b ->> 'c') = %s",
        (0,),
    )
