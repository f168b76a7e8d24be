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
from receiver.host_report import hosts_json
from receiver.http.hearing import Hearing
from receiver.journal import JournalError

REQUESTS_KEPT = 100
DISK_MIN_BYTES = 64 * 1024 * 1024
PROBE_AGE_S = 1.0
"""Health is asked for by everyone, and each probe writes: two answers within this time share one probe."""

Check = Callable[[], Awaitable[str]]
"""Asks one dependency. The answer is "" for a healthy dependency, else what is wrong."""

Probe = Callable[[float], Awaitable[None]]
"""Tries to store and to write what a freeze would store and write, unless that was tried within so many seconds."""


class Health:
    """Response times of the last 100 requests, and checks by name. `probe` finds the faults of journal and flags."""

    def __init__(self, context: Context, *, version: str, state_dir: Path, probe: Probe, hearing: Hearing) -> None:
        self._context = context
        self.version = version
        self.state_dir = state_dir
        self._probe = probe
        self.hearing = hearing
        self._times: deque[float] = deque(maxlen=REQUESTS_KEPT)
        self.checks: dict[str, Check] = {}

    def took(self, spent_s: float) -> None:
        """Note the time of an answered request."""
        self._times.append(spent_s)

    def journal_failed(self, error: str) -> None:
        """Note that a commit failed, until the next probe of the journal succeeds."""
        self._context.faults.report("journal", "", error)

    async def brief(self) -> dict[str, Any]:
        """The body of GET /health."""
        components = await self.components()
        return {
            "status": _status(components),
            "timestamp": stamp_ms(self._context.clock()),
            "version": self.version,
            "components": {name: "failing" if why else "ok" for name, why in components.items()},
        }

    async def detailed(self) -> dict[str, Any]:
        """The body of GET /health/detailed."""
        own = await self.components()
        others = {name: await check() for name, check in self.checks.items()}
        status = _status({**others, **own})
        return {
            "status": status,
            "timestamp": stamp_ms(self._context.clock()),
            "version": self.version,
            "components": _shown(own),
            "dependencies": _shown(others),
            **self.resources(),
            "hosts": await self._hosts(),
            "journal_seq": self._context.journal.head,
            "journal_kept": self._context.journal.kept,
            "leads": self._context.leading.holds(),
        }

    async def _hosts(self) -> list[dict[str, Any]]:
        """What every host last said of its flags; nothing if there is one host only, or the journal cannot be read."""
        sharing = self._context.shared()
        if sharing is None:
            return []
        try:
            return hosts_json(await self._context.journal.read(lambda view: view.host_flags()), sharing)
        except JournalError:
            return []

    def resources(self) -> dict[str, Any]:
        """Memory, disk and response times."""
        return {
            "memory": {"resident_bytes": _resident_bytes()},
            "disk": self._usage(),
            "response_times": self._response_times(),
        }

    async def components(self) -> dict[str, str]:
        """What is wrong with each component now; "" for a sound one. The metrics get the same."""
        journal = await self._journal()
        found = {**self.known(), **({"journal": journal} if journal else {})}
        for name, why in found.items():
            self._context.meters.component_ok.labels(name).set(not why)
        return found

    def known(self) -> dict[str, str]:
        """What was wrong with each component when somebody last looked."""
        faults = self._context.faults
        return {
            "journal": self._context.journal.broken or self._context.journal.damaged or faults.said("journal"),
            "flags": "; ".join(filter(None, map(faults.said, ("freeze", "flag", "hidden")))),
            "feature_flags": "; ".join(filter(None, map(faults.said, ("switch", "feature")))),
            "loops": faults.said("loop"),
            "policy": self._policy(),
            "disk": self._disk() or faults.said("disk"),
            "webhooks": self.hearing.deaf(self._context.clock()),
        }

    def problems(self) -> list[str]:
        """What people must know before they believe the state: a sentence for each component that fails."""
        return [f"{name}: {why}" for name, why in self.known().items() if why]

    async def _journal(self) -> str:
        """Commit as a webhook does. A file system that went read-only still reads, and still commits nothing."""
        if why := self._context.journal.broken or self._context.journal.damaged:
            return why
        try:
            await self._probe(PROBE_AGE_S)
        except JournalError as error:
            return str(error)
        return ""

    def _policy(self) -> str:
        box = self._context.box
        if why := box.problem or self._context.faults.said("policy"):
            return why
        return "" if box.policies.in_force else "no policies are in force, so no alert freezes anything"

    def _disk(self) -> str:
        try:
            free = shutil.disk_usage(self.state_dir).free
        except OSError as error:
            return f"the state directory is lost: {error.strerror}"
        return "" if free >= DISK_MIN_BYTES else f"only {free} bytes free on the disk of the journal"

    def _usage(self) -> dict[str, int] | None:
        """Free and total bytes; None if the state directory is lost."""
        try:
            usage = shutil.disk_usage(self.state_dir)
        except OSError:
            return None
        return {"free_bytes": usage.free, "total_bytes": usage.total}

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
