"""The worker with a real queue: each of the nineteen types of errors ends a job, or is tried again, by its policy."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.workload.generation.errors import DELAYS_S, POLICIES, ErrorType, JobError, Then
from examples.workload.generation.queue import Job, Queue
from examples.workload.generation.work import Tell
from examples.workload.generation.worker import Worker


class Fails:
    """Work that fails with one type of error."""

    def __init__(self, name: ErrorType) -> None:
        self.name = name
        self.tries = 0

    async def do(self, job: str, kind: str, payload: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """Fail; the server or the limiter asks for half a minute where the type listens to them."""
        self.tries += 1
        asks = POLICIES[self.name].then in {Then.WAIT, Then.RETRY_WHEN_TOLD}
        raise JobError(self.name, "on purpose", wait_s=30.0 if asks else 0.0)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """An empty queue."""
    made = Queue(tmp_path / "queue.db")
    yield made
    made.close()


def tried(queue: Queue, worker: Worker, name: str, now: float) -> tuple[Job, float]:
    """The job after one try, and how long the next try has to wait."""
    job = queue.take(now)
    assert job is not None
    begun = time.time()
    asyncio.run(worker.do(job))
    found = queue.get(name)
    assert found is not None
    return found, found.due_at - begun


@pytest.mark.parametrize("error_type", ErrorType)
def test_every_type_ends_by_its_policy(error_type: ErrorType, queue: Queue) -> None:
    """Retries at their times and as many as allowed, then the dead letter; or the end at once."""
    policy, work = POLICIES[error_type], Fails(error_type)
    worker = Worker(queue, work.do, name="test", enabled=lambda: True)
    name, waits = queue.put("answer", {}, request_id="", at=0), list[float]()
    far = time.time() + 3600
    while True:
        job, wait_s = tried(queue, worker, name, far)
        if job.state != "retrying" or len(waits) == 6:
            break
        waits.append(round(wait_s))
    assert job.error_type == error_type.value
    expected = {
        Then.RETRY: ("dead", [*DELAYS_S[: policy.retries]]),
        Then.RETRY_WHEN_TOLD: ("dead", [max(one, 30) for one in DELAYS_S[: policy.retries]]),
        Then.WAIT: ("retrying", [30] * 6),
        Then.DEAD_LETTER: ("dead", []),
        Then.END: ("cancelled", []),
    }[policy.then]
    assert (job.state, waits) == expected
    assert work.tries == len(waits) + 1
    assert len(queue.dead_letters()) == (job.state == "dead")
    assert job.retries == (0 if policy.then is Then.WAIT else len(waits))
