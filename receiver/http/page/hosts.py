"""Which hosts have a service's flags, for the page of the service. Pure."""

from __future__ import annotations

from msgspec import Struct

from receiver.decide.hosts import HostFlag, HostState, Sharing, clock, of_several
from receiver.host_report import wanted_state
from receiver.http.page.words import Instant, instant
from receiver.report import Standing


class HostRow(Struct, frozen=True, kw_only=True):
    """One flag on one host. `ok` says that the flag is there, or gone, as it should be."""

    host: str
    flag: str
    state: str
    ok: bool
    since: Instant
    why: str


def hosts_of(name: str, standing: Standing) -> tuple[HostRow, ...]:
    """Each flag of a service on each host; nothing if there is one host only, or nothing to tell of any."""
    sharing = standing.sharing
    if sharing is None:
        return ()
    found = of_several(standing.hosts.get(name, ()))
    told = any(one.has_flag or one.path in standing.held for one in found)
    return tuple(_row(one, standing, sharing) for one in found) if told else ()


def _row(one: HostFlag, standing: Standing, sharing: Sharing) -> HostRow:
    return HostRow(
        host=one.host,
        flag=one.path,
        state="frozen" if one.has_flag else "not frozen",
        ok=one.is_as(wanted_state(one.path, standing.held), sharing),
        since=instant(one.changed_at, sharing.now),
        why="; ".join(filter(None, (_receiver(one, sharing), _error(one)))),
    )


def _receiver(one: HostFlag, sharing: Sharing) -> str:
    if one.is_live(sharing):
        return ""
    return f"last seen at {clock(one.seen_at, sharing.now)}" if one.seen_at else "its receiver was stopped"


def _error(one: HostFlag) -> str:
    if not one.error:
        return ""
    return f"cannot {'remove' if one.state is HostState.UNFREEZING else 'write'} the flag: {one.error}"
