"""System D: what is broken for each alert, how it is mended, who hears of the alert. The table is in docs/workload.md.

With `often`, a window of the spec has the same number of events at every speed; with `every`, a second has.
"""

import contextlib
import http.client
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from examples.workload.generation.errors import ErrorType, JobError, decide
from examples.workload.generation.queue import Queue
from tests.acceptance.workload.generation_set import RunningSet
from tests.tools import request

PEOPLE = ("infrastructure-email-slack",)
TEAM = ("infrastructure-slack",)
UI = ("ui-slack",)
WORDS: Mapping[Sequence[str], str] = {
    PEOPLE: "infrastructure by e-mail and Slack",
    TEAM: "infrastructure by Slack",
    UI: "UI team by Slack",
}
"""Receivers of Alertmanager → how the docs name them."""


class Fault(Struct, frozen=True, kw_only=True):
    """One row of the table. `alert` is expected within `within_s` with the shipped durations, plus `ramp_s`."""

    words: str
    alert: str
    receivers: Sequence[str]
    begin: Callable[[RunningSet], None]
    end: Callable[[RunningSet], object] = lambda _: None
    """What mends the service, beside healthy vendors and an end of the fault's load."""
    within_s: float
    ramp_s: float = 20.0
    """What the fault itself needs, whatever the durations of the spec."""
    counted: str = ""
    """A counter that decides the alert: good events of earlier faults in its window would make the alert late."""


def _answers(found: RunningSet, shipped_s: float) -> None:
    """Users ask, and all goes well: a question every so many seconds."""
    found.often(shipped_s, found.ask)


def _dead_letters_grow(found: RunningSet) -> None:
    _answers(found, 1.2)
    for _ in range(6):
        found.dead_letter()


def _some_jobs_fail(found: RunningSet) -> None:
    """Fewer than five dead letters in ten minutes, but more than three in a hundred jobs."""
    _answers(found, 11)
    found.dead_letter()
    found.often(170, found.dead_letter)


def _too_many_requests(found: RunningSet) -> None:
    def look() -> None:
        with contextlib.suppress(urllib.error.HTTPError):
            request("GET", f"{found.api.url}/api/v1/dead-letters")

    for _ in range(4):
        found.every(0.02, look)


def _context_is_kept(found: RunningSet) -> None:
    found.restart_workers(fault="keeps-context")
    found.every(0.2, found.ask)


LONG = " ".join(["burn"] * 52)
"""The made answers repeat their question."""


def _many_jobs(found: RunningSet) -> None:
    """Half a minute for each answer, four at once."""
    found.vendors(openai={"kind": "drip", "wait_s": 0.5})
    for _ in range(150):
        found.ask(LONG)


def _slow_answers(found: RunningSet) -> None:
    """A vendor whose words drip: more than a minute for each answer."""
    found.restart_workers(number=4)
    found.vendors(openai={"kind": "drip", "wait_s": 1.3})
    found.every(5, lambda: found.ask(LONG))


def _readers_come_back(found: RunningSet) -> None:
    """The streams end well, and their readers open them again and again."""
    name = found.ask()
    found.rig.until(name, "done")
    again = urllib.request.Request(f"{found.api.url}/api/v1/jobs/{name}/events", headers={"Last-Event-ID": "1"})

    def read() -> None:
        with urllib.request.urlopen(again, timeout=10) as answer:
            answer.read()

    found.every(0.1, read)


def _old_letters(found: RunningSet) -> None:
    """Somebody restores yesterday's queue, whose dead letters nobody had replayed."""
    path = found.root / "yesterday.db"
    yesterday, at = Queue(path), time.time() - 86400
    revoked = JobError(ErrorType.UNAUTHORIZED, "the key was revoked")
    for _ in range(12):
        yesterday.put("answer", {"question": "What is a burn rate?"}, request_id="", at=at)
        job = yesterday.take(at)
        assert job is not None
        yesterday.failed(job, revoked, decide(revoked, 0), at)
    yesterday.close()
    database = sqlite3.connect(found.root / "queue.db", timeout=10)
    with contextlib.closing(database):
        database.execute("ATTACH ? AS yesterday", (str(path),))
        with database:
            database.execute("INSERT INTO job SELECT * FROM yesterday.job")
    path.unlink()


def _streams_break(found: RunningSet) -> None:
    """The faulty release closes each stream after its first event."""
    found.restart_api(fault="drops-streams")

    def follow() -> None:
        name = found.ask()
        with contextlib.suppress(OSError, http.client.HTTPException):
            found.rig.steps(name)

    found.every(0.5, follow)


def _panels_appear(found: RunningSet) -> None:
    found.every(0.3, lambda: found.rig.post("ui/errors", {"type": "timeout"}))


def _slow_embeddings(found: RunningSet) -> None:
    found.vendors(embeddings={"kind": "slow", "wait_s": 0.8})
    found.every(1, found.ask)


def _the_worker_dies(found: RunningSet) -> None:
    found.kill_workers()
    for _ in range(10):
        found.ask()


FAULTS = (
    Fault(
        words="six jobs become dead letters within seconds, among many good ones",
        alert="DLQEntriesIncreasing",
        receivers=PEOPLE,
        begin=_dead_letters_grow,
        within_s=180,
    ),
    Fault(
        words="one job in twenty fails, slowly",
        alert="HighRAGFailureRate",
        receivers=PEOPLE,
        begin=_some_jobs_fail,
        within_s=500,
        counted="rag_jobs_total",
    ),
    Fault(
        words="more requests than the API takes in a minute",
        alert="RateLimitingSpike",
        receivers=PEOPLE,
        begin=_too_many_requests,
        end=lambda found: found.restart_api(),  # else the API would refuse requests for another minute
        within_s=120,
        ramp_s=40,
    ),
    Fault(
        words="`GENERATION_FAULT=keeps-context`: no context is forgotten",
        alert="HighMemoryTokenUsage",
        receivers=PEOPLE,
        begin=_context_is_kept,
        end=lambda found: found.restart_workers(),
        within_s=360,
        ramp_s=90,
    ),
    Fault(
        words="150 long jobs, and a vendor with two words a second",
        alert="RAGQueueLengthHigh",
        receivers=TEAM,
        begin=_many_jobs,
        within_s=360,
    ),
    Fault(
        words="long answers from a vendor with one word in 1.3 s",
        alert="SlowRAGProcessing",
        receivers=TEAM,
        begin=_slow_answers,
        end=lambda found: found.restart_workers(),
        within_s=660,
        ramp_s=120,
        counted="rag_job_duration_ms_count",
    ),
    Fault(
        words="readers open finished streams again and again",
        alert="SSEReconnectionSpike",
        receivers=TEAM,
        begin=_readers_come_back,
        within_s=300,
        ramp_s=40,
    ),
    Fault(
        words="twelve dead letters of yesterday that nobody replayed",
        alert="DLQBacklogHigh",
        receivers=TEAM,
        begin=_old_letters,
        within_s=360,
    ),
    Fault(
        words="`GENERATION_FAULT=drops-streams`: streams break off after their first event",
        alert="SSEStabilityLow",
        receivers=TEAM,
        begin=_streams_break,
        end=lambda found: found.restart_api(),
        within_s=360,
        ramp_s=30,
    ),
    Fault(
        words="users report three error panels each second",
        alert="UIErrorPanelSpike",
        receivers=UI,
        begin=_panels_appear,
        within_s=360,
    ),
    Fault(
        words="every request to the embedding API waits 0.8 s",
        alert="EmbeddingAPISlow",
        receivers=TEAM,
        begin=_slow_embeddings,
        within_s=660,
        ramp_s=30,
        counted="embedding_api_latency_ms_count",
    ),
    Fault(
        words="the worker is killed, and jobs wait",
        alert="WorkerStalled",
        receivers=TEAM,
        begin=_the_worker_dies,
        end=lambda found: found.restart_workers(),
        within_s=360,
    ),
)
