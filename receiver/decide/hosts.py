"""Which hosts have a freeze flag: who must write it, who has, who could not, and whose receiver is gone. Pure.

Of several receivers with one journal, each writes the flags of its own host, and notes in the journal that it did. The
host counts, not the receiver: a receiver that starts again has a new name, and its host is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from receiver.decide.notice import Event
from receiver.plaintext import plain

WAIT = timedelta(seconds=5)
"""The longest that a notice waits for hosts that have not said yet whether they have the flag."""

FORGOTTEN_AFTER = timedelta(days=7)
"""How long a host is named after its receiver was last seen."""

NAMED_MAX = 5
"""The most hosts that one sentence names."""

ERROR_MAX = 80
"""The most characters of an error in a sentence."""


class HostState(StrEnum):
    """What a host last said about a flag. `unfreezing`: the flag is there, and its freeze has ended."""

    FROZEN = "frozen"
    UNFREEZING = "unfreezing"
    UNFROZEN = "unfrozen"


class HostFlag(Struct, frozen=True, kw_only=True):
    """One flag on one host (`flag_on_host`). `error` says why the flag could not be written or removed.

    `guards`: a policy of the host's receiver names the flag. `seen_at` is the last sign of any receiver of the host,
    `unseen_s` ago. Both are None after every receiver of the host was stopped in the ordinary way.
    """

    host: str
    path: str
    service: str
    guards: bool
    state: HostState
    changed_at: datetime
    error: str = ""
    seen_at: datetime | None = None
    unseen_s: float | None = None

    @property
    def has_flag(self) -> bool:
        """Whether the host last had the flag."""
        return self.state is not HostState.UNFROZEN

    def is_live(self, sharing: Sharing) -> bool:
        """Whether a receiver of the host gave a sign within the lease."""
        return self.unseen_s is not None and self.unseen_s <= sharing.lease_s

    def is_as(self, wanted: HostState, sharing: Sharing) -> bool:
        """Whether the host is in this state. Where no receiver lives, the flag is as the last one left it."""
        if self.is_live(sharing):
            return self.state is wanted
        return self.has_flag is (wanted is HostState.FROZEN)


class Sharing(Struct, frozen=True, kw_only=True):
    """How receivers that share a journal are judged now: a receiver unseen for longer than the lease is dead."""

    lease_s: float
    now: datetime


class AboutHosts(Struct, frozen=True, kw_only=True):
    """A notice tells of the hosts of a flag, and waits for them until `due_at`; None: nobody is waited for."""

    flag: str
    due_at: datetime | None = None


WANTED = {
    Event.FROZEN: HostState.FROZEN,
    Event.FREEZE_FAILED: HostState.FROZEN,
    Event.UNFROZEN: HostState.UNFROZEN,
    Event.UNFREEZE_FAILED: HostState.UNFROZEN,
}
"""The events whose notices tell of hosts, each with the state in which every host should be."""


REMINDERS = frozenset({Event.STATUS, Event.RENEWED})
"""The events of a long freeze. Their notices name the hosts that are still not frozen."""


def known(flags: Iterable[HostFlag]) -> list[HostFlag]:
    """The hosts that matter for their flags, by name.

    A host matters while its receiver guards the flag, and as long as the host has the flag. A host whose receiver was
    last seen long ago is forgotten.
    """
    forgotten_s = FORGOTTEN_AFTER.total_seconds()
    found = [
        one
        for one in flags
        if one.has_flag or (one.guards and one.unseen_s is not None)
        if (one.unseen_s or 0) < forgotten_s
    ]
    return sorted(found, key=lambda one: (one.host, one.path))


def of_several(flags: Iterable[HostFlag]) -> list[HostFlag]:
    """As `known`; none if there is only one host, of which nobody needs to be told."""
    found = known(flags)
    return found if len({one.host for one in found}) > 1 else []


def waited_for(flags: Iterable[HostFlag], wanted: HostState, sharing: Sharing) -> list[str]:
    """The live hosts that guard a flag and have said neither that they are in this state, nor why not."""
    return [
        one.host
        for one in known(flags)
        if one.guards and one.is_live(sharing) and one.state is not wanted and not one.error
    ]


def unmet(flags: Iterable[HostFlag], held: Iterable[str], sharing: Sharing) -> frozenset[str]:
    """The flags among `held` that a live host should have written and has not."""
    frozen = {*held}
    return frozenset(
        one.path
        for one in known(flags)
        if one.path in frozen and one.guards and one.is_live(sharing) and one.state is not HostState.FROZEN
    )


def problems(flags: Iterable[HostFlag], wanted: HostState, sharing: Sharing) -> list[str]:
    """A sentence for each host that is not in the wanted state, worst first: a live host that failed, a dead one.

    A host whose receiver was stopped in the ordinary way is named only if it keeps a flag that should be gone.
    """
    wrong = [one for one in of_several(flags) if not one.is_as(wanted, sharing)]
    live = [_failed(one, wanted) for one in wrong if one.is_live(sharing) and (one.guards or one.error)]
    gone = [
        _gone(one, wanted, sharing.now)
        for one in wrong
        if not one.is_live(sharing) and (one.seen_at is not None or wanted is HostState.UNFROZEN)
    ]
    return _listed([*live, *gone])


def done(flags: Iterable[HostFlag], wanted: HostState, sharing: Sharing) -> str:
    """Which hosts are in the wanted state, in one sentence; "" if there is only one host, or none is."""
    hosts = list(dict.fromkeys(one.host for one in of_several(flags) if one.is_as(wanted, sharing)))
    return f"{'Frozen' if wanted is HostState.FROZEN else 'Unfrozen'} on {_names(hosts)}" if hosts else ""


def _failed(one: HostFlag, wanted: HostState) -> str:
    if wanted is HostState.FROZEN:
        then = "shipping may go on there"
        if one.error:
            return f"{one.host} cannot write its flag ({_why(one)}): {then}"
        return f"{one.host} has not written its flag yet: {then}"
    then = "shipping stays stopped there"
    if one.error:
        return f"{one.host} cannot remove its flag ({_why(one)}): {then}"
    return f"{one.host} has not removed its flag yet: {then}"


def _why(one: HostFlag) -> str:
    return plain(one.error.removeprefix(f"{one.path}: "), ERROR_MAX)


def _gone(one: HostFlag, wanted: HostState, now: datetime) -> str:
    last = f"was last seen at {clock(one.seen_at, now)}" if one.seen_at is not None else "has no receiver now"
    if wanted is HostState.FROZEN:
        return f"{one.host} {last}: shipping may go on there"
    return f"{one.host} {last} and keeps its flag: shipping stays stopped there"


def clock(at: datetime, now: datetime) -> str:
    """A time of today as people say it, in UTC; with the day if that is another one."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return at.strftime("%H:%M UTC" if at.date() == now.date() else "%Y-%m-%d %H:%M UTC")


def _listed(sentences: Sequence[str]) -> list[str]:
    more = len(sentences) - NAMED_MAX
    return [*sentences[:NAMED_MAX], *([f"{more} more hosts are alike"] if more > 0 else [])]


def _names(hosts: Sequence[str]) -> str:
    shown = list(hosts[:NAMED_MAX])
    if len(hosts) > NAMED_MAX:
        shown.append(f"{len(hosts) - NAMED_MAX} more hosts")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
