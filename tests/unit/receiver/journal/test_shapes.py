"""Shapes of a journal: an earlier one is copied and migrated whatever happens; a newer or unknown one is refused."""

import contextlib
import json
import logging
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from receiver.journal import Journal, JournalError, SqliteStore, open_view, shapes, verify
from receiver.journal.view import View
from receiver.steps import Step
from tests.tools import ROOT
from tests.unit.receiver.journal.test_journal import Clock, opened

EARLIER = ROOT / "tests" / "data" / "journal" / "shape-1" / "journal.db"
SCHEMA = ROOT / "receiver" / "journal" / "schema.sql"
UNCHANGED = (
    "alert_seen",
    "decision",
    "delivery",
    "episode",
    "policy",
    "policy_in_force",
)
FLAG_FILE = "path, service, generation, text, written_at"
COPY = f"journal.db.before-{shapes.newest()}"
NEWER = shapes.newest() + 1
NEWER_COPY = f"journal.db.before-{NEWER}"
RENAMED = {
    "moment": "event",
    "release_when": "unfreeze_when",
    "released_by": "ended_by",
    "release_reason": "end_reason",
}

KILL_AT = """\
import os, signal, sqlite3, sys
from pathlib import Path
from receiver.journal import shapes

path, step, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def reached(passed):
    global left
    left -= passed.value == step
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

connection = sqlite3.connect(path, isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
shapes.bring_up(connection, path, reached)
"""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy of the journal that a receiver of shape 1 left."""
    return Path(shutil.copy(EARLIER, tmp_path / "journal.db"))


@contextlib.contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that is closed afterwards."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def bring_up(path: Path) -> None:
    """Migrate as a start does."""
    with connected(path) as connection:
        shapes.bring_up(connection, path)


def content(path: Path) -> list[str]:
    """All that is in a database, but the version that used it last."""
    with connected(path) as connection:
        number = connection.execute("PRAGMA user_version").fetchone()
        return [*(line for line in connection.iterdump() if '"meta"' not in line), str(number)]


def table(path: Path, name: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Every row of a table."""
    with connected(path) as connection:
        return connection.execute(f"SELECT {columns} FROM {name} ORDER BY 1, 2").fetchall()


def layout(connection: sqlite3.Connection) -> dict[str, Any]:
    """Tables with their columns, indexes with their columns and conditions, views."""
    made: dict[str, Any] = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        condition = " ".join((sql or "").partition(" WHERE ")[2].split())
        about = "index_xinfo" if kind == "index" else "table_info"
        made[name] = (kind, condition, connection.execute(f'PRAGMA {about}("{name}")').fetchall())
    return made


def test_the_migrations_lead_to_the_schema(earlier: Path) -> None:
    """A new journal, a migrated one, and the file that people read are of one shape."""
    new = earlier.with_name("new.db")
    bring_up(new)
    bring_up(earlier)
    with connected(new) as made, connected(earlier) as migrated, connected(Path(":memory:")) as read:
        read.executescript(SCHEMA.read_text())
        assert "freeze_reason" in layout(read)
        assert layout(made) == layout(read)
        assert layout(migrated) == layout(read)


async def test_a_new_journal_is_not_copied(tmp_path: Path) -> None:
    """There is nothing to keep; the next start finds the newest shape and the version that made it."""
    for _ in range(2):
        async with opened(tmp_path / "journal.db"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]
    with connected(tmp_path / "journal.db") as connection:
        assert shapes.shape_of(connection) == shapes.newest()
        assert connection.execute("SELECT key FROM meta").fetchall() == [("version",)]


async def test_every_row_is_there_after_a_migration(earlier: Path) -> None:
    """Tables that were not renamed are the same to the byte; the chain holds."""
    before = {name: table(earlier, name) for name in UNCHANGED}
    flags = table(earlier, "flag_file")
    holds, actions, notices = table(earlier, "hold"), table(earlier, "action"), table(earlier, "notice")
    async with opened(earlier):
        pass
    assert {name: table(earlier, name) for name in UNCHANGED} == before
    assert min(len(before[name]) for name in ("decision", "delivery", "episode", "policy")) > 3
    assert table(earlier, "freeze_reason") == holds
    assert table(earlier, "flag_file", FLAG_FILE) == flags
    assert len(holds) == 6
    assert len(table(earlier, "action")) == len(actions) > 60
    assert len(table(earlier, "notice")) == len(notices) == 18
    with connected(earlier) as connection:
        verdict = verify(View(connection).all_decisions())
    assert (verdict.rows, verdict.broken_at) == (len(before["decision"]), None)


def test_rows_that_code_reads_by_name_have_the_new_names(earlier: Path) -> None:
    """Types, keys, payloads and facts of actions, and the bodies of the event stream; nothing else of them changes."""
    columns = "id, key, type, name, payload"
    before = {row[0]: row for row in table(earlier, "action", columns)}
    stream = {seq: json.loads(body) for seq, body in table(earlier, "notice", "seq, body")}
    bring_up(earlier)
    types: Counter[str] = Counter()
    for one, key, kind, name, payload in table(earlier, "action", columns):
        _, old_key, old_kind, old_name, old_payload = before[one]
        types[kind] += 1
        if old_kind == "thaw":
            assert (key, kind, name) == (old_key.replace("thaw:", "unfreeze:", 1), "unfreeze", "unfreeze")
        else:
            assert (key, kind, name) == (old_key.replace(":released", ":unfrozen"), old_kind, old_name)
        assert unfolded(json.loads(payload)) == renamed(json.loads(old_payload))
    assert types == {"notify": 71, "freeze": 6, "unfreeze": 3, "rollback": 2}
    after = {seq: json.loads(body) for seq, body in table(earlier, "notice", "seq, body")}
    assert after == {seq: renamed(body) for seq, body in stream.items()}
    events = Counter(body["event"] for body in after.values())
    assert (events["unfrozen"], events["released"]) == (2, 0)
    unknown = "SELECT count(*) FROM notice WHERE key NOT IN (SELECT key FROM action)"
    with connected(earlier) as connection:
        assert connection.execute(unknown).fetchone() == (0,)


def unfolded(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A payload with its facts as a mapping."""
    facts = {"facts": json.loads(payload["facts"])} if "facts" in payload else {}
    return {**payload, **facts}


def renamed(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of a payload or body of shape 1."""
    made = {RENAMED.get(key, key): value for key, value in unfolded(payload).items()}
    if made.get("event") == "released":
        made["event"] = "unfrozen"
    if "facts" in made:
        made["facts"] = {RENAMED.get(key, key): value for key, value in made["facts"].items()}
        if made["facts"]["unfreeze_when"] == "an operator releases it":
            made["facts"]["unfreeze_when"] = "an operator unfreezes it"
    return made


def test_texts_that_sql_could_spoil_stay_as_they_are(earlier: Path) -> None:
    """NUL, a lone surrogate, quotes and other scripts in values; a service whose name looks like an event."""
    odd = "\x00 \ud800 \" \\ ' \u2192 caf\u00e9 \U0001f600 \n"
    facts = {
        "alert": odd,
        "release_when": "alert resolved for 5 min",
        "released_by": "",
        "release_reason": "a:released",
    }
    payload = {"moment": "frozen", "incident": "released", "x": odd, "facts": json.dumps(facts)}
    with connected(earlier) as connection:
        connection.execute(
            "UPDATE action SET payload = ?, service = ':released', key = 'notice:log::released:released:frozen' "
            "WHERE key = (SELECT min(key) FROM action WHERE key GLOB 'notice:log:*:frozen')",
            (json.dumps(payload),),
        )
    bring_up(earlier)
    with connected(earlier) as connection:
        sql = "SELECT key, payload FROM action WHERE service = ':released'"
        ((key, after),) = connection.execute(sql).fetchall()
    assert key == "notice:log::released:released:frozen"
    assert unfolded(json.loads(after)) == renamed(payload)


async def test_the_journal_is_copied_before_it_is_migrated(earlier: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The copy is all of it, for its owner alone. One line of the log says where. The next start copies nothing."""
    before = content(earlier)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        async with opened(earlier):
            pass
    copy = earlier.with_name(COPY)
    assert sorted(path.name for path in earlier.parent.iterdir()) == ["journal.db", COPY]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert content(copy) == before
    logged = [record.__dict__ for record in caplog.records if record.message == "journal.migrated"]
    assert [(one["from_shape"], one["to_shape"], one["copy"]) for one in logged] == [(1, shapes.newest(), str(copy))]


def test_what_only_the_log_of_sqlite_holds_is_in_the_copy(earlier: Path) -> None:
    """A receiver that was killed leaves commits in the -wal file."""
    with connected(earlier) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("UPDATE alert_seen SET status = 'only in the log'")
        bring_up(earlier)
    copied = table(earlier.with_name(COPY), "alert_seen", "status, 1")
    assert {status for status, _ in copied} == {"only in the log"}


def test_an_earlier_copy_is_never_overwritten(earlier: Path) -> None:
    """Somebody restored a copy, ran the earlier version for a while, and upgraded again."""
    first = earlier.with_name(COPY)
    first.write_bytes(b"of last week")
    bring_up(earlier)
    assert first.read_bytes() == b"of last week"
    with connected(first.with_name(f"{COPY}.2")) as connection:
        assert shapes.shape_of(connection) == 1


def test_two_processes_that_migrate_at_once_do_no_harm(earlier: Path) -> None:
    """The second one has made its copy when the first one begins; it finds everything done."""
    undisturbed = Path(shutil.copy(earlier, earlier.with_name("undisturbed.db")))
    bring_up(undisturbed)

    def other(step: Step) -> None:
        if step is Step.MIGRATION_COPIED:
            bring_up(earlier)

    with connected(earlier) as connection:
        shapes.bring_up(connection, earlier, other)
    assert content(earlier) == content(undisturbed)


def passages() -> list[tuple[Step, int]]:
    """Every step of a migration, and each time that it is passed."""
    statements = sum(len(list(migration.statements())) for migration in shapes.migrations()[1:])
    once = (Step.MIGRATION_COPY_WRITTEN, Step.MIGRATION_COPIED, Step.MIGRATION_COMMITTED)
    return [*((step, 1) for step in once), *((Step.MIGRATION_STATEMENT, nth) for nth in range(1, statements + 1))]


@pytest.mark.parametrize("step, nth", passages(), ids=str)
def test_a_kill_anywhere_leaves_a_journal_that_the_next_start_migrates(earlier: Path, step: Step, nth: int) -> None:
    """To the same end as if nothing had happened, with one copy."""
    undisturbed = Path(shutil.copy(earlier, earlier.with_name("undisturbed.db")))
    bring_up(undisturbed)
    before = content(earlier)
    command = [sys.executable, "-c", KILL_AT, str(earlier), step.value, str(nth)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -9, killed.stderr
    if step is not Step.MIGRATION_COMMITTED:
        assert content(earlier) == before
    bring_up(earlier)
    assert content(earlier) == content(undisturbed)
    assert [path.name for path in sorted(earlier.parent.glob("journal.db.*"))] == [COPY]
    assert content(earlier.with_name(COPY)) == before


@pytest.mark.parametrize("nth", [1, 9])
async def test_a_full_disk_leaves_the_journal_as_it_was(earlier: Path, nth: int) -> None:
    """The message says how much space is needed; once there is some, the next start migrates."""
    before, passed = content(earlier), 0

    def full(step: Step) -> None:
        nonlocal passed
        passed += step is Step.MIGRATION_STATEMENT
        if passed == nth:
            raise sqlite3.OperationalError("database or disk is full")

    journal = Journal(SqliteStore(earlier), clock=Clock(), reached=full)
    with pytest.raises(
        JournalError, match=rf"from shape 1 to {shapes.newest()} .* Free at least 1 MB .* The journal is as before"
    ):
        journal.start()
    assert content(earlier) == before
    bring_up(earlier)
    assert [path.name for path in sorted(earlier.parent.glob("journal.db.*"))] == [COPY]


def test_without_a_copy_nothing_is_migrated(earlier: Path) -> None:
    """Here something else has the name of the draft; the journal stays as it was."""
    before = content(earlier)
    earlier.with_name("journal.db.copy.tmp").mkdir()
    with connected(earlier) as connection, pytest.raises(shapes.ShapeError, match=r"must be able to write this"):
        shapes.bring_up(connection, earlier)
    assert content(earlier) == before


@pytest.mark.parametrize(
    "copies, remedy",
    [
        ([], f"restore the copy that was made before shape {NEWER}"),
        (
            [COPY, NEWER_COPY, f"{NEWER_COPY}.2"],
            f"restore the copy {NEWER_COPY} ",
        ),
    ],
)
async def test_a_journal_of_a_newer_shape_is_refused(tmp_path: Path, copies: list[str], remedy: str) -> None:
    """The receiver and readers say which version used it last and what to do; the file is not touched."""
    path = tmp_path / "journal.db"
    async with opened(path):
        pass
    with connected(path) as connection:
        connection.execute("UPDATE meta SET value = '7.5.0'")
        connection.execute(f"PRAGMA user_version = {NEWER}")
    for name in copies:
        (tmp_path / name).touch()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=rf"shape {NEWER} and was last used by version 7\.5\.0") as refused:
        Journal(SqliteStore(path), clock=Clock(), reached=lambda _step: None).start()
    assert remedy in f"{refused.value} "
    for earlier_too in (False, True):
        with pytest.raises(JournalError, match="Start that version or a newer one"):
            open_view(path, earlier=earlier_too)
    assert path.read_bytes() == before


@pytest.mark.parametrize("earlier_too", [False, True])
async def test_a_journal_from_before_the_first_shape_is_refused(tmp_path: Path, *, earlier_too: bool) -> None:
    """At the start, not at the first webhook, and by readers too; the file is not touched."""
    path = tmp_path / "journal.db"
    with connected(path) as connection:
        connection.execute("CREATE TABLE delivery (sha256 TEXT PRIMARY KEY, body BLOB, last_at TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="Move the file away"):
        Journal(SqliteStore(path), clock=Clock(), reached=lambda _step: None).start()
    with pytest.raises(JournalError, match="Move the file away"):
        open_view(path, earlier=earlier_too)
    assert path.read_bytes() == before


def test_a_reader_never_migrates(earlier: Path) -> None:
    """Decisions, deliveries and policies are read as they are; other questions wait for the receiver."""
    before = earlier.read_bytes()
    with pytest.raises(JournalError, match="`freezeline serve` of this version migrates the journal when it starts"):
        open_view(earlier)
    view, connection = open_view(earlier, earlier=True)
    with contextlib.closing(connection):
        assert verify(view.all_decisions()).broken_at is None
        kinds = {one.decision.kind for one in view.last_decisions(1000)}
        assert {"released", "thawed"} <= kinds
        assert len(view.policies_in_force()) == 4
    assert earlier.read_bytes() == before


def test_a_receiver_of_the_first_shape_refuses_a_migrated_journal(earlier: Path) -> None:
    """It does not look at the number, and would else make its own table and know of no freeze."""
    bring_up(earlier)
    with connected(earlier) as connection, pytest.raises(sqlite3.OperationalError, match="views may not be indexed"):
        connection.executescript(
            "CREATE TABLE IF NOT EXISTS hold (flag TEXT); CREATE INDEX IF NOT EXISTS hold_episode ON hold (episode)"
        )
