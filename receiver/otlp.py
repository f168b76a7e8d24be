"""Sends spans to a collector by OTLP over HTTP, with OpenTelemetry's SDK. Imported only if `otlp.endpoint` is set.

The SDK batches the spans and sends them from a thread of its own. A collector that does not answer costs spans, and
never an action.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from receiver.decide.spans import Span
from receiver.logs import SERVICE

PATH = "/v1/traces"
DELAY_MS = 1000


class Exporter:
    """Takes spans and sends them. `close` sends what is left, and blocks meanwhile."""

    def __init__(self, endpoint: str, *, version: str, host: str) -> None:
        """`endpoint` is the collector's address without a path. The SDK reads OTEL_EXPORTER_OTLP_HEADERS by itself."""
        self._resource = Resource.create(
            {"service.name": SERVICE, "service.version": version, "service.instance.id": host}
        )
        self._scope = InstrumentationScope("freezeline", version)
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=f"{endpoint}{PATH}"), schedule_delay_millis=DELAY_MS
        )

    def send(self, spans: Iterable[Span]) -> None:
        """Queue the spans. Never blocks: the SDK drops spans of a full queue."""
        for span in spans:
            self._processor.on_end(self._made(span))

    def close(self) -> None:
        """Send the rest, and end the thread."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _made(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes={name: value for name, value in span.attributes.items() if value},
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(StatusCode.OK),
            start_time=_nanoseconds(span.begun),
            end_time=_nanoseconds(span.ended),
            instrumentation_scope=self._scope,
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
