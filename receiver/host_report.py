"""What the receiver shows of hosts that share its journal: as plain data for JSON, and as problems for people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from receiver.decide import hosts
from receiver.decide.hosts import HostFlag, HostState, Sharing
from receiver.decide.model import stamp_ms


def by_service(flags: Iterable[HostFlag]) -> dict[str, list[HostFlag]]:
    """The flags of each service."""
    return _grouped(flags, lambda one: one.service)


def _grouped(flags: Iterable[HostFlag], key: Callable[[HostFlag], str]) -> dict[str, list[HostFlag]]:
    found: dict[str, list[HostFlag]] = {}
    for one in flags:
        found.setdefault(key(one), []).append(one)
    return found


def hosts_json(flags: Iterable[HostFlag], sharing: Sharing | None) -> list[dict[str, Any]]:
    """What each host said of these flags; nothing if there is one host only."""
    if sharing is None:
        return []
    return [
        {
            "host": one.host,
            "service": one.service,
            "flag": one.path,
            "state": one.state.value,
            "since": stamp_ms(one.changed_at),
            "error": one.error or None,
            "receiver": "running" if one.is_live(sharing) else "lost" if one.seen_at else "stopped",
            "last_seen": stamp_ms(one.seen_at) if one.seen_at and not one.is_live(sharing) else None,
        }
        for one in hosts.of_several(flags)
    ]


def problems_of_hosts(flags: Iterable[HostFlag], held: Collection[str], sharing: Sharing) -> list[str]:
    """Which hosts do not have a flag that they should have, or keep a flag that should be gone."""
    return [
        said
        for path, of_path in sorted(_grouped(flags, lambda one: one.path).items())
        for said in hosts.problems(of_path, wanted_state(path, held), sharing)
    ]


def wanted_state(path: str, held: Collection[str]) -> HostState:
    """In which state a flag should be on every host. `held` are the flags with a reason in force."""
    return HostState.FROZEN if path in held else HostState.UNFROZEN
