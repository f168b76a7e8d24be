"""What the assistant says about its own health: `/health` for the balancer, `/health/detailed` for people."""

import shutil
import statistics
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from examples.workload.assistant.metrics import Metrics
from examples.workload.assistant.sessions import Sessions

REMEMBERED = 100
"""Response times that `/health/detailed` shows."""

FULL_FROM = 0.9
"""From this share on, memory or disk is unhealthy."""

SIMULATED = "there is no real Vertex AI here: the engine composes answers by rules"


class Health:
    """Asks every dependency anew at each call."""

    def __init__(self, *, version: str, model: str, sessions: Sessions, metrics: Metrics) -> None:
        self._version = version
        self._model = model
        self._sessions = sessions
        self._metrics = metrics
        self.times_s: deque[float] = deque(maxlen=REMEMBERED)

    async def brief(self) -> dict[str, Any]:
        """Status, time, version, and each component's status."""
        components = await self._components()
        return self._frame(components) | {"components": {name: one["status"] for name, one in components.items()}}

    async def detailed(self) -> dict[str, Any]:
        """Each dependency with details, and the times of the last requests."""
        components = await self._components()
        return self._frame(components) | {"components": components, "response_times": self._times()}

    def _frame(self, components: dict[str, dict[str, Any]]) -> dict[str, Any]:
        bad = [name for name, one in components.items() if one["status"] == "unhealthy"]
        return {
            "status": "degraded" if bad else "healthy",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "version": self._version,
        }

    async def _components(self) -> dict[str, dict[str, Any]]:
        redis = await self._redis()
        return {
            "database": redis,
            "vertex_ai": {"status": "simulated", "detail": SIMULATED},
            "logging": {"status": "healthy", "detail": "JSON lines on stderr"},
            "recommendation_engine": {"status": "healthy", "detail": self._model},
            "session_manager": await self._session_manager() if redis["status"] == "healthy" else redis,
            "memory": _share(self._metrics.memory_ratio()),
            "disk": _share(_disk_used()),
        }

    async def _redis(self) -> dict[str, Any]:
        begun = time.monotonic()
        try:
            await self._sessions.ping()
        except RedisError as error:
            return {"status": "unhealthy", "detail": f"Redis: {error}"}
        return {"status": "healthy", "took_ms": _ms(time.monotonic() - begun)}

    async def _session_manager(self) -> dict[str, Any]:
        try:
            return {"status": "healthy", "sessions": await self._sessions.count()}
        except RedisError as error:
            return {"status": "unhealthy", "detail": str(error)}

    def _times(self) -> dict[str, Any]:
        times = sorted(self.times_s)
        if not times:
            return {"requests": 0}
        return {
            "requests": len(times),
            "mean_ms": _ms(statistics.fmean(times)),
            "p95_ms": _ms(times[min(len(times) * 95 // 100, len(times) - 1)]),
            "max_ms": _ms(times[-1]),
        }


def _share(used: float) -> dict[str, Any]:
    return {"status": "healthy" if used < FULL_FROM else "unhealthy", "used": round(used, 3)}


def _disk_used() -> float:
    usage = shutil.disk_usage(Path.cwd())
    return usage.used / usage.total


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
