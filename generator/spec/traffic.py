"""Reads `canary.traffic`: how a rollout moves traffic between two releases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from generator.model.traffic import ChosenUsers, Haproxy, RenderedFile, Traffic, TrafficCommands
from generator.reading.reader import Reader
from generator.spec.command import read_argv, read_path
from generator.units import SECOND

TRAFFIC_TIMEOUT_MS = 10 * SECOND
USER = re.compile(r"[A-Za-z0-9_.@:+=/-]{1,128}")
"""What a chosen user may look like: nothing that ends a command of HAProxy, or a text in a proxy's file."""


def parse(reader: Reader) -> Traffic | None:
    """The adapter under `traffic`. None without `traffic`, or after a problem."""
    outer = reader.mapping("traffic")
    if outer is None:
        return None
    written = {name: inner for name in _ADAPTERS if (inner := outer.mapping(name)) is not None}
    outer.finish()
    if len(written) != 1:
        known = ", ".join(f"`{name}: {{…}}`" for name in _ADAPTERS)
        outer.fail("canary/traffic", f"{outer.what} needs exactly one adapter", f"write one of {known}")
    found = None
    for name, inner in written.items():
        found = _ADAPTERS[name](inner)
        inner.finish()
    return found


def _haproxy(reader: Reader) -> Haproxy:
    inner = reader.mapping("users")
    users = None
    if inner is not None:
        users = ChosenUsers(map=read_path(inner, "map"), values=_users(inner, "values"))
        inner.finish()
    adapter = Haproxy(
        socket=read_path(reader, "socket"),
        backend=reader.name("backend"),
        stable=reader.name("stable"),
        canary=reader.name("canary"),
        users=users,
    )
    if adapter.stable and adapter.stable == adapter.canary:
        reader.fail(
            "canary/traffic",
            "`stable` and `canary` name the same server",
            "write two server names, such as `stable: v1` and `canary: v2`",
            key="canary",
        )
    return adapter


def _file(reader: Reader) -> RenderedFile:
    return RenderedFile(
        template=read_path(reader, "template"),
        file=read_path(reader, "file"),
        reload=read_argv(reader, "reload"),
        read=read_argv(reader, "read"),
        cut=read_argv(reader, "cut") if reader.has("cut") else (),
        users=_users(reader, "users") if reader.has("users") else (),
        timeout_ms=reader.duration_ms("timeout", TRAFFIC_TIMEOUT_MS),
    )


def _users(reader: Reader, key: str) -> tuple[str, ...]:
    """Users by the value of their header. Bad and repeated values are reported."""
    found = reader.texts(key)
    if not found:
        reader.fail("canary/users", f"{reader.what}.{key} names no user", f"write `{key}: [alice]`", key=key)
    for user in found:
        if not USER.fullmatch(user):
            hint = "use letters, digits and `_.@:+=/-`, at most 128 characters"
            reader.fail("canary/users", f"{reader.what}.{key}: {user!r} cannot be a user", hint, key=key)
    if len(set(found)) != len(found):
        reader.fail("canary/users", f"{reader.what}.{key} names a user twice", "write each user once", key=key)
    return found


def _commands(reader: Reader) -> TrafficCommands:
    timeout_ms = reader.duration_ms("timeout", TRAFFIC_TIMEOUT_MS)
    return TrafficCommands(set=read_argv(reader, "set"), read=read_argv(reader, "read"), timeout_ms=timeout_ms)


_ADAPTERS: Mapping[str, Callable[[Reader], Traffic]] = {"haproxy": _haproxy, "file": _file, "commands": _commands}
