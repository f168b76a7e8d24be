"""`flags`: a file of feature flags holds these flags. The file is flagd's JSON, or a plain JSON object of flags."""

from __future__ import annotations

import json

from release.gate.answer import Finding
from release.gate.world import EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import Flags


async def check(check: Flags, world: World) -> Finding:
    """Every named flag is in the file."""
    threshold = ", ".join(check.present)
    try:
        known = _known(check.flag_file, world)
    except EvidenceError as error:
        return cannot_tell(check.id, check.flag_file, str(error), threshold=threshold)
    missing = [name for name in check.present if name not in known]
    if missing:
        reason = f"{check.flag_file} lacks {', '.join(missing)}"
        return no_go(check.id, check.flag_file, reason, value=f"{len(known)} flags", threshold=threshold)
    reason = f"{check.flag_file} has every flag"
    return go(check.id, check.flag_file, reason, value=f"{len(known)} flags", threshold=threshold)


def _known(name: str, world: World) -> frozenset[str]:
    try:
        content = json.loads(world.read(name))
    except ValueError as error:
        raise EvidenceError(f"{name} is not JSON") from error
    if isinstance(content, dict) and isinstance(content.get("flags"), dict):
        content = content["flags"]
    if not isinstance(content, dict):
        raise EvidenceError(f"{name} holds no flags")
    return frozenset(content)
