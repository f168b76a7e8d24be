"""`rehearsed`: the last rehearsal of a kind succeeded, is fresh, and kept its limits.

The history is a file of JSON lines, one for each rehearsal that ended. A line counts only for this service, for this
spec, and for the machine that the gate judges.
"""

from __future__ import annotations

from receiver.plaintext import plain
from receiver.rehearsals import HistoryError, Rehearsal, read
from release.gate.answer import Finding
from release.gate.world import CLOCKS_DIFFER_S, EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import Rehearsed

LIMITS = (
    ("rto_s", "rto_at_most_s", "recovery took"),
    ("rpo_s", "rpo_at_most_s", "lost"),
    ("deploy_s", "deploy_at_most_s", "deploy took"),
    ("rollback_s", "rollback_at_most_s", "rollback took"),
    ("first_event_s", "first_event_at_most_s", "the first event of a stream took"),
)


async def check(check: Rehearsed, world: World) -> Finding:
    """Judge the newest rehearsal of this kind."""
    threshold = f"a {check.rehearsal} rehearsal within {check.max_age_s / 86400:g} d"
    source = str(world.rehearsals or "rehearsals")
    try:
        of_kind = _of_kind(check, world)
    except EvidenceError as error:
        return cannot_tell(check.id, source, str(error), threshold=threshold)
    counted = [one for one in of_kind if not _other(one, world)]
    if not counted:
        return no_go(check.id, source, _none_counts(check, of_kind, world), threshold=threshold)
    last = max(counted, key=lambda one: one.ended_at)
    value = last.ended_at.isoformat()
    wrong = _faults(check, last, world)
    if wrong:
        return no_go(check.id, source, "; ".join(wrong), value=value, threshold=threshold)
    return go(check.id, source, f"rehearsed at {value}", value=value, threshold=threshold)


def _none_counts(check: Rehearsed, of_kind: list[Rehearsal], world: World) -> str:
    said = f"no {check.rehearsal} rehearsal of {world.policy.service}"
    if not of_kind:
        return said
    newest = max(of_kind, key=lambda one: one.ended_at)
    return f"{said} counts: the newest is of {_other(newest, world)}"


def _other(one: Rehearsal, world: World) -> str:
    """What else than this spec and this machine a rehearsal is of; "" for a rehearsal that counts."""
    if one.spec != world.policy.spec:
        return f"another spec ({plain(one.spec, 100) or 'none named'}, not {plain(world.policy.spec, 100)})"
    if one.host != world.host:
        return f"another machine ({plain(one.host, 100) or 'none named'}, not {plain(world.host, 100)})"
    return ""


def _faults(check: Rehearsed, last: Rehearsal, world: World) -> list[str]:
    found = []
    age_s = _age_s(last, world)
    if age_s > check.max_age_s:
        found.append(f"the last {check.rehearsal} rehearsal is {age_s / 86400:.1f} d old")
    if not last.ok:
        found.append(f"the last {check.rehearsal} rehearsal failed")
    for member, limit, what in LIMITS:
        at_most_s = getattr(check, limit)
        if at_most_s is None:
            continue
        took_s = getattr(last, member)
        if took_s is None or not took_s >= 0:
            found.append(f"the rehearsal did not measure {member}")
        elif took_s > at_most_s:
            found.append(f"{what} {took_s:g} s, more than {at_most_s:g} s")
    found += _disconnected(check, last)
    if check.integrity and last.integrity is not True:
        found.append("the rehearsal did not prove the integrity of what was restored")
    return found


def _disconnected(check: Rehearsed, last: Rehearsal) -> list[str]:
    at_least = check.connected_at_least
    if at_least is None:
        return []
    if last.connected is None:
        return ["the rehearsal did not measure connected"]
    if not last.connected >= float(at_least):
        return [f"{last.connected:.1%} of the streams were answered, less than {float(at_least):.1%}"]
    return []


def _age_s(rehearsal: Rehearsal, world: World) -> float:
    return (world.now - rehearsal.ended_at).total_seconds()


def _of_kind(check: Rehearsed, world: World) -> list[Rehearsal]:
    """The rehearsals of this service and kind, of whatever spec and machine. Raises EvidenceError."""
    if world.rehearsals is None:
        raise EvidenceError("no history of rehearsals was named")
    try:
        lines = read(world.read(str(world.rehearsals.absolute())))
    except HistoryError as error:
        raise EvidenceError(str(error)) from error
    future = [one for one in lines if _age_s(one, world) < -CLOCKS_DIFFER_S]
    if future:
        raise EvidenceError(f"the history has a rehearsal of the future: {future[0].ended_at.isoformat()}")
    return [one for one in lines if one.kind == check.rehearsal and one.service == world.policy.service]
