"""The generation service as processes: no job is lost, jobs can be cancelled, and its metrics are those of the spec."""

import asyncio
import contextlib
import json
import random
import re
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from redis.asyncio import Redis as Client

from examples.workload.generation.errors import ErrorType, JobError
from examples.workload.generation.limiter import Limiter
from tests.tools import ROOT, request
from tests.waiting import wait_until
from tests.workload import Redis, Service, redis_server, service

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("generation")]


POLL_S = 0.1
"""The API takes twenty requests a second."""


class Rig(Struct, frozen=True, kw_only=True):
    """Everything but the worker."""

    root: Path
    redis: Redis
    providers: Service
    api: Service

    @property
    def options(self) -> list[str]:
        """What API and worker share."""
        return options(self.root, self.redis, self.providers)

    @contextlib.contextmanager
    def worker(self, name: str = "worker") -> Iterator[Service]:
        """A durable worker from start to end."""
        with service(self.root, name, "generation", ["worker", *self.options]) as found:
            yield found

    def fault(self, **faults: dict[str, Any]) -> None:
        """Switch vendors' faults."""
        request("POST", f"{self.providers.url}/faults", json.dumps(faults).encode())

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A POST to the API."""
        text = request("POST", f"{self.api.url}/api/v1/{path}", json.dumps(body or {}).encode())
        answer: dict[str, Any] = json.loads(text)
        return answer

    def ask(self, question: str = "What does a freeze do?") -> str:
        """Enqueue a question."""
        return str(self.post("jobs", {"question": question})["job"])

    def job(self, name: str) -> dict[str, Any]:
        """A job as the API shows it."""
        found: dict[str, Any] = json.loads(request("GET", f"{self.api.url}/api/v1/jobs/{name}"))
        return found

    def dead_letters(self) -> list[dict[str, Any]]:
        """All dead letters."""
        found: list[dict[str, Any]] = json.loads(request("GET", f"{self.api.url}/api/v1/dead-letters"))["dead_letters"]
        return found

    def until(self, name: str, state: str, deadline_s: float = 30) -> dict[str, Any]:
        """Wait until a job has a state."""
        said = f"the job is {state}: {self.job(name)}"
        wait_until(lambda: self.job(name)["state"] == state, deadline_s, said, poll_s=POLL_S)
        return self.job(name)

    def undone(self, names: Sequence[str]) -> int:
        """How many jobs are not done, as the queue's file says: the API would refuse so many questions."""
        with contextlib.closing(sqlite3.connect(self.root / "queue.db", timeout=10)) as database:
            states = dict(database.execute("SELECT id, state FROM job"))
        return sum(states[name] != "done" for name in names)

    def at(self, name: str, kind: str) -> list[float]:
        """When the steps of a kind happened, in Unix seconds, as the queue's file says."""
        with contextlib.closing(sqlite3.connect(self.root / "queue.db", timeout=10)) as database:
            query = "SELECT at FROM event WHERE job = ? AND kind = ? ORDER BY id"
            return [float(row[0]) for row in database.execute(query, (name, kind))]

    def taken_by(self, name: str) -> list[str]:
        """Who took an ended job, each time."""
        with urllib.request.urlopen(f"{self.api.url}/api/v1/jobs/{name}/events", timeout=30) as stream:
            return re.findall(r'"by":"(\w+)"', stream.read().decode())

    def steps(self, name: str) -> list[str]:
        """The steps of an ended job, as its readers see them."""
        with urllib.request.urlopen(f"{self.api.url}/api/v1/jobs/{name}/events", timeout=30) as stream:
            return re.findall(r"^event: (\w+)$", stream.read().decode(), re.MULTILINE)


def options(root: Path, redis: Redis, providers: Service) -> list[str]:
    """What API and worker share."""
    shared = {"queue": root / "queue.db", "redis": redis.url, "providers": providers.url, "environment": root / "env"}
    return [word for name, value in shared.items() for word in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Redis, the vendors and the API, once for this file."""
    root = tmp_path_factory.mktemp("generation")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server(root))
        providers = stack.enter_context(service(root, "providers", "providers"))
        api = stack.enter_context(service(root, "api", "generation", ["api", *options(root, redis, providers)]))
        yield Rig(root=root, redis=redis, providers=providers, api=api)


@pytest.fixture(scope="module")
def worker(rig: Rig) -> Iterator[Service]:
    """A worker for all tests but those that kill it."""
    with rig.worker() as found:
        yield found


@pytest.fixture(autouse=True)
def healthy(rig: Rig) -> None:
    """Every test begins with vendors that work, and with the durable worker."""
    rig.fault(openai={}, anthropic={}, embeddings={})
    (rig.root / "env").write_text("USE_DURABLE_WORKER=1\n")


def test_a_question_is_answered_from_the_corpus(rig: Rig, worker: Service) -> None:
    """The readers see each step; the answer can be taken over; a reader that comes back sees only what is new."""
    name = rig.ask()
    answer = rig.until(name, "done")
    assert answer["result"]["provider"] == "openai"
    assert answer["result"]["answer"].startswith("In short:")
    assert rig.steps(name)[:4] == ["queued", "running", "found", "provider"]
    assert rig.steps(name)[-1] == "done"
    assert rig.post(f"jobs/{name}/commit")["job"] == name
    again = urllib.request.Request(f"{rig.api.url}/api/v1/jobs/{name}/events", headers={"Last-Event-ID": "2"})
    with urllib.request.urlopen(again, timeout=30) as stream:
        assert "event: queued" not in stream.read().decode()
    metrics = rig.api.metrics()
    assert (metrics["commit_positive_total"], metrics["sse_reconnect_count"]) == (1, 1)


def test_texts_are_embedded_in_batches(rig: Rig, worker: Service) -> None:
    """320 texts in ten batches of 32, and no file is left."""
    name = rig.post("jobs", {"texts": [f"text number {number}" for number in range(320)]})["job"]
    found = rig.until(str(name), "done")["result"]
    assert (found["texts"], found["dimensions"]) == (320, 256)
    assert rig.steps(str(name)).count("embedded") == 10
    assert list((rig.root / "scratch-worker").iterdir()) == []


def test_a_running_job_stops_within_five_seconds(rig: Rig, worker: Service) -> None:
    """In the middle of an answer, and while it waits for a vendor; temporary files are gone, and no letter is left."""
    rig.fault(openai={"kind": "drip", "wait_s": 1})
    answer = rig.ask(" ".join(["burn"] * 50))
    wait_until(lambda: rig.at(answer, "provider"), 20, "the answer is under way")
    rig.fault(embeddings={"kind": "slow", "wait_s": 60})
    index = str(rig.post("jobs", {"texts": ["a", "b"]})["job"])
    rig.until(index, "running")
    wait_until(lambda: any((rig.root / "scratch-worker").iterdir()), 10, "the job has a temporary folder")
    for name in (answer, index):
        rig.post(f"jobs/{name}/cancel")
    for name in (answer, index):
        rig.until(name, "cancelled", 5)
        assert rig.steps(name)[-1] == "cancelled"
    assert list((rig.root / "scratch-worker").iterdir()) == []
    assert rig.dead_letters() == []


def test_who_does_the_jobs_is_switched_without_a_restart(rig: Rig, worker: Service) -> None:
    """Without the durable worker, tasks of the API do them."""
    for value, who, where in (("0", "api", "task of the API"), ("1", "worker", "durable worker")):
        (rig.root / "env").write_text(f"USE_DURABLE_WORKER={value}\n")
        put = rig.post("jobs", {"question": "Who does this?"})
        rig.until(put["job"], "done")
        assert (put["done_by"], rig.taken_by(put["job"])) == (where, [who])


def test_a_dead_letter_is_replayed(rig: Rig, worker: Service) -> None:
    """What no retry can mend is a dead letter at once; people replay the letter."""
    rig.fault(embeddings={"kind": "unauthorized"})
    name = rig.ask()
    assert rig.until(name, "dead")["error_type"] == "unauthorized"
    assert [one["id"] for one in rig.dead_letters()] == [name]
    metrics = rig.api.metrics()
    assert (metrics["dlq_entries_total"], metrics["dlq_entries_waiting"]) == (1, 1)
    rig.fault(embeddings={})
    rig.post(f"dead-letters/{name}/replay")
    rig.until(name, "done")
    assert rig.api.metrics()["dlq_entries_waiting"] == 0


def test_a_dead_letter_is_discarded(rig: Rig, worker: Service) -> None:
    """What no replay can mend need not wait for ever; only a dead letter can be discarded."""
    name = str(rig.post("jobs", {"texts": ["x"], "batch": 5})["job"])
    assert rig.until(name, "dead")["error_type"] == "validation"
    request("DELETE", f"{rig.api.url}/api/v1/dead-letters/{name}")
    assert (rig.dead_letters(), rig.job(name)["state"]) == ([], "discarded")
    with pytest.raises(urllib.error.HTTPError, match="409"):
        request("DELETE", f"{rig.api.url}/api/v1/dead-letters/{name}")


def test_a_job_is_tried_again_when_its_api_is_back(rig: Rig, worker: Service) -> None:
    """The first retry comes after a second."""
    rig.fault(embeddings={"kind": "dead"})
    name = rig.ask()
    assert rig.until(name, "retrying")["error_type"] == "network_unreachable"
    rig.fault(embeddings={})
    rig.until(name, "done")
    assert rig.steps(name).count("retrying") == 1


def test_a_broken_stream_is_counted(rig: Rig, worker: Service) -> None:
    """A reader that goes away before the end; a stream to the end is no broken one."""
    rig.fault(openai={"kind": "drip", "wait_s": 0.4})
    before = rig.api.metrics()
    name = rig.ask()
    stream = urllib.request.urlopen(f"{rig.api.url}/api/v1/jobs/{name}/events", timeout=10)
    wait_until(lambda: rig.api.metrics()["sse_connections_open"] == 1, 10, "the stream is open")
    stream.close()

    def dropped() -> float:
        return rig.api.metrics()["sse_connections_dropped_total"] - before["sse_connections_dropped_total"]

    wait_until(lambda: dropped() == 1, 10, "the broken stream is counted")
    rig.until(name, "done")
    rig.steps(name)
    assert (dropped(), rig.api.metrics()["sse_connections_open"]) == (1, 0)


def test_every_metric_of_the_shipped_spec_is_served(rig: Rig, worker: Service) -> None:
    """By the API or by the worker."""
    text = re.sub(r"#.*", "", (ROOT / "slos" / "generation-service.yaml").read_text())
    words = set(re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", text))
    ours = re.compile(r"rag_|sse_|http_|dlq_|commit|memory_tok|ui_err|worker_|embedding_")
    asked = {word for word in words if ours.match(word)}
    served = {name.partition("{")[0] for name in (*rig.api.metrics(), *worker.metrics())}
    served |= {name.removesuffix("_bucket") for name in served}
    assert len(asked) >= 12
    assert asked - served == set()


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[Client]:
    """A client of the rig's Redis."""
    made = Client.from_url(rig.redis.url)
    yield made
    await made.aclose()


async def test_three_requests_at_once(client: Client) -> None:
    """The fourth waits for its place."""
    limiter, running, most = Limiter(client, "three"), 0, 0

    async def one() -> None:
        nonlocal running, most
        async with limiter.one():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(one() for _ in range(40)))
    assert most <= 3
    assert await client.zcard("limit:three:minute") == 40


async def test_a_full_minute_says_when_to_come_again(client: Client) -> None:
    """The limit holds for all processes together: the second limiter stands for another process."""
    first, second = (Limiter(client, "minute", per_minute=10) for _ in range(2))
    for limiter in (first, second) * 5:
        async with limiter.one():
            pass
    with pytest.raises(JobError) as refused:
        async with second.one():
            pass
    assert refused.value.type is ErrorType.OWN_RATE_LIMIT
    assert 50 < refused.value.wait_s <= 61


def test_a_killed_worker_loses_no_job_and_none_is_done_twice(rig: Rig, worker: Service) -> None:
    """Its jobs go to the next worker when the lease has run out."""
    rig.fault(openai={"kind": "drip", "wait_s": 0.3})
    names = [rig.ask(f"Question number {number} about rules?") for number in range(6)]
    wait_until(lambda: Counter(rig.job(name)["state"] for name in names)["running"] == 4, 20, "four jobs run")
    worker.process.kill()
    worker.process.wait(10)
    rig.fault(openai={})
    assert Counter(rig.job(name)["state"] for name in names) == {"running": 4, "queued": 2}
    before = rig.api.metrics()['rag_jobs_total{status="ok"}']
    with rig.worker("next") as next_worker:
        for name in names:
            rig.until(name, "done", 40)
        assert [rig.steps(name).count("done") for name in names] == [1] * 6
        next_worker.process.send_signal(signal.SIGTERM)
        assert next_worker.process.wait(10) == 0, "a worker without work ends on TERM"
    assert rig.api.metrics()['rag_jobs_total{status="ok"}'] == before + 6


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_retries_come_at_their_times(rig: Rig, worker: Service) -> None:
    """1, 5, 25 and 125 seconds after each failure, by the clock; then the job is a dead letter."""
    rig.fault(embeddings={"kind": "dead"})
    name = rig.ask()
    rig.until(name, "dead", 200)
    tries, failures = rig.at(name, "running"), rig.at(name, "retrying")
    waits = [begun - failed for begun, failed in zip(tries[1:], failures, strict=True)]
    assert [wait - wanted for wait, wanted in zip(waits, (1, 5, 25, 125), strict=True)] == pytest.approx(
        [0.5] * 4, abs=0.5
    )
    request("DELETE", f"{rig.api.url}/api/v1/dead-letters/{name}")


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_kills_lose_no_job_and_end_none_twice(rig: Rig, worker: Service) -> None:
    """Workers are killed at times that a seed draws, in the middle of their jobs; every job has one end."""
    draw = random.Random(7)
    worker.process.kill()  # the worker of the other tests would help
    worker.process.wait(10)
    before = rig.api.metrics()['rag_jobs_total{status="ok"}']
    rig.fault(openai={"kind": "drip", "wait_s": 0.1})
    names = [rig.ask(f"Question number {number} about rules?") for number in range(60)]
    kills = 0
    while rig.undone(names):
        with rig.worker(f"killed-{kills}") as found:
            ends_at = time.monotonic() + draw.uniform(1, 6)

            def over(ends_at: float = ends_at) -> bool:
                return time.monotonic() > ends_at or not rig.undone(names)

            wait_until(over, 60, "the worker has worked for a while")
            found.process.kill()
            kills += 1
        assert kills < 40, "the jobs do not end"
    print(f"{kills} workers were killed")
    assert kills >= 3
    assert [len(rig.at(name, "done")) for name in names] == [1] * 60
    assert sum(len(rig.at(name, "running")) for name in names) > 60, "no kill struck a job"
    assert rig.api.metrics()['rag_jobs_total{status="ok"}'] == before + 60
