"""The assistant's metrics, by the names that slos/assistant-phase4.yaml expects. Prometheus adds the label `track`."""

import resource
import time
from collections import deque
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

EDGES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.5)
ERROR_WINDOW_S = 60
CPU_WINDOW_S = 10.0


class Metrics:
    """One registry with every series at its start, so that the first event counts."""

    def __init__(self, paths: tuple[str, ...], *, memory_limit_bytes: int, processors: float = 1.0) -> None:
        self.registry = registry = CollectorRegistry()
        self._seconds: deque[list[int]] = deque(maxlen=ERROR_WINDOW_S)
        self._processor: deque[tuple[float, float]] = deque([(time.monotonic(), time.process_time())])
        self._memory_limit_bytes = memory_limit_bytes
        self._processors = processors
        self.requests = Counter("http_request", "Requests by path and status.", ["path", "code"], registry=registry)
        self.durations = _histogram("http_request_duration_seconds", "Time to answer a request.", registry, ("path",))
        for path in paths:
            self.requests.labels(path, "200")
            self.requests.labels(path, "500")
            self.durations.labels(path)
        self.routing = _histogram("personality_router_latency_seconds", "Time to choose a persona.", registry)
        self.recommending = _histogram("recommendation_engine_latency", "Seconds to recommend.", registry)
        self.chatting = _histogram("multiturn_engine_latency", "Seconds to answer a message of a chat.", registry)
        self.sessions = Gauge("session_count", "Sessions that have not expired.", registry=registry)
        self.served = Counter("recommendation_served", "Rankings that test users were served.", registry=registry)
        self.top2_hits = Counter("recommendation_top2_hit", "Those with the right film on top.", registry=registry)
        self.cache_lookups = Counter("cache_lookups", "Lookups of recommendations in memory.", registry=registry)
        self.cache_hits = Counter("cache_hits", "Lookups that found some.", registry=registry)
        self.pool_size = Gauge("db_pool_size", "Connections to Redis that may be open.", registry=registry)
        self.pool_in_use = Gauge("db_pool_in_use", "Connections to Redis in use.", registry=registry)
        for name, text, value in (
            ("error_rate_percentage", "Share of failed requests in the last minute, in percent.", self.error_rate),
            ("container_memory_used_ratio", "Share of the memory limit in use.", self.memory_ratio),
            ("container_cpu_used_ratio", "Share of the processor limit in use.", self.processor_ratio),
        ):
            Gauge(name, text, registry=registry).set_function(value)

    def answered(self, path: str, code: int, took_s: float) -> None:
        """Count one answered request."""
        self.requests.labels(path, str(code)).inc()
        self.durations.labels(path).observe(took_s)
        second = int(time.monotonic())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += code >= 500

    def error_rate(self) -> float:
        """Percent of the requests of the last minute."""
        since = time.monotonic() - ERROR_WINDOW_S
        recent = [one for one in self._seconds if one[0] >= since]
        return 100 * sum(one[2] for one in recent) / max(sum(one[1] for one in recent), 1)

    def memory_bytes(self) -> int:
        """Memory that this process has in RAM."""
        status = Path("/proc/self/statm")
        if status.exists():
            return int(status.read_text().split()[1]) * resource.getpagesize()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def memory_ratio(self) -> float:
        """The share of the limit."""
        return self.memory_bytes() / self._memory_limit_bytes

    def sample_processor(self) -> None:
        """Note how much processor time was used until now; to be called each second."""
        self._processor.append((time.monotonic(), time.process_time()))
        while len(self._processor) > 1 and self._processor[-1][0] - self._processor[0][0] > CPU_WINDOW_S:
            self._processor.popleft()

    def processor_ratio(self) -> float:
        """Processor time over wall time of the last seconds, as a share of the limit."""
        (from_s, from_used_s), (to_s, to_used_s) = self._processor[0], self._processor[-1]
        return (to_used_s - from_used_s) / max(to_s - from_s, 1e-3) / self._processors


def _histogram(name: str, text: str, registry: CollectorRegistry, labels: tuple[str, ...] = ()) -> Histogram:
    return Histogram(name, text, labels, buckets=EDGES_S, registry=registry)
