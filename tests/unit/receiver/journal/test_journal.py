"""The journal: durable, grouped, chained; one bad piece of work harms no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.decide.model import (
    Action,
    ActionState,
    ActionType,
    Decision,
    EpisodeState,
    FlagFile,
    ForbiddenMoveError,
    new_id,
    stamp,
)
from receiver.journal import Journal, JournalError, Tx, chain, open_view, verify
from receiver.steps import Step, pass_by
from tests import journals
from tests.unit.receiver.builders import NOW, alert, at, episode, freeze_reason

pytestmark = pytest.mark.usefixtures("sharing")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@contextlib.asynccontextmanager
async def opened(path: Path, clock: Clock | None = None) -> AsyncIterator[Journal]:
    """A journal that is closed afterwards."""
    journal = Journal(journals.store(path), clock=clock or Clock(), reached=pass_by)
    journal.start()
    try:
        yield journal
    finally:
        await journal.close()


def note(sentence: str) -> Decision:
    """A decision."""
    return Decision(kind="test", sentence=sentence)


def noting(sentence: str) -> Callable[[Tx], int]:
    """Work that appends one decision."""
    return lambda tx: tx.note(note(sentence))


def all_of(*work: Callable[[Tx], object]) -> Callable[[Tx], None]:
    """Several pieces of work as one."""

    def run(tx: Tx) -> None:
        for one in work:
            one(tx)

    return run


def action(**changes: object) -> Action:
    """A pending notice."""
    values: dict[str, object] = {
        "id": "A1",
        "key": "notice:log:gateway:E1:frozen",
        "episode": "E1",
        "service": "gateway",
        "type": ActionType.NOTIFY,
        "name": "log",
        "created_at": NOW,
    }
    return Action(**{**values, **changes})  # type: ignore[arg-type]


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    """Decisions keep their order and their chain."""
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(lambda tx: tx.note(note("one")))
        await journal.write(lambda tx: tx.note(note("two")))
    async with opened(tmp_path / "j.db") as journal:
        assert journal.head == 2
        found = await journal.read(lambda view: view.decisions())
        assert [one.decision.sentence for one in found] == ["one", "two"]
        assert await journal.read(lambda view: verify(view.all_decisions()).broken_at) is None


async def test_work_that_fails_takes_nothing_else_along(tmp_path: Path) -> None:
    """Of three pieces of work in one commit the middle one fails, and leaves nothing."""

    def fail(tx: Tx) -> None:
        tx.note(note("half done"))
        raise ValueError("no")

    async with opened(tmp_path / "j.db") as journal:
        futures: list[asyncio.Future[Any]] = [
            journal.write(lambda tx: tx.note(note("before"))),
            journal.write(fail),
            journal.write(lambda tx: tx.note(note("after"))),
        ]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [results[0], str(results[1]), results[2]] == [1, "no", 2]
        found = await journal.read(lambda view: view.decisions())
        assert [one.decision.sentence for one in found] == ["before", "after"]


async def test_many_writers_share_commits(tmp_path: Path) -> None:
    """Two hundred pieces of work need far fewer commits."""
    commits: list[Step] = []
    journal = Journal(journals.store(tmp_path / "j.db"), clock=Clock(), reached=commits.append)
    journal.start()
    await asyncio.gather(*(journal.write(noting(f"{n}")) for n in range(200)))
    await journal.close()
    assert commits.count(Step.JOURNAL_COMMITTED) < 50


async def test_a_commit_that_fails_fails_its_writers_and_the_next_one_works(tmp_path: Path) -> None:
    """Another process holds the database for longer than the journal waits, as a full disk would refuse it."""

    def broken(_tx: Tx) -> None:
        raise journals.disk_full()

    async with opened(tmp_path / "j.db") as journal:
        with pytest.raises(JournalError, match="disk is full"):
            await journal.write(broken)
        assert await journal.write(lambda tx: tx.note(note("works again"))) == 1


@pytest.mark.sqlite
async def test_a_journal_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """A file that is no database."""
    (tmp_path / "j.db").write_bytes(b"no database" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(journals.store(tmp_path / "j.db"), clock=Clock(), reached=pass_by).start()
    with pytest.raises(JournalError, match=r"there is no journal\. If"):
        open_view(tmp_path / "none.db")


@pytest.fixture
async def written(tmp_path: Path) -> Path:
    """A closed journal of five decisions."""
    async with opened(tmp_path / "j.db") as journal:
        for number in range(5):
            await journal.write(noting(f"decision {number}"))
    return tmp_path / "j.db"


@contextlib.contextmanager
def tampered(path: Path, sql: str) -> Iterator[None]:
    """Change the database behind the journal's back."""
    with journals.connected(path) as connection:
        connection.execute(sql)
    yield


@pytest.mark.parametrize(
    "sql,why,broken_at",
    [
        ("UPDATE decision SET sentence = 'nothing happened' WHERE seq = 3", "its content was changed", 3),
        ("UPDATE decision SET at = '2026-01-01T00:00:00.000000Z' WHERE seq = 1", "its content was changed", 1),
        ("DELETE FROM decision WHERE seq = 3", "row 3 is missing", 4),
        ("DELETE FROM decision WHERE seq < 3", "rows before it went without a trace", 3),
    ],
)
def test_the_chain_shows_what_was_changed(written: Path, sql: str, why: str, broken_at: int) -> None:
    """Changed, removed from the middle, removed from the beginning."""
    with tampered(written, sql):
        view, connection = journals.view(written)
        verdict = verify(view.all_decisions())
        connection.close()
    assert (verdict.why, verdict.broken_at) == (why, broken_at)


async def test_pruning_leaves_a_checkpoint_that_vouches(tmp_path: Path) -> None:
    """After 400 days decisions go, bodies after 30, and the chain still holds."""
    clock = Clock()
    async with opened(tmp_path / "j.db", clock) as journal:
        await journal.write(lambda tx: tx.insert_delivery("abc", b"{}"))
        await journal.write(lambda tx: tx.note(note("old")))
        clock.now = NOW + timedelta(days=31)
        await journal.write(lambda tx: tx.insert_delivery("def", b"{}"))
        before = NOW + timedelta(days=1)
        await journal.write(lambda tx: tx.prune(bodies_before=before, decisions_before=NOW))
        assert journals.rows(tmp_path / "j.db", BODIES) == [("abc", None), ("def", b"{}")]
        clock.now = NOW + timedelta(days=401)
        await journal.write(lambda tx: tx.note(note("new")))
        dropped = await journal.write(lambda tx: tx.prune(bodies_before=before, decisions_before=before))
        assert dropped == 1
        kinds = await journal.read(lambda view: [one.decision.kind for one in view.decisions()])
        assert kinds == ["test", chain.CHECKPOINT]
        assert await journal.read(lambda view: verify(view.all_decisions()).broken_at) is None
    assert journals.rows(tmp_path / "j.db", BODIES) == [("def", b"{}")]


BODIES = "SELECT sha256, body FROM delivery ORDER BY id"
COUNTED = "SELECT sha256, body, count FROM delivery ORDER BY id"


async def test_a_body_that_comes_again_is_counted(tmp_path: Path) -> None:
    """In one commit, in the next, and after a restart."""
    for _ in range(2):
        async with opened(tmp_path / "j.db") as journal:
            await asyncio.gather(*(journal.write(lambda tx: tx.insert_delivery("a", b"A")) for _ in range(3)))
            await journal.write(lambda tx: tx.insert_delivery("b", b"B"))
            await journal.write(lambda tx: tx.insert_delivery("a", b"A"))
    assert journals.rows(tmp_path / "j.db", COUNTED) == [("a", b"A", 8), ("b", b"B", 2)]


async def test_a_body_whose_work_failed_is_not_known(tmp_path: Path) -> None:
    """What was undone, in its own piece of work or with the whole commit, is kept when it comes again."""

    def undone(tx: Tx) -> None:
        tx.insert_delivery("a", b"A")
        tx.live_episodes()
        raise ValueError("no")

    def disk_full(tx: Tx) -> None:
        tx.insert_delivery("b", b"B")
        tx.live_episodes()
        raise journals.disk_full()

    async with opened(tmp_path / "j.db") as journal:
        for work, error in ((undone, ValueError), (disk_full, JournalError)):
            with pytest.raises(error):
                await journal.write(work)
        await journal.write(lambda tx: tx.insert_delivery("b", b"B"))
        await journal.write(lambda tx: tx.insert_delivery("a", b"A"))
    assert journals.rows(tmp_path / "j.db", COUNTED) == [("b", b"B", 1), ("a", b"A", 1)]


async def test_a_key_is_stored_once(tmp_path: Path) -> None:
    """The second action with a known key changes nothing."""
    async with opened(tmp_path / "j.db") as journal:
        added = [await journal.write(lambda tx: tx.add_action(action(id=new_id(NOW)))) for _ in range(2)]
        assert added == [True, False]


@pytest.mark.parametrize("path", [(ActionState.RUNNING,), (ActionState.STARTING, ActionState.SUCCEEDED)])
async def test_a_forbidden_move_is_refused(path: tuple[ActionState, ...], tmp_path: Path) -> None:
    """Nothing of it is kept."""
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(lambda tx: tx.add_action(action()))
        with pytest.raises(ForbiddenMoveError):
            await journal.write(lambda tx: tx.move(action(), *path))
        found = await journal.read(lambda view: view.action("A1"))
        assert found is not None
        assert found.state is ActionState.PENDING


async def test_a_move_from_a_stale_state_is_refused(tmp_path: Path) -> None:
    """Two that work on one action: the second one is told."""
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(lambda tx: tx.add_action(action()))
        await journal.write(lambda tx: tx.move(action(), ActionState.CANCELLED))
        with pytest.raises(ForbiddenMoveError, match="no longer PENDING"):
            await journal.write(lambda tx: tx.move(action(), ActionState.STARTING))


async def test_one_live_episode_a_rule_and_alert(tmp_path: Path) -> None:
    """The database itself refuses a second one, and takes one after the end of the first."""
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(lambda tx: tx.add_episode(episode()))
        with pytest.raises(journals.REFUSED):
            await journal.write(lambda tx: tx.add_episode(episode(id="E2", generation=2)))
        await journal.write(lambda tx: tx.move_episode(episode(), EpisodeState.CLOSED))
        await journal.write(lambda tx: tx.add_episode(episode(id="E2", generation=2)))
        newest = await journal.read(lambda view: view.newest_episodes(["b42cef305cefc9ab"]))
        assert [one.id for one in newest["b42cef305cefc9ab"]] == ["E2"]


async def test_values_come_back_as_they_went(tmp_path: Path) -> None:
    """Episodes, actions and what was heard of alerts."""
    one = action(due_at=at(5), payload={"a": "ü\n"}, repeat=True)
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(
            all_of(
                lambda tx: tx.add_episode(episode()),
                lambda tx: tx.add_action(one),
                lambda tx: tx.upsert_alert(alert(), None),
            )
        )
        assert await journal.read(lambda view: view.episode("E1")) == episode()
        assert await journal.read(lambda view: view.action("A1")) == one
        seen = (await journal.read(lambda view: view.seen(["b42cef305cefc9ab"])))["b42cef305cefc9ab"]
        assert seen.as_firing() == alert()


async def test_an_incident_ends_when_an_operator_unfreezes(tmp_path: Path) -> None:
    """A later freeze of the same service is a new incident, and is told anew."""
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(
            all_of(lambda tx: tx.add_episode(episode()), lambda tx: tx.add_freeze_reason(freeze_reason()))
        )
        assert await journal.read(lambda view: view.incident("gateway")) == "E1"
        await journal.write(lambda tx: tx.end_freeze_reason(freeze_reason(), by="alice", reason="why not"))
        assert await journal.read(lambda view: view.incident("gateway")) is None


async def test_a_flags_view_has_its_holds_and_what_was_written(tmp_path: Path) -> None:
    """Everything that is needed to bring one flag into line."""
    file = FlagFile(path=freeze_reason().flag, service="gateway", generation=3, text="{}", written_at=at(1))
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(
            all_of(lambda tx: tx.add_episode(episode()), lambda tx: tx.add_freeze_reason(freeze_reason()))
        )
        await journal.write(lambda tx: tx.freeze_reasons_written(freeze_reason().flag, ["E1"], file))
        view = await journal.read(lambda view: view.flag_view(freeze_reason().flag))
        assert view.file == file
        assert [one.written_at for one in view.freeze_reasons] == [at(1)]


async def test_what_time_brings_is_asked_of_few_episodes(tmp_path: Path) -> None:
    """Of many episodes: those that resolve, the first review of those that are open, and which have a freeze reason."""
    several = [
        episode(id=f"E{n}", fingerprint=f"{n}", incident="E1", opened_at=at(n), review_at=at(100 - n))
        for n in (1, 2, 3)
    ]
    async with opened(tmp_path / "j.db") as journal:
        assert await journal.read(lambda view: view.first_review()) is None
        await journal.write(all_of(*(lambda tx, one=one: tx.add_episode(one) for one in several)))
        await journal.write(lambda tx: tx.move_episode(several[2], EpisodeState.RESOLVING))
        await journal.write(lambda tx: tx.add_freeze_reason(freeze_reason(episode="E2")))
        assert await journal.read(lambda view: view.first_review()) == at(98)
        ((sha256, rule, resolved_at),) = await journal.read(lambda view: view.resolving())
        assert (rule, resolved_at) == ("failure-rate-high", NOW)
        assert [one.id for one in await journal.read(lambda view: view.resolving_episodes(sha256, rule))] == ["E3"]
        assert [one.id for one in await journal.read(lambda view: view.freezing_episodes("gateway"))] == ["E2"]
        await journal.write(lambda tx: tx.end_freeze_reason(freeze_reason(episode="E2"), by="alice", reason="why not"))
        assert await journal.read(lambda view: view.freezing_episodes("gateway")) == []


async def test_a_policys_incidents_come_with_all_their_episodes(tmp_path: Path) -> None:
    """Also those of other policies: one of them may be acknowledged for all."""
    mine = episode(id="E1", fingerprint="1", policy_sha256="mine", incident="E1")
    beside = episode(id="E2", fingerprint="2", policy_sha256="other", incident="E1")
    apart = episode(id="E3", fingerprint="3", policy_sha256="other", incident="E3", service="shop")
    async with opened(tmp_path / "j.db") as journal:
        await journal.write(all_of(*(lambda tx, one=one: tx.add_episode(one) for one in (mine, beside, apart))))
        assert [one.id for one in await journal.read(lambda view: view.episodes_beside(["mine"]))] == ["E1", "E2"]


@pytest.mark.sqlite
async def test_the_log_is_moved_into_the_database_before_it_grows(tmp_path: Path) -> None:
    """A log that grows costs more at every commit."""
    path = tmp_path / "j.db"
    async with opened(path) as journal:
        for number in range(500):
            await journal.write(noting(f"{number}"))
        assert path.with_name("j.db-wal").stat().st_size < 1100 * 4096


@pytest.mark.sqlite
async def test_the_log_does_not_grow_while_somebody_always_reads(tmp_path: Path) -> None:
    """A log from which somebody reads cannot begin anew: now and then the writer takes a moment without readers."""
    path, over = tmp_path / "j.db", False

    async def read_on(journal: Journal) -> None:
        while not over:
            await journal.read(lambda view: len(view.last_decisions(5000)))

    def many(tx: Tx) -> None:
        for number in range(200):
            tx.note(note(f"{number}" * 100))

    async with opened(path) as journal:
        readers = [asyncio.create_task(read_on(journal)) for _ in range(3)]
        for _ in range(300):
            await journal.write(many)
        over = True
        await asyncio.gather(*readers)
        assert path.stat().st_size > 16 * 2**20
        assert path.with_name("j.db-wal").stat().st_size < 16 * 2**20


async def test_a_notice_is_on_the_stream_once(tmp_path: Path) -> None:
    """Publishing it again gives the number that it has."""
    async with opened(tmp_path / "j.db") as journal:
        numbers = [await journal.write(lambda tx: tx.publish("k", {"title": "t"}, note("n"))) for _ in range(2)]
        assert numbers == [1, 1]
        assert await journal.read(lambda view: view.notices(after=0)) == [(1, {"seq": 1, "title": "t"})]


def test_stamps_sort_as_times_do() -> None:
    """Fixed width, UTC."""
    times = [at(0), at(0.000001), at(0.5), at(1), at(100000)]
    assert sorted(map(stamp, reversed(times))) == [stamp(time) for time in times]
