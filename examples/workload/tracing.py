"""Gives every request its identifiers, and sends spans to a collector if OTEL_EXPORTER_OTLP_ENDPOINT is set.

`X-Request-ID`, `X-Trace-ID` and W3C's `traceparent` are taken from the request or made, stand in every log line, and
come back with the answer. A failed request's answer thus names the trace that an alert can join.
"""

import os
import re
import uuid
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from examples.workload.assistant.logs import REQUEST_ID, TRACE_ID

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """The identifiers of one request."""

    request_id: str
    trace_id: str
    traceparent: str


IDS = web.RequestKey("ids", Ids)


class Tracing:
    """The middleware of one service. OpenTelemetry's SDK is imported only if a collector is set."""

    def __init__(self, service: str) -> None:
        self._spans = None
        if os.environ.get(ENDPOINT):
            from examples.workload.spans import Spans  # noqa: PLC0415 - see above

            self._spans = Spans(service)

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Identify a request, and make a span of it."""
        found = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        parent = (found[1], found[2]) if found else None
        if self._spans is None:
            _identified(request, parent[0] if parent else uuid.uuid4().hex, uuid.uuid4().hex[:16])
            return await handler(request)
        with self._spans.of(f"{request.method} {request.path}", parent) as span:
            _identified(request, span.trace_id, span.span_id)
            answer = await handler(request)
            span.answered(answer.status)
            return answer


def _identified(request: web.Request, trace_id: str, span_id: str) -> None:
    request_id = request.headers.get("X-Request-ID") or uuid.uuid4().hex
    shown = request.headers.get("X-Trace-ID") or trace_id
    REQUEST_ID.set(request_id)
    TRACE_ID.set(shown)
    request[IDS] = Ids(request_id=request_id, trace_id=shown, traceparent=f"00-{trace_id}-{span_id}-01")


async def identify(request: web.Request, answer: web.StreamResponse) -> None:
    """Signal of an application: the identifiers go with every answer, also with a stream."""
    ids = request.get(IDS)
    if ids is not None:
        answer.headers["X-Request-ID"] = ids.request_id
        answer.headers["X-Trace-ID"] = ids.trace_id
        answer.headers["traceparent"] = ids.traceparent
