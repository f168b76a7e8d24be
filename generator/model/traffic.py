"""How a rollout moves traffic: the values of `canary.traffic`."""

from __future__ import annotations

from msgspec import Struct


class Haproxy(Struct, frozen=True, kw_only=True):
    """Traffic by server weights through HAProxy's runtime socket."""

    socket: str
    backend: str
    stable: str
    canary: str


class TrafficCommands(Struct, frozen=True, kw_only=True):
    """Traffic by two commands. `set` gets the percentage as its last argument; `read` prints the percentage."""

    set: tuple[str, ...]
    read: tuple[str, ...]
    timeout_ms: int
