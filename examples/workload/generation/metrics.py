"""The metrics that slos/generation-service.yaml names. The API's are read from the queue, so both processes agree."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from examples.workload.generation.queue import Counts

JOB_EDGES_MS = (100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 45_000, 60_000, 90_000, 180_000)
EMBEDDING_EDGES_MS = (5, 10, 25, 50, 100, 200, 300, 400, 500, 750, 1000, 2500, 5000)
UI_ERRORS = ("timeout", "network", "generation", "validation")


class WorkMetrics:
    """What the process that does the work measures: the worker, or the API where tasks of the API do the work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.jobs = Histogram("rag_job_duration_ms", "Time of a job.", buckets=JOB_EDGES_MS, registry=registry)
        self.embedding = Histogram(
            "embedding_api_latency_ms", "Time of a request to the API.", buckets=EMBEDDING_EDGES_MS, registry=registry
        )
        self.tokens = Gauge("memory_token_used_pct", "Tokens of the context memory in use.", registry=registry)
        self.provider_failures = Counter(
            "provider_failures", "Failures of vendors by type.", ["provider", "error_type"], registry=registry
        )


class ApiMetrics:
    """What the API measures beside the queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter("http_requests", "Requests by status.", ["code"], registry=registry)
        for code in ("200", "202", "429", "500"):
            self.requests.labels(code)
        self.open = Gauge("sse_connections_open", "Streams that are open.", registry=registry)
        self.opened = Counter("sse_connections_opened", "Streams that were opened.", registry=registry)
        self.dropped = Counter("sse_connections_dropped", "Streams that broke off before their end.", registry=registry)
        self.commits = Counter("commit_positive", "Answers that users took over.", registry=registry)
        self.reconnects = 0
        self.ui_errors = dict.fromkeys(UI_ERRORS, 0)

    def bare(self) -> str:
        """Counters whose names in the spec have no `_total`; the library always adds the suffix."""
        lines = ["# TYPE sse_reconnect_count counter", f"sse_reconnect_count {self.reconnects}"]
        lines += ["# TYPE ui_error_panel_shown counter"]
        lines += [f'ui_error_panel_shown{{type="{name}"}} {count}' for name, count in self.ui_errors.items()]
        return "\n".join(lines) + "\n"


class QueueMetrics(Collector):
    """The queue in figures, as it is when Prometheus asks."""

    def __init__(self) -> None:
        self.counts = Counts(waiting=0, active=0, dead=0, tallies={})

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        counts = self.counts
        yield GaugeMetricFamily("rag_queue_length", "Jobs that are due and wait.", counts.waiting)
        yield GaugeMetricFamily("worker_active_jobs", "Jobs that somebody works on.", counts.active)
        yield GaugeMetricFamily("dlq_entries_waiting", "Dead letters that wait for a person.", counts.dead)
        yield CounterMetricFamily("dlq_entries", "Dead letters so far.", counts.tallies.get("dead_letters", 0))
        jobs = CounterMetricFamily("rag_jobs", "Ended jobs by outcome.", labels=["status"])
        jobs.add_metric(["ok"], counts.tallies.get("jobs_ok", 0))
        jobs.add_metric(["failed"], counts.tallies.get("jobs_failed", 0))
        yield jobs


def page(registry: CollectorRegistry, more: str = "") -> bytes:
    """All metrics as Prometheus' text."""
    return generate_latest(registry) + more.encode()
