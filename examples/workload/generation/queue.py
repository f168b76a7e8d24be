"""The durable queue: jobs in SQLite. Whoever takes a job holds a lease, and loses the job when the lease runs out.

A worker that was killed thus loses no job: another one takes the job after the lease. A worker that was only slow
cannot end a job that another one has taken: each end names the lease (`token`) under which the work was done.
"""

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from examples.workload.generation.errors import Decision, JobError, Then
from freezeline.write_ahead import write_ahead

LEASE_S = 10.0
BUSY_S = 5.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL, created_at REAL NOT NULL,
  due_at REAL NOT NULL, retries INTEGER NOT NULL DEFAULT 0, token TEXT NOT NULL DEFAULT '', lease_until REAL,
  cancel INTEGER NOT NULL DEFAULT 0, error_type TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '', started_at REAL, ended_at REAL, request_id TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS job_due ON job (state, due_at);
CREATE TABLE IF NOT EXISTS event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS event_job ON event (job, id);
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
"""

WAITING = "('queued', 'retrying')"
ENDED = ("done", "cancelled", "dead", "discarded")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job, as stored."""

    id: str
    kind: str
    payload: dict[str, Any]
    state: str
    created_at: float
    due_at: float
    retries: int
    token: str
    cancel: bool
    error_type: str
    error: str
    result: dict[str, Any]
    request_id: str

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the job by itself."""
        return self.state in ENDED


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job, as its reader sees the step."""

    id: int
    kind: str
    data: dict[str, Any]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The queue in figures. `waiting` counts jobs that are due and that nobody works on."""

    waiting: int
    active: int
    dead: int
    tallies: dict[str, int]


class LostLeaseError(Exception):
    """Another worker has the job now: what this one did is thrown away."""


class Queue:
    """One connection to the queue's file; to be used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        write_ahead(self._database)
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def put(self, kind: str, payload: dict[str, Any], *, request_id: str, at: float | None = None) -> str:
        """Enqueue a job, durably, and return its name."""
        job, now = uuid.uuid4().hex, time.time() if at is None else at
        with self._writing() as database:
            database.execute(
                "INSERT INTO job (id, kind, payload, state, created_at, due_at, request_id) VALUES (?,?,?,?,?,?,?)",
                (job, kind, _text(payload), "queued", now, now, request_id),
            )
            self._event(job, now, "queued", {})
        return job

    def take(self, now: float, *, by: str = "", lease_s: float = LEASE_S) -> Job | None:
        """Take the job that has been due for longest, or whose worker has lost its lease. Readers see who took it."""
        token = uuid.uuid4().hex
        with self._writing() as database:
            row = database.execute(
                f"SELECT id FROM job WHERE ((state IN {WAITING} AND due_at <= :now) "  # noqa: S608 - a constant
                "OR (state = 'running' AND lease_until < :now)) ORDER BY due_at LIMIT 1",
                {"now": now},
            ).fetchone()
            if row is None:
                return None
            database.execute(
                "UPDATE job SET state = 'running', token = ?, lease_until = ?, started_at = ? WHERE id = ?",
                (token, now + lease_s, now, row["id"]),
            )
            self._event(row["id"], now, "running", {"by": by})
        return self.get(row["id"])

    def keep(self, job: Job, now: float, *, lease_s: float = LEASE_S) -> bool:
        """Renew the lease; returns whether the job shall be cancelled. Raises LostLeaseError."""
        with self._writing() as database:
            self._held(job)
            database.execute("UPDATE job SET lease_until = ? WHERE id = ?", (now + lease_s, job.id))
            row = database.execute("SELECT cancel FROM job WHERE id = ?", (job.id,)).fetchone()
        return bool(row["cancel"])

    def progress(self, job: Job, kind: str, data: dict[str, Any], now: float) -> None:
        """Tell the job's readers. Raises LostLeaseError."""
        with self._writing():
            self._held(job)
            self._event(job.id, now, kind, data)

    def done(self, job: Job, result: dict[str, Any], now: float) -> None:
        """End a job well. Raises LostLeaseError."""
        with self._writing() as database:
            self._held(job)
            database.execute(
                "UPDATE job SET state = 'done', result = ?, token = '', lease_until = NULL, ended_at = ? WHERE id = ?",
                (_text(result), now, job.id),
            )
            self._event(job.id, now, "done", result)
            self._tally("jobs_ok")

    def failed(self, job: Job, error: JobError, decision: Decision, now: float) -> None:
        """Let the job be tried again, or end it. Raises LostLeaseError."""
        facts = {"error_type": error.type.value, "error": str(error)}
        with self._writing() as database:
            self._held(job)
            if decision.then is Then.DEAD_LETTER:
                state, due_at = "dead", now
                self._tally("jobs_failed")
                self._tally("dead_letters")
            elif decision.then is Then.END:
                state, due_at = "cancelled", now
                self._tally("jobs_cancelled")
            else:
                state, due_at = "retrying", now + decision.after_s
                facts["retry_after_s"] = f"{decision.after_s:g}"
            database.execute(
                "UPDATE job SET state = ?, due_at = ?, retries = retries + ?, token = '', lease_until = NULL, "
                "error_type = ?, error = ?, ended_at = ? WHERE id = ?",
                (
                    state,
                    due_at,
                    int(state == "retrying" and decision.counts),
                    error.type.value,
                    str(error),
                    now if state in ENDED else None,
                    job.id,
                ),
            )
            self._event(job.id, now, state, facts)

    def cancel(self, job: str, now: float) -> bool:
        """Cancel: a waiting job ends at once, a running one when its worker looks. False if the job has ended."""
        with self._writing() as database:
            changed = database.execute(
                f"UPDATE job SET state = 'cancelled', ended_at = ? WHERE id = ? AND state IN {WAITING}",  # noqa: S608
                (now, job),
            ).rowcount
            if changed:
                self._event(job, now, "cancelled", {})
                self._tally("jobs_cancelled")
                return True
            query = "UPDATE job SET cancel = 1 WHERE id = ? AND state = 'running'"
            return database.execute(query, (job,)).rowcount > 0

    def replay(self, job: str, now: float) -> bool:
        """Enqueue a dead letter again, with all its retries. False if the job is no dead letter."""
        with self._writing() as database:
            query = "UPDATE job SET state = 'queued', due_at = ?, retries = 0, ended_at = NULL "
            query += "WHERE id = ? AND state = 'dead'"
            changed = database.execute(query, (now, job)).rowcount
            if changed:
                self._event(job, now, "queued", {"replayed": True})
        return changed > 0

    def discard(self, job: str, now: float) -> bool:
        """Give a dead letter up. False if the job is no dead letter."""
        with self._writing() as database:
            query = "UPDATE job SET state = 'discarded' WHERE id = ? AND state = 'dead'"
            changed = database.execute(query, (job,)).rowcount
            if changed:
                self._event(job, now, "discarded", {})
        return changed > 0

    def get(self, job: str) -> Job | None:
        """A job by its name."""
        row = self._database.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone()
        return None if row is None else _job(row)

    def dead_letters(self) -> list[Job]:
        """All dead letters, the newest first."""
        query = "SELECT * FROM job WHERE state = 'dead' ORDER BY ended_at DESC"
        return [_job(row) for row in self._database.execute(query)]

    def events(self, job: str, after: int) -> list[Event]:
        """The steps of a job after the event with this number."""
        query = "SELECT id, kind, data FROM event WHERE job = ? AND id > ? ORDER BY id"
        rows = self._database.execute(query, (job, after))
        return [Event(id=row["id"], kind=row["kind"], data=msgspec.json.decode(row["data"])) for row in rows]

    def counts(self, now: float) -> Counts:
        """The figures for metrics."""
        row = self._database.execute(
            f"SELECT (SELECT count(*) FROM job WHERE (state IN {WAITING} AND due_at <= :now) "  # noqa: S608
            "OR (state = 'running' AND lease_until < :now)) AS waiting, "
            "(SELECT count(*) FROM job WHERE state = 'running' AND lease_until >= :now) AS active, "
            "(SELECT count(*) FROM job WHERE state = 'dead') AS dead",
            {"now": now},
        ).fetchone()
        tallies = {one["name"]: one["count"] for one in self._database.execute("SELECT name, count FROM tally")}
        return Counts(waiting=row["waiting"], active=row["active"], dead=row["dead"], tallies=tallies)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _held(self, job: Job) -> None:
        row = self._database.execute("SELECT token FROM job WHERE id = ?", (job.id,)).fetchone()
        if row is None or row["token"] != job.token:
            raise LostLeaseError(f"another worker has job {job.id}")

    def _event(self, job: str, at: float, kind: str, data: dict[str, Any]) -> None:
        query = "INSERT INTO event (job, at, kind, data) VALUES (?,?,?,?)"
        self._database.execute(query, (job, at, kind, _text(data)))

    def _tally(self, name: str) -> None:
        query = "INSERT INTO tally (name, count) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1"
        self._database.execute(query, (name,))


def _job(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        payload=msgspec.json.decode(row["payload"]),
        state=row["state"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        retries=row["retries"],
        token=row["token"],
        cancel=bool(row["cancel"]),
        error_type=row["error_type"],
        error=row["error"],
        result=msgspec.json.decode(row["result"]) if row["result"] else {},
        request_id=row["request_id"],
    )


def _text(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
