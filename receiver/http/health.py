"""Health of the receiver and of everything that the receiver depends on."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from receiver.context import Context
from receiver.decide.model import stamp_ms
from receiver.journal import JournalError

REQUESTS_KEPT = 100
DISK_MIN_BYTES = 64 * 1024 * 1024

Check = Callable[[], Awaitable[str]]
"""Asks one dependency. The answer is "" for a healthy dependency, else what is wrong."""


class Health:
    """Response times of the last 100 requests, and checks by name."""

    def __init__(self, context: Context, *, version: str, state_dir: Path) -> None:
        self._context = context
        self._version = version
        self._state_dir = state_dir
        self._times: deque[float] = deque(maxlen=REQUESTS_KEPT)
        self._journal_error = ""
        self.checks: dict[str, Check] = {}

    def took(self, spent_s: float) -> None:
        """Note the time of an answered request."""
        self._times.append(spent_s)

    def journal_failed(self, error: str) -> None:
        """Note that a commit failed, until the next check of the journal succeeds."""
        self._journal_error = error

    async def brief(self) -> dict[str, Any]:
        """The body of GET /health."""
        components = await self._components()
        return {
            "status": _status(components),
            "timestamp": stamp_ms(self._context.clock()),
            "version": self._version,
            "components": {name: "failing" if why else "ok" for name, why in components.items()},
        }

    async def detailed(self) -> dict[str, Any]:
        """The body of GET /health/detailed."""
        own = await self._components()
        others = {name: await check() for name, check in self.checks.items()}
        status = _status({**others, **own})
        usage = shutil.disk_usage(self._state_dir)
        return {
            "status": status,
            "timestamp": stamp_ms(self._context.clock()),
            "version": self._version,
            "components": _shown(own),
            "dependencies": _shown(others),
            "memory": {"resident_bytes": _resident_bytes()},
            "disk": {"free_bytes": usage.free, "total_bytes": usage.total},
            "response_times": self._response_times(),
            "journal_seq": self._context.journal.head,
        }

    async def _components(self) -> dict[str, str]:
        return {"journal": await self._journal(), "policy": self._policy(), "disk": self._disk()}

    async def _journal(self) -> str:
        try:
            await self._context.journal.read(lambda journal: journal.head())
            if self._context.journal.broken:
                return self._context.journal.broken
            if self._journal_error:
                await self._context.journal.write(lambda _tx: None)
                self._journal_error = ""
        except JournalError as error:
            return str(error)
        return ""

    def _policy(self) -> str:
        return (
            ""
            if self._context.box.load_ok
            else "the policies on disk have problems, so the last good policies stay in force"
        )

    def _disk(self) -> str:
        free = shutil.disk_usage(self._state_dir).free
        return "" if free >= DISK_MIN_BYTES else f"only {free} bytes free on the disk of the journal"

    def _response_times(self) -> Mapping[str, float | int]:
        times = sorted(self._times)
        if not times:
            return {"requests": 0}
        return {
            "requests": len(times),
            "mean_ms": round(1000 * sum(times) / len(times), 3),
            "p50_ms": round(1000 * times[len(times) // 2], 3),
            "p95_ms": round(1000 * times[min(len(times) * 95 // 100, len(times) - 1)], 3),
            "max_ms": round(1000 * times[-1], 3),
        }


def _status(components: Mapping[str, str]) -> str:
    """The overall status. "failing" is for a fault that a restart may cure: the journal. All other faults degrade."""
    if components["journal"]:
        return "failing"
    return "degraded" if any(components.values()) else "ok"


def _shown(found: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"status": "failing" if why else "ok", "why": why or None} for name, why in found.items()}


def _resident_bytes() -> int | None:
    """Memory of this process; None if the system does not say."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return None
    return int(path.read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
