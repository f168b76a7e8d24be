"""The page of the receiver itself: its health, its policies, the last webhook, and the drills. Asks nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from receiver.context import Context
from receiver.http.hearing import Hearing
from receiver.http.page.measures import Measured
from receiver.http.page.services import said
from receiver.http.page.words import Instant, instant, lasted
from receiver.links import service_page
from receiver.plaintext import plain

DRILLS_SHOWN = 20
DRILLS_READ_BYTES = 256 * 1024


class Health(Protocol):
    """What the page needs of `receiver.http.health`."""

    hearing: Hearing
    state_dir: Path
    version: str

    @property
    def checks(self) -> Mapping[str, Any]:
        """Checks of dependencies, by name: `prometheus`, `alertmanager URL`."""
        ...

    def known(self) -> dict[str, str]:
        """What was wrong with each component when somebody last looked."""
        ...

    def problems(self) -> list[str]:
        """What people must know before they believe the page."""
        ...

    def resources(self) -> dict[str, Any]:
        """Memory, disk and response times."""
        ...


class Part(Struct, frozen=True, kw_only=True):
    """One part of the receiver, or one dependency. `why` is "" while all is well."""

    name: str
    why: str


class InForce(Struct, frozen=True, kw_only=True):
    """One policy in force."""

    name: str
    service: str
    service_path: str
    spec: str
    sha256: str
    rules: int


class Drill(Struct, frozen=True, kw_only=True):
    """One rehearsal."""

    kind: str
    ended: str
    ok: bool
    took: str
    runs: str


class System(Struct, frozen=True, kw_only=True):
    """The receiver."""

    version: str
    parts: tuple[Part, ...]
    prometheus: str
    heard: Instant | None
    watchdog: Instant | None
    refused: int
    started: Instant
    policies: tuple[InForce, ...]
    drills: tuple[Drill, ...]
    memory: str
    disk: str
    times: str
    decisions: int


async def system(context: Context, health: Health, measured: Measured) -> System:
    """Arrange what is known, without waiting for any dependency."""
    now, hearing, resources = context.clock(), health.hearing, health.resources()
    drills = await asyncio.to_thread(_drills, health.state_dir / "rehearsals.jsonl")
    return System(
        version=health.version,
        parts=(
            *(Part(name=name.replace("_", " "), why=why) for name, why in health.known().items()),
            *_alertmanagers(context, health),
        ),
        prometheus=said(measured, now),
        heard=instant(hearing.heard_at, now) if hearing.heard_at else None,
        watchdog=instant(hearing.watchdog_at, now) if hearing.watchdog_at else None,
        refused=hearing.refused,
        started=instant(hearing.started_at, now),
        policies=tuple(
            InForce(
                name=one.name,
                service=one.service,
                service_path=service_page(one.service),
                spec=one.spec,
                sha256=one.sha256[:12],
                rules=len(one.rules),
            )
            for one in context.box.policies.in_force
        ),
        drills=drills,
        memory=_bytes(resources["memory"]["resident_bytes"]),
        disk=_disk(resources["disk"]),
        times=_times(resources["response_times"]),
        decisions=context.journal.head,
    )


def _alertmanagers(context: Context, health: Health) -> Iterator[Part]:
    """Each Alertmanager as the last comparison found it. A receiver that does not lead compares nothing."""
    faults = context.faults.of("alertmanager")
    for name in health.checks if context.leading.holds() else ():
        kind, _, url = name.partition(" ")
        if kind == "alertmanager":
            yield Part(name=f"Alertmanager {url}", why=faults[url].why if url in faults else "")


def _drills(path: Path) -> tuple[Drill, ...]:
    """The newest rehearsals, newest first. Lines that make no sense are left out."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - DRILLS_READ_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    found = [drill for line in reversed(lines) if (drill := _drill(line)) is not None]
    return tuple(found[:DRILLS_SHOWN])


def _drill(line: str) -> Drill | None:
    try:
        raw = json.loads(line)
        ended = datetime.fromisoformat(raw["ended_at"])
        took = ended - datetime.fromisoformat(raw["started_at"])
        return Drill(
            kind=plain(str(raw["kind"]), 80),
            ended=ended.strftime("%Y-%m-%d %H:%M"),
            ok=raw.get("ok") is True,
            took=lasted(took) if took >= timedelta(0) else "",
            runs=plain(str(raw.get("runs", "")), 20),
        )
    except (ValueError, LookupError, TypeError):
        return None


def _bytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 1048576:.0f} MiB"


def _disk(found: Mapping[str, int] | None) -> str:
    if found is None:
        return "the state directory is lost"
    return f"{found['free_bytes'] / 2**30:.1f} GiB free of {found['total_bytes'] / 2**30:.1f} GiB"


def _times(found: Mapping[str, float | int]) -> str:
    if "p50_ms" not in found:
        return "no requests yet"
    return f"median {found['p50_ms']:.1f} ms, 95th percentile {found['p95_ms']:.1f} ms of {found['requests']} requests"
