"""Spans of requests by OpenTelemetry's SDK, sent by OTLP over HTTP."""

import contextlib
from collections.abc import Iterator

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace.status import Status, StatusCode

DELAY_MS = 500


class Span:
    """One request."""

    def __init__(self, span: SdkSpan) -> None:
        self._span = span
        context = span.get_span_context()
        self.trace_id, self.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def answered(self, status: int) -> None:
        """The status of the answer; 5xx is a failure."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))


class Spans:
    """Sends each span soon after its end. The SDK reads the collector's address from the environment."""

    def __init__(self, service: str) -> None:
        provider = TracerProvider(resource=Resource.create({"service.name": service}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=DELAY_MS))
        self._tracer = provider.get_tracer("examples.workload")

    @contextlib.contextmanager
    def of(self, name: str, parent: tuple[str, str] | None) -> Iterator[Span]:
        """The span of one request, in the trace of the sender."""
        context = None
        if parent is not None:
            sampled = TraceFlags(TraceFlags.SAMPLED)
            sender = SpanContext(int(parent[0], 16), int(parent[1], 16), is_remote=True, trace_flags=sampled)
            context = set_span_in_context(NonRecordingSpan(sender))
        with self._tracer.start_as_current_span(name, context=context, kind=SpanKind.SERVER) as span:
            yield Span(span)
