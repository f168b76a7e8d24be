"""Takes jobs from the queue and does them, a few at once; looks every second whether a job shall be cancelled."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from examples.workload.generation.errors import ErrorType, JobError, classify, decide
from examples.workload.generation.queue import Job, LostLeaseError, Queue
from examples.workload.generation.work import Tell

LOOK_S = 1.0
"""How often a worker renews a lease, and looks for a cancellation. The promise is five seconds."""

POLL_S = 0.1
AT_ONCE = 4

Do = Callable[[str, str, dict[str, Any], Tell], Coroutine[None, None, dict[str, Any]]]
"""Does a job by its name, its kind and its payload, and gives the result."""

log = logging.getLogger("generation")


class Worker:
    """Does jobs of one queue. The methods of the queue are quick, so the event loop calls them itself."""

    def __init__(self, queue: Queue, work: Do, *, name: str, enabled: Callable[[], bool]) -> None:
        """`enabled` is asked before each job is taken; readers of a job see `name`."""
        self._name = name
        self._queue = queue
        self._work = work
        self._enabled = enabled

    async def run(self) -> None:
        """Do jobs until cancelled."""
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await places.acquire()
                job = self._queue.take(time.time(), by=self._name) if self._enabled() else None
                if job is None:
                    places.release()
                    await asyncio.sleep(POLL_S)
                    continue
                group.create_task(self.do(job)).add_done_callback(lambda _: places.release())

    async def do(self, job: Job) -> None:
        """Do one job that was taken, to its end: a result, a retry, a dead letter, a cancellation."""
        work = asyncio.create_task(self._work(job.id, job.kind, job.payload, self._teller(job)))
        watch = asyncio.create_task(self._watch(job, work))
        try:
            result = await work
            self._queue.done(job, result, time.time())
            log.info("job done", extra={"fields": {"job": job.id, "request_id": job.request_id}})
        except LostLeaseError as lost:
            log.warning("%s", lost)
        except asyncio.CancelledError:
            if not watch.done() or not watch.result():
                raise  # the worker itself ends: the job stays, and its lease runs out
            self._failed(job, JobError(ErrorType.CANCELLED, "cancelled"))
        except BaseExceptionGroup as group:
            self._failed(job, classify(_first(group)))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong has a type and a policy
            self._failed(job, classify(error))
        finally:
            watch.cancel()

    async def _watch(self, job: Job, work: asyncio.Task[dict[str, object]]) -> bool:
        """Renew the lease until the job ends; true if people cancelled the job."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                cancel = self._queue.keep(job, time.time())
            except LostLeaseError:
                work.cancel()
                return False
            if cancel:
                work.cancel()
                return True

    def _failed(self, job: Job, error: JobError) -> None:
        decision = decide(error, job.retries)
        fields = {"job": job.id, "error_type": error.type.value, "then": decision.then.value}
        log.warning("job failed: %s", error, extra={"fields": fields | {"request_id": job.request_id}})
        try:
            self._queue.failed(job, error, decision, time.time())
        except LostLeaseError as lost:
            log.warning("%s", lost)

    def _teller(self, job: Job) -> Tell:
        return lambda kind, data: self._queue.progress(job, kind, data, time.time())


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
