"""The assistant in two tracks, whose requests each carry a batch of chats; errors and times come from seeded draws."""

import random
import threading
from collections import Counter

EDGES_S = ("0.1", "0.25", "0.5", "1", "+Inf")
QUICK, SLOW = 0, 3
"""Buckets: a quick chat takes up to 0.1 s, a slow one between 0.5 s and 1 s."""

BATCH = 25
TOP2 = 0.58
"""Share of the recommendations with the right film among the best two."""


class Track:
    """One track: how often its chats fail and are slow, and what it has counted."""

    def __init__(self, name: str, port: int, *, failing: float, slow: float) -> None:
        self.name = name
        self.port = port
        self.failing = failing
        self.slow = slow
        self.memory, self.cpu = 0.4, 0.3
        self._draw = random.Random(name)
        self._lock = threading.Lock()
        self._codes: Counter[str] = Counter({"200": 0, "500": 0})
        self._hits = 0
        self._buckets: Counter[int] = Counter()

    def answer(self) -> int:
        """Chat with a batch of users."""
        with self._lock:
            for _ in range(BATCH):
                self._codes["500" if self._draw.random() < self.failing else "200"] += 1
                self._buckets[SLOW if self._draw.random() < self.slow else QUICK] += 1
                self._hits += self._draw.random() < TOP2
        return 200

    def metrics(self) -> str:
        """Prometheus' text format."""
        with self._lock:
            track, lines, below = f'track="{self.name}"', [], 0
            lines += [f'http_request_total{{code="{code}",{track}}} {count}' for code, count in self._codes.items()]
            for number, edge in enumerate(EDGES_S):
                below += self._buckets[number]
                lines.append(f'http_request_duration_seconds_bucket{{le="{edge}",{track}}} {below}')
            lines += [
                f"http_request_duration_seconds_count{{{track}}} {below}",
                f"recommendation_served_total{{{track}}} {sum(self._codes.values())}",
                f"recommendation_top2_hit_total{{{track}}} {self._hits}",
                f"container_memory_used_ratio{{{track}}} {self.memory}",
                f"container_cpu_used_ratio{{{track}}} {self.cpu}",
            ]
        return "\n".join(lines) + "\n"
