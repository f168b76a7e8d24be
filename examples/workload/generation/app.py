"""The API: enqueue jobs, follow them, cancel them, replay dead letters."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from examples.workload.assistant.logs import REQUEST_ID
from examples.workload.generation.environment import Environment
from examples.workload.generation.flags import HEADER, Flags
from examples.workload.generation.metrics import UI_ERRORS, ApiMetrics, QueueMetrics, page
from examples.workload.generation.queue import ENDED, Job, Queue
from examples.workload.tracing import Tracing, identify

POLL_S = 0.1
BEAT_S = 1.0
"""A stream without news carries a comment this often, so that a broken connection is noticed."""

PER_MINUTE = 1200
"""Requests that the API takes in a minute; the others get 429."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger("generation")


class NewJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/jobs`."""

    question: str = ""
    texts: list[str] = []
    batch: int = 32


class UiError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/ui/errors`: a user saw an error panel."""

    type: str


class Api:
    """The routes. `drops_streams` is a fault: streams break off after their first event."""

    def __init__(
        self,
        *,
        queue: Queue,
        flags: Flags,
        environment: Environment,
        registry: CollectorRegistry,
        drops_streams: bool = False,
    ) -> None:
        self._queue = queue
        self._flags = flags
        self._environment = environment
        self._registry = registry
        self._drops_streams = drops_streams
        self._metrics = ApiMetrics(registry)
        self._of_queue = QueueMetrics()
        registry.register(self._of_queue)
        self._taken: deque[float] = deque()
        self._tracing = Tracing("generation")

    def app(self) -> web.Application:
        """The application."""
        made = web.Application(middlewares=[self._tracing.around, self._around])
        made.on_response_prepare.append(identify)
        made.add_routes(
            [
                web.post("/api/v1/jobs", self._put),
                web.get("/api/v1/jobs/{id}", self._show),
                web.get("/api/v1/jobs/{id}/events", self._events),
                web.post("/api/v1/jobs/{id}/cancel", self._cancel),
                web.post("/api/v1/jobs/{id}/commit", self._commit),
                web.get("/api/v1/dead-letters", self._dead_letters),
                web.post("/api/v1/dead-letters/{id}/replay", self._replay),
                web.delete("/api/v1/dead-letters/{id}", self._discard),
                web.post("/api/v1/ui/errors", self._ui_error),
                web.get("/health", self._health),
                web.get("/metrics", self._page),
            ]
        )
        return made

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/api/"):
            return await handler(request)
        wait_s = self._wait_s()
        if wait_s:
            answer: web.StreamResponse = _error(429, "too many requests", **{"Retry-After": f"{wait_s:.0f}"})
        else:
            try:
                answer = await handler(request)
            except msgspec.MsgspecError as error:
                answer = _error(422, str(error))
        self._metrics.requests.labels(str(answer.status)).inc()
        return answer

    def _wait_s(self) -> float:
        """How long until the API takes another request; 0: now."""
        now = time.monotonic()
        while self._taken and self._taken[0] < now - 60:
            self._taken.popleft()
        if len(self._taken) >= PER_MINUTE:
            return max(self._taken[0] + 60 - now, 1.0)
        self._taken.append(now)
        return 0.0

    async def _put(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=NewJob)
        payload: dict[str, Any] = {"question": asked.question}
        if asked.texts:
            payload = {"texts": asked.texts, "batch": asked.batch}
        payload["fallback"] = self._flags.fallback(request.headers.get(HEADER, ""))
        kind = "index" if asked.texts else "answer"
        job = self._queue.put(kind, payload, request_id=REQUEST_ID.get())
        where = "durable worker" if self._environment.durable_worker else "task of the API"
        return _json({"job": job, "done_by": where}, status=202)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        job = self._queue.get(request.match_info["id"])
        return _error(404, "there is no such job") if job is None else _json(_public(job))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events of a job until its end; with Last-Event-ID, what came after."""
        job = request.match_info["id"]
        if self._queue.get(job) is None:
            return _error(404, "there is no such job")
        last = request.headers.get("Last-Event-ID", "")
        after = int(last) if last.isdecimal() else 0
        self._metrics.reconnects += bool(last)
        self._metrics.opened.inc()
        with self._metrics.open.track_inprogress():
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            try:
                await stream.prepare(request)
                ended = await self._follow(stream, job, after)
            except ConnectionError:
                ended = False
        if not ended:
            self._metrics.dropped.inc()
            if request.transport is not None:
                request.transport.abort()
        return stream

    async def _follow(self, stream: web.StreamResponse, job: str, after: int) -> bool:
        """Send steps until the job has ended. Raises ConnectionError if the reader goes away."""
        beat_at = time.monotonic() + BEAT_S
        while True:
            for event in self._queue.events(job, after):
                after = event.id
                data = msgspec.json.encode(event.data).decode()
                await stream.write(f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode())
                beat_at = time.monotonic() + BEAT_S
                if self._drops_streams:
                    return False
                if event.kind in ENDED:
                    await stream.write_eof()
                    return True
            if time.monotonic() > beat_at:
                await stream.write(b": beat\n\n")
                beat_at = time.monotonic() + BEAT_S
            await asyncio.sleep(POLL_S)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        if not self._queue.cancel(request.match_info["id"], time.time()):
            return _error(409, "the job has ended, or there is none")
        return _json({"cancelled": request.match_info["id"]}, status=202)

    async def _commit(self, request: web.Request) -> web.StreamResponse:
        """A user takes the answer over."""
        job = self._queue.get(request.match_info["id"])
        if job is None or job.state != "done":
            return _error(409, "only the answer of a finished job can be taken over")
        self._metrics.commits.inc()
        return _json({"job": job.id})

    async def _dead_letters(self, _request: web.Request) -> web.StreamResponse:
        return _json({"dead_letters": [_public(job) for job in self._queue.dead_letters()]})

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        if not self._queue.replay(request.match_info["id"], time.time()):
            return _error(409, "the job is no dead letter")
        return _json({"job": request.match_info["id"]}, status=202)

    async def _discard(self, request: web.Request) -> web.StreamResponse:
        if not self._queue.discard(request.match_info["id"], time.time()):
            return _error(409, "the job is no dead letter")
        return _json({"job": request.match_info["id"]})

    async def _ui_error(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=UiError)
        if asked.type not in UI_ERRORS:
            return _error(422, f"type is one of {', '.join(UI_ERRORS)}")
        self._metrics.ui_errors[asked.type] += 1
        return _json({"type": asked.type}, status=202)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        counts = self._queue.counts(time.time())
        parts = {"queue": {"status": "healthy", "waiting": counts.waiting, "active": counts.active}}
        vendors = {"status": "simulated", "detail": "no vendor is asked: stand-ins answer in the shapes of their APIs"}
        return _json({"status": "healthy", "components": {**parts, "vendors": vendors}})

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        self._of_queue.counts = self._queue.counts(time.time())
        body = page(self._registry, self._metrics.bare())
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})


def _public(job: Job) -> dict[str, Any]:
    names = ("id", "kind", "state", "retries", "error_type", "error", "result", "request_id")
    return {name: getattr(job, name) for name in names}


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _error(status: int, text: str, **headers: str) -> web.Response:
    body = msgspec.json.encode({"error": text})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
