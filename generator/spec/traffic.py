"""Reads `canary.traffic`: how a rollout moves traffic between two releases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from generator.model.traffic import ChosenUsers, Haproxy, RenderedFile, Traffic, TrafficCommands
from generator.reading.reader import Reader, as_name
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
        stable=_servers(reader, "stable"),
        canary=_servers(reader, "canary"),
        users=users,
    )
    both = (*adapter.stable, *adapter.canary)
    if len(set(both)) < len(both):
        twice = next(name for name in both if both.count(name) > 1)
        same = twice in adapter.stable and twice in adapter.canary
        said = "`stable` and `canary` name the same server" if same else "`stable` and `canary` name a server twice"
        hint = "write each server once, such as `stable: v1` and `canary: v2`, or `canary: [v2a, v2b]`"
        reader.fail("canary/traffic", f"{said}: {twice}", hint, key="canary" if twice in adapter.canary else "stable")
    return adapter


def _servers(reader: Reader, key: str) -> tuple[str, ...]:
    """The servers of one side: a name, or a list of names. Bad names are reported."""
    value = reader.required_value(key)
    if value is None:
        return ()
    if not isinstance(value.content, tuple):
        name = reader.name(key)
        return (name,) if name else ()
    if not value.content:
        reader.fail("canary/traffic", f"{reader.path(key)} names no server", f"write `{key}: [v2a, v2b]`", key=key)
    found = []
    for item in value.content:
        try:
            found.append(as_name(item))
        except ValueError as error:
            message, _, hint = str(error).partition("\n")
            reader.problems.add("spec/type", item.position, f"{reader.path(key)}: {message}", hint)
    return tuple(found)


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
