"""A collector of OpenTelemetry: takes OTLP over HTTP as protobuf, and keeps every span."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from msgspec import Struct, field
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Received(Struct, frozen=True, kw_only=True):
    """One span as the collector got it; identifiers as hexadecimal digits, times in nanoseconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    begun: int
    ended: int
    failed: bool
    attributes: dict[str, str]


class Collector(Struct, kw_only=True):
    """A running collector. `refuses` answers 503 instead."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    refuses: bool = False

    async def handle(self, request: web.Request) -> web.Response:
        """Take a batch, as the protocol says."""
        if self.refuses:
            return web.Response(status=503)
        if request.content_type != "application/x-protobuf":
            return web.Response(status=415)
        batch = ExportTraceServiceRequest.FromString(await request.read())
        for resource in batch.resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Received(
                        service=about["service.name"],
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        begun=span.start_time_unix_nano,
                        ended=span.end_time_unix_nano,
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                        attributes={one.key: one.value.string_value for one in span.attributes},
                    )
                    for span in scope.spans
                ]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def of(self, trace_id: str) -> dict[str, Received]:
        """The spans of a trace by name."""
        return {span.name: span for span in self.spans if span.trace_id == trace_id}


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """A collector on a free loopback port; its `url` has no path."""
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}"
    try:
        yield found
    finally:
        await runner.cleanup()
