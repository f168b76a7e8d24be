"""Reads `canary.traffic`: how a rollout moves traffic between two releases."""

from __future__ import annotations

from generator.model.traffic import Haproxy, TrafficCommands
from generator.reading.reader import Reader
from generator.spec.command import read_argv, read_path
from generator.units import SECOND

TRAFFIC_TIMEOUT_MS = 10 * SECOND


def parse(reader: Reader) -> Haproxy | TrafficCommands | None:
    """The adapter under `traffic`. None without `traffic`, or after a problem."""
    outer = reader.mapping("traffic")
    if outer is None:
        return None
    haproxy, commands = outer.mapping("haproxy"), outer.mapping("commands")
    outer.finish()
    if (haproxy is None) == (commands is None):
        outer.fail(
            "canary/traffic",
            f"{outer.what} needs exactly one adapter",
            "write either `haproxy: {…}` or `commands: {…}`",
        )
    if haproxy is not None:
        adapter = Haproxy(
            socket=read_path(haproxy, "socket"),
            backend=haproxy.name("backend"),
            stable=haproxy.name("stable"),
            canary=haproxy.name("canary"),
        )
        if adapter.stable and adapter.stable == adapter.canary:
            haproxy.fail(
                "canary/traffic",
                "`stable` and `canary` name the same server",
                "write two server names, such as `stable: v1` and `canary: v2`",
                key="canary",
            )
        haproxy.finish()
        return adapter
    if commands is None:
        return None
    timeout_ms = commands.duration_ms("timeout", TRAFFIC_TIMEOUT_MS)
    found = TrafficCommands(set=read_argv(commands, "set"), read=read_argv(commands, "read"), timeout_ms=timeout_ms)
    commands.finish()
    return found
