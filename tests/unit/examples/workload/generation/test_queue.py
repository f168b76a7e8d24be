"""The durable queue: leases, retries, dead letters, and figures for metrics."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.workload.generation.errors import ErrorType, JobError, decide
from examples.workload.generation.queue import Job, LostLeaseError, Queue
from tests.at_once import at_once


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """An empty queue."""
    made = Queue(tmp_path / "queue.db")
    yield made
    made.close()


def taken(queue: Queue, now: float) -> Job:
    """The next job."""
    job = queue.take(now)
    assert job is not None
    return job


def test_the_api_and_its_workers_make_one_queue_at_once(tmp_path: Path) -> None:
    """Whichever makes the tables, all of them have it."""
    for number in range(40):
        assert at_once(lambda path: Queue(path).close(), tmp_path / f"{number}.db") == []


def test_jobs_come_in_the_order_in_which_they_are_due(queue: Queue) -> None:
    """And each only once."""
    late, early = queue.put("answer", {}, request_id="", at=20), queue.put("answer", {}, request_id="", at=10)
    assert queue.take(5) is None
    assert [taken(queue, 30).id, taken(queue, 30).id] == [early, late]
    assert queue.take(30) is None


def test_a_killed_worker_loses_no_job(queue: Queue, tmp_path: Path) -> None:
    """Another one takes the job after the lease, and only that one can end the job."""
    queue.put("answer", {"question": "x"}, request_id="r", at=0)
    dead = taken(queue, 0)
    assert queue.take(9) is None
    other = Queue(tmp_path / "queue.db")
    living = taken(other, 11)
    assert living.id == dead.id
    for late in (
        lambda: queue.done(dead, {}, 12),
        lambda: queue.keep(dead, 12),
        lambda: queue.progress(dead, "x", {}, 12),
    ):
        with pytest.raises(LostLeaseError):
            late()
    other.done(living, {"answer": "yes"}, 12)
    found = queue.get(dead.id)
    assert found is not None
    assert (found.state, found.result) == ("done", {"answer": "yes"})
    assert queue.counts(12).tallies == {"jobs_ok": 1}
    other.close()


def test_a_renewed_lease_holds(queue: Queue) -> None:
    """As long as its worker lives."""
    queue.put("answer", {}, request_id="", at=0)
    job = taken(queue, 0)
    assert queue.keep(job, 8) is False
    assert queue.take(11) is None
    assert queue.take(19) is not None


def test_retries_at_their_times_and_then_a_dead_letter(queue: Queue) -> None:
    """1, 5, 25 and 125 seconds; people replay the dead letter, which then has all its retries again."""
    name, now = queue.put("answer", {}, request_id="", at=0), 0.0
    error = JobError(ErrorType.TIMEOUT, "slow")
    for delay_s in (1, 5, 25, 125):
        job = taken(queue, now)
        queue.failed(job, error, decide(error, job.retries), now)
        assert queue.take(now + delay_s - 0.01) is None
        now += delay_s
    job = taken(queue, now)
    queue.failed(job, error, decide(error, job.retries), now)
    assert queue.take(now + 1e6) is None
    assert [one.id for one in queue.dead_letters()] == [name]
    assert queue.counts(now).dead == 1
    assert queue.counts(now).tallies == {"jobs_failed": 1, "dead_letters": 1}
    assert queue.replay(name, now)
    assert not queue.replay(name, now)
    assert (taken(queue, now).retries, queue.dead_letters()) == (0, [])


def test_cancelling(queue: Queue) -> None:
    """A waiting job ends at once; a running one is told; an ended one cannot be cancelled."""
    waiting = queue.put("answer", {}, request_id="", at=0)
    assert queue.cancel(waiting, 1)
    assert not queue.cancel(waiting, 1)
    assert not queue.cancel("unknown", 1)
    queue.put("answer", {}, request_id="", at=0)
    running = taken(queue, 1)
    assert queue.cancel(running.id, 2)
    assert queue.keep(running, 3) is True
    cancelled = JobError(ErrorType.CANCELLED, "cancelled")
    queue.failed(running, cancelled, decide(cancelled, 0), 4)
    found = queue.get(running.id)
    assert found is not None
    assert (found.state, queue.dead_letters()) == ("cancelled", [])


def test_the_figures(queue: Queue) -> None:
    """What waits for its retry is not due, and does not count as waiting."""
    for at in (0.0, 0.0, 100.0):
        queue.put("answer", {}, request_id="", at=at)
    taken(queue, 1)
    assert (queue.counts(1).waiting, queue.counts(1).active) == (1, 1)
    assert (queue.counts(12).waiting, queue.counts(12).active) == (2, 0)


def test_readers_see_each_step_once(queue: Queue) -> None:
    """From the number on that they have seen."""
    name = queue.put("answer", {}, request_id="", at=0)
    job = taken(queue, 1)
    queue.progress(job, "found", {"pieces": 4}, 2)
    queue.done(job, {"answer": "x"}, 3)
    seen = queue.events(name, 0)
    assert [one.kind for one in seen] == ["queued", "running", "found", "done"]
    assert [one.kind for one in queue.events(name, seen[2].id)] == ["done"]
