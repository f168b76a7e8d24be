"""System D: each of the twelve alerts fires from a real fault of the generation service, and nothing else fires.

The table is the one of docs/workload.md. `./dev soak` runs the rows, with the shipped durations and with fifteenths of
them.
"""

import contextlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec import Struct

from tests.acceptance.workload.test_generation import Rig, options
from tests.acceptance.workload.watched import expect, repeated, watched
from tests.tools import ROOT, Generation, request
from tests.waiting import wait_until
from tests.workload import Service, redis_server, service

PEOPLE = ("freezeline", "infrastructure-email-slack")
TEAM = ("freezeline", "infrastructure-slack")
UI = ("freezeline", "ui-slack")
FASTER = 15


class Scene(Struct, frozen=True, kw_only=True):
    """The running service, its worker processes, and `every`, which repeats an act in the background."""

    rig: Rig
    workers: list[Service]
    every: Callable[[float, Callable[[], object]], None]

    def dead_letter(self) -> None:
        """A job that no retry can mend."""
        self.rig.post("jobs", {"texts": ["x"], "batch": 5})


class Row(Struct, frozen=True, kw_only=True):
    """One row of the table: the fault, the alert, and who hears of it."""

    alert: str
    receivers: Sequence[str]
    fault: Callable[[Scene], None]
    before: Callable[[Scene], None] = lambda _: None
    """What happens before Prometheus begins to look."""
    api_fault: str = ""
    worker_fault: str = ""
    workers: int = 1
    within_s: float = 1500.0
    """With the shipped durations; divided by `faster`, plus `ramp_s`."""
    ramp_s: float = 20.0


def answers(scene: Scene, per_second: float) -> None:
    """Users ask, and all goes well."""
    scene.every(1 / per_second, lambda: scene.rig.ask("What is a burn rate?"))


def dead_letters_grow(scene: Scene) -> None:
    """Six dead letters among many good jobs."""
    answers(scene, 12)
    for _ in range(6):
        scene.dead_letter()


def some_jobs_fail(scene: Scene) -> None:
    """More than three in a hundred, but slowly."""
    answers(scene, 2)
    scene.every(9, scene.dead_letter)


def too_many_requests(scene: Scene) -> None:
    """More than the API takes in a minute."""

    def look() -> None:
        with contextlib.suppress(urllib.error.HTTPError):
            request("GET", f"{scene.rig.api.url}/api/v1/dead-letters")

    for _ in range(4):
        scene.every(0.01, look)


def many_jobs(scene: Scene) -> None:
    """Far more than one worker can do, each slow, but below a minute."""
    scene.rig.fault(openai={"kind": "drip", "wait_s": 1})
    for _ in range(300):
        scene.rig.ask("What is a burn rate?")


def slow_answers(scene: Scene) -> None:
    """A vendor whose words drip: more than a minute for each answer."""
    scene.rig.fault(openai={"kind": "drip", "wait_s": 1.8})
    question = " ".join(["burn"] * 40)
    scene.every(5, lambda: scene.rig.ask(question))


def readers_come_back(scene: Scene) -> None:
    """The streams end well, and their readers open them again and again."""
    name = scene.rig.ask()
    scene.rig.until(name, "done")

    def again() -> None:
        request_with_id(f"{scene.rig.api.url}/api/v1/jobs/{name}/events")

    scene.every(0.1, again)


def request_with_id(url: str) -> None:
    """A reader that has seen the first event."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Last-Event-ID": "1"}), timeout=10) as answer:
        answer.read()


def streams_break(scene: Scene) -> None:
    """The faulty release closes each stream after its first event."""

    def follow() -> None:
        name = scene.rig.ask()
        with contextlib.suppress(OSError):
            scene.rig.steps(name)

    scene.every(0.5, follow)


def panels_appear(scene: Scene) -> None:
    """Users see the same error panel."""
    scene.every(1, lambda: scene.rig.post("ui/errors", {"type": "timeout"}))


def slow_embeddings(scene: Scene) -> None:
    """Every request to the embedding API takes longer."""
    scene.rig.fault(embeddings={"kind": "slow", "wait_s": 0.8})
    answers(scene, 1)


def the_worker_dies(scene: Scene) -> None:
    """And jobs wait."""
    for worker in scene.workers:
        worker.process.kill()
    for _ in range(10):
        scene.rig.ask()


def old_letters(scene: Scene) -> None:
    """Dead letters of yesterday, which nobody has replayed."""
    for _ in range(12):
        scene.dead_letter()


def context_is_kept(scene: Scene) -> None:
    """The faulty release never forgets a context."""
    answers(scene, 8)


ROWS = (
    Row(alert="DLQEntriesIncreasing", receivers=PEOPLE, fault=dead_letters_grow),
    Row(alert="HighRAGFailureRate", receivers=PEOPLE, fault=some_jobs_fail, ramp_s=60),
    Row(alert="RateLimitingSpike", receivers=PEOPLE, fault=too_many_requests, within_s=500, ramp_s=30),
    Row(alert="HighMemoryTokenUsage", receivers=PEOPLE, fault=context_is_kept, worker_fault="keeps-context", ramp_s=60),
    Row(alert="RAGQueueLengthHigh", receivers=TEAM, fault=many_jobs),
    Row(alert="SlowRAGProcessing", receivers=TEAM, fault=slow_answers, workers=4, ramp_s=150),
    Row(alert="SSEReconnectionSpike", receivers=TEAM, fault=readers_come_back, ramp_s=40),
    Row(alert="DLQBacklogHigh", receivers=TEAM, fault=lambda scene: answers(scene, 1), before=old_letters),
    Row(alert="SSEStabilityLow", receivers=TEAM, fault=streams_break, api_fault="drops-streams"),
    Row(alert="UIErrorPanelSpike", receivers=UI, fault=panels_appear),
    Row(alert="EmbeddingAPISlow", receivers=TEAM, fault=slow_embeddings, ramp_s=40),
    Row(alert="WorkerStalled", receivers=TEAM, fault=the_worker_dies),
)


@contextlib.contextmanager
def scene(row: Row, root: Path) -> Iterator[Scene]:
    """Redis, vendors, API and workers."""
    (root / "env").write_text("USE_DURABLE_WORKER=1\n")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server(root))
        providers = stack.enter_context(service(root, "providers", "providers"))
        shared = options(root, redis, providers)
        quiet = {"generation_log_level": "ERROR"}
        api = stack.enter_context(
            service(root, "api", "generation", ["api", *shared], generation_fault=row.api_fault, **quiet)
        )
        workers = []
        for number in range(row.workers):
            own = ["--scratch", str(root / f"scratch-{number}")]
            workers.append(
                stack.enter_context(
                    service(
                        root,
                        f"worker-{number}",
                        "generation",
                        ["worker", *shared, *own],
                        generation_fault=row.worker_fault,
                        **quiet,
                    )
                )
            )
        rig = Rig(root=root, redis=redis, providers=providers, api=api)
        every = stack.enter_context(repeated())
        yield Scene(rig=rig, workers=workers, every=every)


def settled(found: Scene) -> None:
    """Wait until no job is left."""
    wait_until(lambda: found.rig.api.metrics()["rag_queue_length"] == 0, 30, "the jobs are done")


def run(row: Row, generation: Generation, root: Path, faster: int) -> None:
    """Break the service as the row says, and see the alert."""
    with scene(row, root) as found:
        row.before(found)
        settled(found)
        targets = {"generation": [found.rig.api.port, *(worker.port for worker in found.workers)]}
        with watched("generation-service", generation, root, targets, faster=faster) as seen:
            row.fault(found)
            expect(seen, row.alert, row.receivers, within_s=row.within_s / faster + row.ramp_s)


NAMES = [row.alert for row in ROWS]


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("faster", [FASTER, 1])
@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_alert_fires_from_its_fault(row: Row, faster: int, generation: Generation, tmp_path: Path) -> None:
    """All rows on both generations of Prometheus, also with the shipped times."""
    run(row, generation, tmp_path, faster)


def test_the_table_is_whole_and_documented() -> None:
    """Each alert of the spec has a row here and in docs/workload.md, with the same receivers."""
    spec = (ROOT / "slos" / "generation-service.yaml").read_text()
    section = re.search(r"^alerts:\n(.*?)^\w", spec, re.MULTILINE | re.DOTALL)
    assert section
    assert sorted(NAMES) == sorted(re.findall(r"^  (\w+):", section[1], re.MULTILINE))
    text = (ROOT / "docs" / "workload.md").read_text()
    documented = dict(re.findall(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \|$", text, re.MULTILINE))
    people: dict[tuple[str, ...], str] = {
        PEOPLE: "infrastructure by e-mail and Slack",
        TEAM: "infrastructure by Slack",
        UI: "UI team by Slack",
    }
    assert {row.alert: people[tuple(row.receivers)] for row in ROWS} == {
        name: documented.get(name) for name in NAMES
    }, json.dumps(documented)
