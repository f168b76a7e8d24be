"""Reads who must say yes before a rollout goes on: `start`, `then` and `daily`."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from generator.model.canary import Approval, Ask, Daily
from generator.reading.reader import Reader

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def parse(reader: Reader) -> Ask:
    """`{gate: true}`, `{approval: manual}`, or both. Every problem is reported with its position."""
    ask = Ask(gate=reader.boolean("gate", False), approval=_parse_approval(reader))
    reader.finish()
    _check_somebody(reader, ask)
    return ask


def _check_somebody(reader: Reader, ask: Ask | Daily) -> None:
    """Report a question that nobody answers."""
    if not ask.gate and ask.approval is None:
        reader.fail(
            "canary/ask",
            f"{reader.what} asks neither the gate nor a person",
            "write `{gate: true}` or `{approval: manual}`",
        )


def _parse_approval(reader: Reader) -> Approval | None:
    """`manual`, or `{within: 24h, then: hold}`: what happens without an answer."""
    written = reader.value("approval")
    if written is None:
        return None
    if not isinstance(written.content, dict):
        reader.choice("approval", ("manual",))
        return Approval(within_ms=None, then="hold")
    inner = reader.mapping("approval", required=True)
    if inner is None:
        return None
    approval = Approval(within_ms=inner.duration_ms("within"), then=inner.choice("then", ("hold", "abort"), "hold"))
    inner.finish()
    return approval


def parse_daily(outer: Reader) -> Daily | None:
    """`daily: {at: ["08:00"], zone: UTC, gate: true}`. None without `daily`."""
    reader = outer.mapping("daily")
    if reader is None:
        return None
    at = reader.texts("at") or ("08:00",)
    for time in at:
        if not _TIME.fullmatch(time):
            reader.fail("canary/daily", f"{time!r} is not a time of day", 'write `at: ["08:00", "16:00"]`', key="at")
    zone = reader.text("zone", "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        reader.fail("canary/daily", f"no time zone {zone!r}", "write `zone: UTC` or `zone: Europe/Berlin`", key="zone")
    daily = Daily(at=tuple(sorted(at)), zone=zone, gate=reader.boolean("gate", False), approval=_parse_approval(reader))
    reader.finish()
    _check_somebody(reader, daily)
    return daily
