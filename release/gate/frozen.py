"""`not-frozen`: no freeze flag of the service exists, and a receiver watches.

The file's existence is the freeze, whatever is in the file. Without a flag, a fresh heartbeat beside the flag tells
"not frozen" from "no receiver watches".
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from receiver.plaintext import plain
from receiver.policy.model import FreezeAction
from release.gate.answer import Finding, Verdict, is_optional
from release.gate.world import AskReceiver, EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import NotFrozen

HEARTBEAT = "FREEZE.HEARTBEAT"
HEARTBEAT_MAX_AGE_S = 30.0
HEARTBEAT_MAX_BYTES = 1024 * 1024


async def check(check: NotFrozen, world: World) -> Finding:
    """Look at each flag of the policy, and ask the receiver.

    Any freeze wins. Then a required source that is not readable wins, and only then any source that says "not frozen".
    """
    flags = [action.flag for action in world.policy.actions.values() if isinstance(action, FreezeAction)]
    found = [_look(check.id, Path(flag), world) for flag in flags]
    if world.receiver is not None:
        found.append(await _ask(check.id, world.receiver, world))
    elif world.sources.get("receiver") == "required":
        found.append(cannot_tell(check.id, "receiver", "the policy requires the receiver: name the receiver by --url"))
    if not found:
        return cannot_tell(check.id, "flag", "the policy has no flag, and no receiver was named")
    return min(found, key=lambda one: _order(one, world))


def _order(finding: Finding, world: World) -> int:
    if finding.verdict is Verdict.CANNOT_TELL:
        return 3 if is_optional(finding, world.sources) else 1
    return 0 if finding.verdict is Verdict.NO_GO else 2


def _look(check_id: str, flag: Path, world: World) -> Finding:
    try:
        flag.lstat()
    except FileNotFoundError:
        return _heartbeat(check_id, flag, world)
    except OSError as error:
        return cannot_tell(check_id, "flag", f"{flag} cannot be looked at: {error.strerror}")
    return no_go(check_id, "flag", f"{flag} exists{_reasons(flag)}", value="frozen", threshold="not frozen")


def _reasons(flag: Path) -> str:
    """Why the service is frozen, where the flag says so in our format; the flag counts all the same."""
    try:
        content = json.loads(flag.read_bytes())
        said = "; ".join(str(one["reason"]) for one in content["reasons"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return plain(f": {said}", 500) if said else ""


def _heartbeat(check_id: str, flag: Path, world: World) -> Finding:
    path = flag.parent / HEARTBEAT
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(HEARTBEAT_MAX_BYTES))
        age_s = (world.now - datetime.fromisoformat(content["at"])).total_seconds()
        policies = content["policies"]
    except FileNotFoundError:
        return cannot_tell(check_id, "flag", f"there is no heartbeat beside {flag}, so no receiver watches")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return cannot_tell(check_id, "flag", plain(f"{path} cannot be read: {error}", 300))
    if not abs(age_s) <= HEARTBEAT_MAX_AGE_S:
        return cannot_tell(
            check_id, "flag", f"the heartbeat beside {flag} is {age_s:.0f} s old, so no receiver watches"
        )
    if not isinstance(policies, dict) or world.policy.name not in policies:
        return cannot_tell(check_id, "flag", f"the receiver does not act by the policy {world.policy.name}")
    return go(check_id, "flag", "not frozen, and a receiver watches", value="not frozen", threshold="not frozen")


async def _ask(check_id: str, receiver: AskReceiver, world: World) -> Finding:
    try:
        state = await receiver()
        services: list[dict[str, Any]] = [one for one in state["services"] if one["service"] == world.policy.service]
        frozen = [one for one in services if one["frozen"]]
    except EvidenceError as error:
        return cannot_tell(check_id, "receiver", str(error))
    except (KeyError, TypeError):
        return cannot_tell(check_id, "receiver", "the receiver's answer does not say what is frozen")
    if frozen:
        said = "; ".join(str(reason.get("reason", "")) for one in frozen for reason in one.get("reasons", ()))
        return no_go(check_id, "receiver", plain(f"the receiver says frozen: {said}", 500), value="frozen")
    if not services:
        return cannot_tell(check_id, "receiver", f"the receiver has no policy of {world.policy.service}")
    return go(check_id, "receiver", "the receiver says not frozen", value="not frozen", threshold="not frozen")
