"""A storm of alerts: bounded transactions, few statements and rows, and the order of messages about one alert."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from receiver.act import freeze
from receiver.context import Context
from receiver.decide.model import LISTED_MAX, NO_TRACE, new_id
from receiver.journal import Journal, SqliteStore, Tx, shapes, verify
from receiver.journal.exclusive import caches
from receiver.loops.backlog import Backlog
from receiver.loops.reconcile import Reconciler
from receiver.loops.unfreeze import PIECE
from receiver.policy.model import Policies, Policy
from receiver.steps import Step, pass_by
from receiver.webhook.process import AT_ONCE, Processing
from tests import journals
from tests.unit.receiver.builders import policies, policy, raw_policy
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("sharing")

ALERTS = 1000
DONE_S = 60.0
STARTED = "2026-11-21T08:17:42Z"
ENDED = "2026-11-21T08:18:11Z"


def body(status: str, numbers: Sequence[int], starts_at: str = STARTED) -> bytes:
    """A delivery with one alert for each number."""
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "FailureRateHigh", "service": "gateway", "instance": f"i{number}"},
            "annotations": {"summary": f"instance i{number} fails"},
            "startsAt": starts_at,
            "endsAt": ENDED if status == "resolved" else "0001-01-01T00:00:00Z",
            "fingerprint": f"{number:016x}",
        }
        for number in numbers
    ]
    return json.dumps({"version": "4", "alerts": alerts}).encode()


def quick(flag: Path) -> Policy:
    """A policy that unfreezes as soon as its alerts have resolved."""
    raw = raw_policy()
    (rule,) = raw["rules"]
    unfreeze = {"resolved_for_s": 0, "all_of": [], "review_after_s": 86400}
    actions = {**raw["actions"], "freeze": {"type": "freeze", "flag": str(flag)}}
    return policy(rules=[{**rule, "unfreeze": unfreeze}], actions=actions)


class Storm:
    """A receiver's journal and the loops that a storm needs, with every transaction counted."""

    def __init__(self, context: Context, steps: list[Step], flag: Path) -> None:
        self.context = context
        self.steps = steps
        self.flag = flag

    async def deliver(self, data: bytes) -> int:
        """Process a delivery as the web handler does."""
        context = self.context
        at = context.clock()
        processing = Processing(data, context.box.policies, ids=new_id, trace=NO_TRACE, at=at)
        return (await context.journal.write(processing.process, prepare=processing.parse)).decided

    async def count(self, sql: str) -> int:
        """A number from the journal."""
        return int((await self.rows(sql))[0][0])

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the journal."""
        path = self.flag.parent.parent / "j.db"
        return journals.rows(path, sql)

    async def planned(self) -> None:
        """Wait until no alert waits."""

        async def nothing_waits() -> bool:
            return not await self.count("SELECT count(*) FROM waiting_alert")

        await until(nothing_waits, DONE_S, "every alert is planned")

    def passed(self, step: Step) -> int:
        """How often a step was passed."""
        return self.steps.count(step)


@pytest.fixture
async def storm(context: Context, tmp_path: Path) -> AsyncIterator[Storm]:
    """A journal whose steps are counted."""
    steps: list[Step] = []
    await context.journal.close()
    journal = Journal(journals.store(tmp_path / "j.db"), clock=lambda: datetime.now(UTC), reached=steps.append)
    journal.start()
    flag = tmp_path / "flags" / "FREEZE.FLAG"
    context = replace(context, journal=journal, reached=steps.append)
    context.box.policies = policies(quick(flag))
    yield Storm(context, steps, flag)
    await journal.close()


FIRST = list(range(ALERTS))
PIECES = ALERTS // AT_ONCE


async def planned_by(storm: Storm, *bodies: bytes) -> None:
    """Deliver, and let the backlog plan what waits."""
    backlog = Backlog(storm.context)
    for data in bodies:
        await storm.deliver(data)
    backlog.start()
    await storm.planned()
    await backlog.stop()


async def test_a_storm_is_planned_piece_by_piece(storm: Storm) -> None:
    """The delivery is kept at once, its first alerts are planned, and the others follow in later transactions."""
    await storm.deliver(body("firing", FIRST))
    assert storm.passed(Step.JOURNAL_COMMITTED) == 1
    assert await storm.rows("SELECT count, body IS NULL FROM delivery") == [(1, 0)]
    assert await storm.count("SELECT count(*) FROM episode") == AT_ONCE
    assert await storm.count("SELECT count(*) FROM waiting_alert") == ALERTS - AT_ONCE
    backlog = Backlog(storm.context)
    backlog.start()
    await storm.planned()
    await backlog.stop()
    assert storm.passed(Step.JOURNAL_COMMITTED) == PIECES
    assert await storm.rows("SELECT state, count(*) FROM episode GROUP BY 1") == [("OPEN", ALERTS)]
    assert await storm.count("SELECT count(DISTINCT incident) FROM episode") == 1
    kinds = await storm.rows("SELECT kind, count(*) FROM decision GROUP BY 1")
    assert kinds == [("opened", ALERTS)]
    assert await storm.context.journal.read(lambda view: verify(view.all_decisions()).broken_at) is None


async def test_a_storm_has_few_actions(storm: Storm) -> None:
    """One rollback and one freeze for all episodes, one notice a channel and event."""
    await planned_by(storm, body("firing", FIRST))
    rows = await storm.rows("SELECT type, count(*) FROM action GROUP BY 1 ORDER BY 1")
    assert dict(rows) == {"freeze": 1, "rollback": 1, "notify": dict(rows)["notify"]}
    assert dict(rows)["notify"] <= 2
    assert await storm.count("SELECT count(*) FROM rollback_episode") == ALERTS


async def test_the_same_storm_again_changes_nothing(storm: Storm) -> None:
    """From a second Alertmanager, also while the first one's alerts still wait."""
    data = body("firing", FIRST)
    other = data.replace(b'"version": "4"', b'"version": "4", "externalURL": "http://other"')
    await planned_by(storm, data, other, data)
    assert await storm.rows("SELECT state, count(*) FROM episode GROUP BY 1") == [("OPEN", ALERTS)]
    assert await storm.rows("SELECT kind, count(*) FROM decision GROUP BY 1") == [("opened", ALERTS)]
    assert await storm.rows("SELECT count FROM delivery ORDER BY id") == [(2,), (1,)]


async def test_a_later_message_waits_behind_an_earlier_one(storm: Storm) -> None:
    """An alert resolves while its firing still waits: it is opened and then resolved, not the other way round."""
    waiting, planned = ALERTS - 1, 0
    await planned_by(storm, body("firing", FIRST), body("resolved", [planned, waiting]))
    resolving = await storm.rows("SELECT fingerprint FROM episode WHERE state = 'RESOLVING' ORDER BY 1")
    assert resolving == [(f"{planned:016x}",), (f"{waiting:016x}",)]


async def test_what_waits_is_planned_after_a_restart(storm: Storm, tmp_path: Path) -> None:
    """Nothing but the journal knows of the alerts; their episodes are as old as the delivery."""
    await storm.deliver(body("firing", FIRST))
    await storm.context.journal.close()
    journal = Journal(journals.store(tmp_path / "j.db"), clock=lambda: datetime.now(UTC), reached=pass_by)
    journal.start()
    backlog = Backlog(replace(storm.context, journal=journal))
    backlog.start()
    await storm.planned()
    await backlog.stop()
    await journal.close()
    assert await storm.count("SELECT count(*) FROM episode") == ALERTS
    assert await storm.count("SELECT count(DISTINCT opened_at) FROM episode") == 1
    storm.context.journal.start()


async def test_a_delivery_that_nobody_can_read_any_more_is_put_aside(storm: Storm) -> None:
    """A newer version may refuse a body: its alerts must not block those of other deliveries."""
    await storm.deliver(body("firing", FIRST[:200]))
    with journals.connected(storm.flag.parent.parent / "j.db") as connection:
        connection.execute("UPDATE delivery SET body = ?", (b"{}",))
    await planned_by(storm, body("firing", [5000]))
    assert await storm.count("SELECT count(*) FROM episode") == AT_ONCE + 1
    (sentence,) = await storm.rows("SELECT sentence FROM decision WHERE kind = 'quarantined'")
    assert sentence[0].startswith("100 alerts of stored delivery 1 cannot be read")


async def test_a_flag_lists_some_reasons_and_counts_all(storm: Storm) -> None:
    """It is written once for all of them; each reason is then on disk, and the freeze is done in one transaction."""
    await planned_by(storm, body("firing", FIRST))
    before = storm.passed(Step.JOURNAL_COMMITTED)
    await freeze.perform(storm.context, str(storm.flag), ())
    written = json.loads(storm.flag.read_text())
    assert (written["reasons_total"], len(written["reasons"])) == (ALERTS, LISTED_MAX)
    assert storm.passed(Step.FREEZE_FLAG_RENAMED) == 1
    assert storm.passed(Step.JOURNAL_COMMITTED) == before + 2
    assert await storm.count("SELECT count(*) FROM freeze_reason WHERE written_at IS NULL") == 0
    assert await storm.rows("SELECT state FROM action WHERE type = 'freeze'") == [("SUCCEEDED",)]
    (sentence,) = await storm.rows("SELECT sentence FROM decision WHERE kind = 'frozen'")
    assert sentence[0].endswith(f"and {ALERTS - 3} more reasons".replace("and ", "; "))
    await freeze.perform(storm.context, str(storm.flag), ())
    assert storm.passed(Step.FREEZE_FLAG_RENAMED) == 1


async def test_episodes_of_one_flag_end_together(storm: Storm) -> None:
    """In few transactions, without a flag for each; one action removes the flag."""
    await planned_by(storm, body("firing", FIRST))
    await freeze.perform(storm.context, str(storm.flag), ())
    await planned_by(storm, body("resolved", FIRST))
    assert await storm.rows("SELECT state FROM action WHERE type = 'rollback'") == [("CANCELLED",)]
    before = storm.passed(Step.JOURNAL_COMMITTED)
    await reconciler(storm).keep_time()
    assert storm.passed(Step.JOURNAL_COMMITTED) - before <= ALERTS // PIECE + 1
    assert await storm.rows("SELECT state, count(*) FROM episode GROUP BY 1") == [("CLOSED", ALERTS)]
    assert await storm.count("SELECT count(*) FROM action WHERE type = 'unfreeze'") == 1
    await freeze.perform(storm.context, str(storm.flag), ())
    assert not storm.flag.exists()
    assert storm.passed(Step.FREEZE_FLAG_RENAMED) == 1
    assert await storm.context.journal.read(lambda view: verify(view.all_decisions()).broken_at) is None


async def test_a_rollback_passes_to_an_episode_that_still_needs_it(storm: Storm) -> None:
    """All but one alert resolve before it begins; with the last one it is cancelled."""
    await planned_by(storm, body("firing", FIRST[:150]))
    await planned_by(storm, body("resolved", FIRST[:149]))
    ((state, fingerprint),) = await storm.rows(
        "SELECT a.state, e.fingerprint FROM action AS a JOIN episode AS e ON e.id = a.episode WHERE a.type = 'rollback'"
    )
    assert (state, fingerprint) == ("PENDING", f"{149:016x}")
    await planned_by(storm, body("resolved", [149]))
    assert await storm.rows("SELECT state FROM action WHERE type = 'rollback'") == [("CANCELLED",)]
    assert await storm.count("SELECT count(*) FROM rollback_episode") == 0


async def test_comparing_does_not_walk_the_open_episodes(storm: Storm) -> None:
    """A pass in which nothing is to be repaired needs one transaction and few statements, however many are open."""
    await planned_by(storm, body("firing", FIRST))
    before = storm.passed(Step.JOURNAL_COMMITTED)
    await reconciler(storm).compare()
    assert storm.passed(Step.JOURNAL_COMMITTED) == before + 1


def reconciler(storm: Storm) -> Reconciler:
    """A reconciler without Alertmanagers."""
    return Reconciler(
        storm.context,
        conditions=None,  # type: ignore[arg-type]
        alertmanagers=(),
        every_s=60,
        check_flag=lambda _flag: None,
    )


@pytest.mark.sqlite
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_a_piece_needs_few_statements(tmp_path: Path, status: str) -> None:
    """Not one for each alert: a statement for each alert is what made a storm slow."""
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db", isolation_level=None)) as connection:
        shapes.bring_up(connection, tmp_path / "j.db")
        tx = Tx(connection, caches(connection, SqliteStore(tmp_path / "j.db", exclusive=journals.exclusive())))
        in_force: Policies = policies(policy())
        statements: list[str] = []
        for kind in ("firing", "resolved"):
            if kind == status:
                connection.set_trace_callback(statements.append)
            processing = Processing(
                body(kind, FIRST[:AT_ONCE]), in_force, ids=new_id, trace=NO_TRACE, at=datetime.now(UTC)
            )
            tx.begin(lambda: datetime.now(UTC), processing.parse())
            tx.begin_work()
            assert processing.process(tx).decided >= AT_ONCE
            tx.end_work()
            tx.end()
            tx.commit()
            connection.set_trace_callback(None)
            connection.execute("UPDATE action SET state = 'SUCCEEDED' WHERE type = 'rollback'")
        assert len(statements) < AT_ONCE / 2
