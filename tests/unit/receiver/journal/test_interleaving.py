"""Whatever two writers do in turns, the journal then holds the rows that one writer alone would have written."""

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from receiver.decide.by_hand import on_operator_freeze, on_operator_unfreeze
from receiver.decide.model import NO_TRACE, Decision
from receiver.decide.plan import Known, on_unfreeze_check
from receiver.journal import Journal, SqliteStore, Tx
from receiver.journal.exclusive import caches
from receiver.journal.record import record
from receiver.steps import pass_by
from receiver.webhook.process import Processing
from tests.unit.receiver.builders import NOW, STARTED, policies, policy
from tests.unit.receiver.journal.writers import Clock, body

POLICY = policy()
IN_FORCE = policies(POLICY)
ALERTS = {"FailureRateHigh": "a", "Other": "b"}
SERVICE = "gateway"

Ids = Callable[[object], str]
Work = Callable[[Tx, Ids], object]


class UndoneError(Exception):
    """A piece of work failed after it had written."""


class Transaction(Struct, frozen=True, kw_only=True):
    """Pieces of work of one writer, so long after the last ones; `fails` at its commit, or not."""

    writer: int
    after_s: float
    fails: bool
    works: Sequence[Work]


def deliver(name: str, status: str, start: int, summary: int) -> Work:
    """A webhook with one alert."""
    data = body(
        status,
        (STARTED + timedelta(minutes=start)).isoformat(),
        name,
        fingerprint=ALERTS[name],
        annotations={"summary": str(summary)},
    )

    def work(tx: Tx, ids: Ids) -> None:
        processing = Processing(data, IN_FORCE, ids=ids, trace=NO_TRACE, at=tx.now)
        processing.parse()
        processing.process(tx)

    return work


def freeze(tx: Tx, ids: Ids) -> None:
    """An operator freezes, unless that is so already."""
    fingerprint = f"operator:{SERVICE}"
    earlier = tx.newest_episodes([fingerprint]).get(fingerprint, [])
    if earlier and earlier[0].live:
        return
    opened = on_operator_freeze(
        policy=POLICY,
        reason="by hand",
        by="alice",
        generation=earlier[0].generation + 1 if earlier else 1,
        known=Known(incident=tx.incident),
        now=tx.now,
        ids=ids,
        trace=NO_TRACE,
    )
    record(tx, [opened], IN_FORCE, ids=ids, trace=NO_TRACE)


def unfreeze(tx: Tx, ids: Ids) -> None:
    """An operator ends every freeze."""
    episodes = tx.freezing_episodes(SERVICE)
    reasons = [reason for episode in episodes for reason in tx.freeze_reasons(episode=episode.id, held=True)]
    changes = on_operator_unfreeze(episodes, reasons, reason="enough", by="alice")
    record(tx, changes, IN_FORCE, ids=ids, trace=NO_TRACE)


def end(tx: Tx, ids: Ids) -> None:
    """Episodes that have been resolved for long enough end."""
    for episode in [one for sha256, rule, _ in tx.resolving() for one in tx.resolving_episodes(sha256, rule)]:
        reasons = tx.freeze_reasons(episode=episode.id, held=True)
        rule = POLICY.rule(episode.rule)
        assert rule is not None
        record(
            tx, on_unfreeze_check(episode, reasons, rule.unfreeze, [], now=tx.now), IN_FORCE, ids=ids, trace=NO_TRACE
        )


def doubt(tx: Tx, _ids: Ids) -> None:
    """An alert waits for Alertmanager's word."""
    tx.set_unconfirmed("a", since=tx.now)


def acknowledge(tx: Tx, _ids: Ids) -> None:
    """An operator acknowledges everything."""
    for incident in {episode.incident: None for episode in tx.live_episodes()}:
        tx.acknowledge(incident, "bob")


def publish(tx: Tx, _ids: Ids) -> None:
    """A notice goes on the stream, once."""
    tx.publish("key", {"title": "t"}, Decision(kind="notice", sentence="n"))


def prune(tx: Tx, _ids: Ids) -> None:
    """Old rows go."""
    tx.note(Decision(kind="test", sentence="before pruning"))
    before = tx.now - timedelta(seconds=1)
    tx.prune(bodies_before=before, decisions_before=before)


def undone(work: Work) -> Work:
    """The same work, which fails in the end."""

    def fail(tx: Tx, ids: Ids) -> None:
        work(tx, ids)
        raise UndoneError

    return fail


SOUND = st.one_of(
    st.builds(
        deliver,
        st.sampled_from(sorted(ALERTS)),
        st.sampled_from(["firing", "firing", "resolved"]),
        st.integers(0, 1),
        st.integers(0, 1),
    ),
    st.sampled_from([freeze, unfreeze, end, doubt, acknowledge, publish, prune]),
)
TRANSACTIONS = st.lists(
    st.builds(
        Transaction,
        writer=st.integers(0, 1),
        after_s=st.sampled_from([0.1, 1.0, 6.0, 400.0, 500.0 * 86400]),
        fails=st.sampled_from([False, False, False, True]),
        works=st.lists(st.one_of(SOUND, SOUND, SOUND.map(undone)), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=12,
)


def perform(tx: Tx, clock: Clock, transaction: Transaction, ids: Ids) -> None:
    """One transaction, as the journal's writer does it."""
    clock.now += timedelta(seconds=transaction.after_s)
    tx.begin(clock, ALERTS.values())
    for work in transaction.works:
        tx.begin_work()
        try:
            work(tx, ids)
        except UndoneError:
            tx.undo_work()
        else:
            tx.end_work()
    tx.end()
    if transaction.fails:
        tx.roll_back()
    else:
        tx.commit()


@contextlib.contextmanager
def transactions(path: Path, *, exclusive: bool) -> Iterator[Tx]:
    """A writer with a connection of its own. Nothing here needs to outlive the machine."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        tx = Tx(connection, caches(connection, SqliteStore(path, exclusive=exclusive)))
        yield tx
        tx.pay(NOW)


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in a journal, by table."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def told(path: Path, story: Sequence[Transaction], *, writers: int) -> dict[str, list[tuple[object, ...]]]:
    """The rows after a story: by one writer with caches, or by two without."""
    clock, numbers = Clock(), itertools.count(1)
    with contextlib.ExitStack() as stack:
        txs = [stack.enter_context(transactions(path, exclusive=writers == 1)) for _ in range(writers)]
        for transaction in story:
            tx = txs[transaction.writer % writers]
            perform(tx, clock, transaction, lambda _now: f"{next(numbers):06}")
    return rows(path)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a journal without rows, to be copied."""
    return tmp_path_factory.mktemp("journals") / "empty.db"


@pytest.fixture
async def _made(empty: Path) -> None:
    if not empty.exists():
        journal = Journal(SqliteStore(empty), clock=Clock(), reached=pass_by)
        journal.start()
        await journal.close()


RESOLVED = deliver("FailureRateHigh", "resolved", 0, 0)
DOUBT_ABOUT_A_REPEAT = [RESOLVED, doubt, RESOLVED, deliver("FailureRateHigh", "firing", 0, 0)]


@pytest.mark.usefixtures("_made")
@example([Transaction(writer=0, after_s=0.1, fails=False, works=[work]) for work in DOUBT_ABOUT_A_REPEAT])
@settings(max_examples=60, deadline=None)
@given(story=TRANSACTIONS)
def test_two_writers_leave_the_rows_of_one(empty: Path, story: Sequence[Transaction]) -> None:
    """Deliveries, freezes, ends, notices, pruning, work and commits that fail, in any order."""
    found = []
    for writers in (1, 2):
        path = empty.with_name(f"{writers}.db")
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(empty, path)
        found.append(told(path, story, writers=writers))
    assert found[1] == found[0]


@pytest.mark.usefixtures("_made")
def test_a_story_leaves_rows(empty: Path) -> None:
    """The comparison above is not one of empty tables: a story writes into nearly all of them."""
    works = [deliver("FailureRateHigh", "firing", 0, 0), freeze, acknowledge, publish]
    story = [Transaction(writer=0, after_s=1, fails=False, works=[work]) for work in works]
    path = empty.with_name("rows.db")
    shutil.copyfile(empty, path)
    filled = {table for table, found in told(path, story, writers=2).items() if found}
    assert filled >= {"delivery", "alert_seen", "episode", "freeze_reason", "action", "decision", "notice"}
