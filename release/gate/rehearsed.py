"""`rehearsed`: the last rehearsal of a kind succeeded, is fresh, and kept its limits.

The history is a file of JSON lines, one for each rehearsal that ended. A line counts only for this service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from receiver.plaintext import plain
from release.gate.answer import Finding
from release.gate.world import CLOCKS_DIFFER_S, EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import Rehearsed

LIMITS = (
    ("rto_s", "rto_at_most_s", "recovery took"),
    ("rpo_s", "rpo_at_most_s", "lost"),
    ("deploy_s", "deploy_at_most_s", "deploy took"),
    ("rollback_s", "rollback_at_most_s", "rollback took"),
)


async def check(check: Rehearsed, world: World) -> Finding:
    """Judge the newest rehearsal of this kind."""
    threshold = f"a {check.rehearsal} rehearsal within {check.max_age_s / 86400:g} d"
    source = str(world.rehearsals or "rehearsals")
    try:
        last = _last(check, world)
    except EvidenceError as error:
        return cannot_tell(check.id, source, str(error), threshold=threshold)
    if last is None:
        return no_go(check.id, source, f"no {check.rehearsal} rehearsal of {world.policy.service}", threshold=threshold)
    value = plain(str(last["ended_at"]), 40)
    wrong = _faults(check, last, world)
    if wrong:
        return no_go(check.id, source, "; ".join(wrong), value=value, threshold=threshold)
    return go(check.id, source, f"rehearsed at {value}", value=value, threshold=threshold)


def _faults(check: Rehearsed, last: Mapping[str, Any], world: World) -> list[str]:
    found = []
    age_s = _age_s(last, world)
    if age_s > check.max_age_s:
        found.append(f"the last {check.rehearsal} rehearsal is {age_s / 86400:.1f} d old")
    if last.get("ok") is not True:
        found.append(f"the last {check.rehearsal} rehearsal failed")
    for member, limit, what in LIMITS:
        at_most_s = getattr(check, limit)
        if at_most_s is None:
            continue
        took = last.get(member)
        if not isinstance(took, int | float) or isinstance(took, bool) or not took >= 0:
            found.append(f"the rehearsal did not measure {member}")
        elif took > at_most_s:
            found.append(f"{what} {took:g} s, more than {at_most_s:g} s")
    if check.integrity and last.get("integrity") is not True:
        found.append("the rehearsal did not prove the integrity of what was restored")
    return found


def _age_s(rehearsal: Mapping[str, Any], world: World) -> float:
    return (world.now - datetime.fromisoformat(rehearsal["ended_at"])).total_seconds()


def _last(check: Rehearsed, world: World) -> Mapping[str, Any] | None:
    if world.rehearsals is None:
        raise EvidenceError("no history of rehearsals was named")
    lines = tuple(_lines(world.read(str(world.rehearsals.absolute()))))
    future = [one for one in lines if _age_s(one, world) < -CLOCKS_DIFFER_S]
    if future:
        raise EvidenceError(f"the history has a rehearsal of the future: {plain(str(future[0]['ended_at']), 40)}")
    ended = [one for one in lines if one["kind"] == check.rehearsal and one["service"] == world.policy.service]
    return max(ended, key=lambda one: datetime.fromisoformat(one["ended_at"]), default=None)


def _lines(data: bytes) -> Iterator[Mapping[str, Any]]:
    """The rehearsals of the history. A last line without its end was cut off by a crash, and does not count."""
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            one = json.loads(line)
            ended_at = datetime.fromisoformat(one["ended_at"])
            whole = ended_at.tzinfo is not None and {"kind", "service"} <= set(one)
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceError(f"line {number} of the history is no rehearsal") from error
        if not whole:
            raise EvidenceError(f"line {number} of the history is no rehearsal")
        yield one
