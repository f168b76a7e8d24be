"""The policy's `actions`. Defaults are written out: the receiver has none of its own."""

from __future__ import annotations

from collections.abc import Mapping

from generator.model.actions import (
    LEGACY_TIMEOUT_MS,
    Action,
    FreezeAction,
    LegacyFile,
    NotifyAction,
    RollbackAction,
    SwitchAction,
)
from generator.render.policy.policy_values import command, seconds


def render(action: Action) -> dict[str, object]:
    """One action as JSON data."""
    match action:
        case FreezeAction():
            return _freeze(action)
        case RollbackAction():
            return _rollback(action)
        case SwitchAction():
            switch = {"type": "switch", "file": action.file, "flag": action.feature_flag, "variant": action.variant}
            return switch | ({"everyone": True} if action.everyone else {})
        case NotifyAction():
            told: dict[str, object] = {"type": "notify", "channels": list(action.channels)}
            told |= {"fallback": list(action.fallback)} if action.fallback else {}
            return told | ({"events": list(action.events)} if action.events else {})


def _freeze(action: FreezeAction) -> dict[str, object]:
    legacy: list[Mapping[str, object]] = [
        {"file": one.file, "text": one.text}
        if isinstance(one, LegacyFile)
        else {"on": list(one.on), "off": list(one.off), "timeout_s": seconds(one.timeout_ms or LEGACY_TIMEOUT_MS)}
        for one in action.legacy
    ]
    return {"type": "freeze", "flag": action.flag} | ({"legacy": legacy} if legacy else {})


def _rollback(action: RollbackAction) -> dict[str, object]:
    found: dict[str, object] = {"type": "rollback", "command": list(action.command.argv)}
    found |= {"cwd": action.cwd} if action.cwd else {}
    found |= {"env": dict(action.env)} if action.env else {}
    found |= {
        "timeout_s": seconds(action.command.timeout_ms),
        "grace_s": seconds(action.grace_ms),
        "output_max_bytes": action.output_max_bytes,
    }
    if action.verify is not None:
        verify = action.verify
        found["verify"] = command(verify.command) | {"done": list(verify.done), "not_done": list(verify.not_done)}
    if action.release is not None:
        found["release"] = command(action.release)
    found |= {
        "once_per": action.once_per,
        "cooldown_s": seconds(action.cooldown_ms),
        "max_per_day": action.max_per_day,
    }
    if action.undo is not None:
        undo = action.undo
        found["undo"] = {"within_s": seconds(undo.within_ms)} | (
            {"command": list(undo.command), "timeout_s": seconds(undo.timeout_ms)} if undo.command else {}
        )
    return found
