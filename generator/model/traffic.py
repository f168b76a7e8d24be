"""How a rollout moves traffic: the values of `canary.traffic`."""

from __future__ import annotations

from msgspec import Struct


class ChosenUsers(Struct, frozen=True, kw_only=True):
    """Users who get the canary whatever its weight: the keys of a map of HAProxy."""

    map: str
    values: tuple[str, ...]


class Haproxy(Struct, frozen=True, kw_only=True):
    """Traffic by server weights through HAProxy's runtime socket. `stable` and `canary` are the servers of a side."""

    socket: str
    backend: str
    stable: tuple[str, ...]
    canary: tuple[str, ...]
    users: ChosenUsers | None = None


class RenderedFile(Struct, frozen=True, kw_only=True):
    """Traffic by a file that a proxy reads. `read` prints the percentage that the running proxy uses.

    `cut` ends the canary's connections after the weight is 0. `users` are for the template.
    """

    template: str
    file: str
    reload: tuple[str, ...]
    read: tuple[str, ...]
    cut: tuple[str, ...]
    users: tuple[str, ...]
    timeout_ms: int


class TrafficCommands(Struct, frozen=True, kw_only=True):
    """Traffic by two commands. `set` gets the percentage as its last argument; `read` prints the percentage."""

    set: tuple[str, ...]
    read: tuple[str, ...]
    timeout_ms: int


Traffic = Haproxy | RenderedFile | TrafficCommands
