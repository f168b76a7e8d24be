"""One release of the shop, as a program of its own: `python -m freezeline.demo.rollout.service --release v3 …`.

The shop serves `/order` and `/health`, and counts requests, times and its memory for Prometheus.
"""

import argparse
import asyncio
import itertools
import resource
import sys
import time

from aiohttp import web
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from freezeline.demo.listen import serve
from freezeline.demo.switch import RELEASE_HEADER

EDGES_S = (0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0)
MEMORY_LIMIT_BYTES = 128 * 1024 * 1024
"""A machine that the shop must share. A release that leaks comes near this limit within seconds."""


class Habits(Struct, frozen=True, kw_only=True):
    """What is wrong with a release: each n-th request fails, answers wait, each request leaks memory. 0: nothing."""

    fails_every: int = 0
    answers_after_s: float = 0.0
    leaks_bytes: int = 0


class Shop:
    """One release with its counters. Every series exists from the start, so that the first event counts."""

    def __init__(self, release: str, habits: Habits) -> None:
        self.registry = CollectorRegistry()
        self._release = release
        self._habits = habits
        self._numbers = itertools.count(1)
        self._leaked: list[bytes] = []
        requests = Counter(
            "shop_requests_total", "Requests by status code.", ["code", "version"], registry=self.registry
        )
        self._requests = {code: requests.labels(str(code), release) for code in (200, 500)}
        durations = Histogram(
            "shop_request_duration_seconds",
            "Time to answer.",
            ["version"],
            buckets=EDGES_S,
            registry=self.registry,
        )
        self._durations = durations.labels(release)
        memory = Gauge("shop_memory_ratio", "Share of the memory limit in use.", ["version"], registry=self.registry)
        memory.labels(release).set_function(_memory_ratio)

    async def order(self, _request: web.Request) -> web.Response:
        """Accept an order, as well as this release can."""
        begun = time.monotonic()
        number = next(self._numbers)
        habits = self._habits
        if habits.answers_after_s:
            await asyncio.sleep(habits.answers_after_s)
        if habits.leaks_bytes:
            self._leaked.append(b"x" * habits.leaks_bytes)
        code = 500 if habits.fails_every and number % habits.fails_every == 0 else 200
        self._requests[code].inc()
        self._durations.observe(time.monotonic() - begun)
        return web.Response(status=code, text=f"{self._release}\n", headers={RELEASE_HEADER: self._release})

    async def health(self, _request: web.Request) -> web.Response:
        """Say that the process answers."""
        return web.Response(text="ok\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """The counters as Prometheus text."""
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": "text/plain; version=0.0.4"})


def _memory_ratio() -> float:
    """The peak of this process's memory, as a share of the limit: what leaks never shrinks."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) / MEMORY_LIMIT_BYTES


def main() -> None:
    """Serve until TERM."""
    parser = argparse.ArgumentParser(description="one release of the demo's shop")
    parser.add_argument("--release", required=True)
    parser.add_argument("--fails-every", type=int, default=0)
    parser.add_argument("--answers-after-s", type=float, default=0.0)
    parser.add_argument("--leaks-bytes", type=int, default=0)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    habits = Habits(fails_every=args.fails_every, answers_after_s=args.answers_after_s, leaks_bytes=args.leaks_bytes)
    shop = Shop(args.release, habits)
    app = web.Application()
    app.add_routes([web.get("/order", shop.order), web.get("/health", shop.health), web.get("/metrics", shop.metrics)])
    serve(app, args.port)


if __name__ == "__main__":
    main()
