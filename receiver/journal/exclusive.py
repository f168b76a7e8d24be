"""What the journal's writer keeps in memory from one transaction to the next, and when it may keep anything.

A receiver that alone writes its journal need not ask the database for its own last words. `Exclusive` keeps them.
`Shared` is for a journal that other processes write as well. Each transaction of `Shared` takes the database's write
lock before its first question and begins with nothing in memory. The lock keeps every answer true until the commit.
`Shared` also notices the commits of others, so that the receiver's loops wake up.

`journal.exclusive` in receiver.yaml chooses. Nothing else in the receiver asks which of the two is in use.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from receiver.decide.model import Alert, Episode, Seen
from receiver.journal.deliveries import Deliveries, RememberedDeliveries
from receiver.journal.last_seen import WRITTEN_EVERY, LastSeen
from receiver.journal.store import Connection, Store
from receiver.policy.model import Policies

REMEMBERED_MAX = 20_000
"""Alerts that are kept in memory; past this number everything is forgotten."""

LOOK_EVERY_S = 0.5
"""How often an idle writer of a shared journal looks for commits of others."""

AT_ONCE = timedelta(0)

Facts = tuple[Seen | None, list[Episode]]
"""What the planner knows of one alert. Two facts are the same only if their objects are the same."""


class Quiet:
    """Alerts whose last message changed nothing. The planner is pure: the same facts change nothing again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Policies, Facts]] = {}

    def remember(self, fingerprint: str, policies: Policies, facts: Facts) -> None:
        """An alert's message has just changed nothing."""
        if len(self._known) > REMEMBERED_MAX:
            self._known.clear()
        self._known[fingerprint] = (policies, facts)

    def recall(self, fingerprint: str, policies: Policies) -> Facts | None:
        """The facts with which an alert's message changed nothing under these policies."""
        known = self._known.get(fingerprint)
        return known[1] if known is not None and known[0] is policies else None

    def forget(self) -> None:
        """Forget every alert."""
        self._known.clear()


def repeats(alert: Alert, seen: Seen | None) -> bool:
    """Whether a message says nothing but what was last seen of its alert."""
    return (
        seen is not None
        and seen.status is alert.status
        and seen.starts_at == alert.starts_at
        and (alert.ends_at is None or seen.ends_at == alert.ends_at)
        and seen.labels == alert.labels
    )


class Caches(Protocol):
    """The writer's memory. Within one transaction both kinds work alike; they differ in what outlives a commit."""

    seen: dict[str, Seen | None]
    episodes: dict[str, list[Episode]]
    last_seen: LastSeen
    deliveries: Deliveries
    quiet: Quiet
    waits: bool | None
    """Whether any alert waits for a later transaction; None where the database has to be asked."""

    @property
    def several(self) -> bool:
        """Whether several receivers share the journal, each on a host of its own."""

    @property
    def leader(self) -> str:
        """The receiver that led when the open transaction began."""

    def begin(self) -> None:
        """A transaction begins. Raises an error of the store."""

    def ending(self, head: tuple[int, str] | None, *, acted: bool) -> None:
        """A transaction is about to be committed; `head` is its last decision. Raises an error of the store."""

    def forget(self) -> None:
        """A transaction was undone: whatever it left in memory may be untrue."""

    def others_wrote(self) -> bool:
        """Whether another process has committed since the last call. Raises an error of the store."""

    @property
    def patience_s(self) -> float | None:
        """How long the writer may wait for work before it does its other duties; None: as long as no work comes."""


class Exclusive:
    """Nobody else writes the journal: what one transaction left is what the next one finds.

    Not read again are an alert's last state and newest episodes, and the hashes and numbers of the newest bodies. The
    same holds for alerts whose messages change nothing, and for whether any alert waits. The times of exact repeats
    reach the disk every `written_every`.
    """

    def __init__(self, connection: Connection, *, written_every: timedelta = WRITTEN_EVERY) -> None:
        self.seen: dict[str, Seen | None] = {}
        self.episodes: dict[str, list[Episode]] = {}
        self.last_seen = LastSeen(written_every)
        self.deliveries: Deliveries = RememberedDeliveries(connection)
        self.quiet = Quiet()
        self.waits: bool | None = None

    leader = ""
    several = False

    def begin(self) -> None:
        """Keep everything, unless there is too much."""
        if len(self.seen) > REMEMBERED_MAX or len(self.episodes) > REMEMBERED_MAX:
            self.forget()

    def forget(self) -> None:
        """Keep only the times of repeats that are owed to the disk: their senders have had their answer."""
        self.seen.clear()
        self.episodes.clear()
        self.quiet.forget()
        self.waits = None
        self.last_seen.forget()
        self.deliveries.forget()

    def ending(self, head: tuple[int, str] | None, *, acted: bool) -> None:
        """Nobody else needs to know."""

    def others_wrote(self) -> bool:
        """Nobody does."""
        return False

    @property
    def patience_s(self) -> float | None:
        """Until the times of repeats are to be written."""
        return WRITTEN_EVERY.total_seconds() if self.last_seen.owes else None


class Shared:
    """Other processes write the journal too: nothing is believed from an earlier transaction."""

    def __init__(self, connection: Connection, store: Store) -> None:
        self._db = connection
        self._store = store
        self._version = store.version(connection)
        self.seen: dict[str, Seen | None] = {}
        self.episodes: dict[str, list[Episode]] = {}
        self.last_seen = LastSeen(AT_ONCE)
        self.deliveries = Deliveries(connection)
        self.quiet = Quiet()
        self.waits: bool | None = None

    @property
    def several(self) -> bool:
        """As the store says."""
        return self._store.several

    @property
    def leader(self) -> str:
        """The store has read this with the lock."""
        return self._store.leader

    def begin(self) -> None:
        """Keep others from writing until the commit; then nothing that is read can grow old."""
        self._store.begin_alone(self._db)
        self.forget()

    def ending(self, head: tuple[int, str] | None, *, acted: bool) -> None:
        """Let other receivers see that something changed."""
        self._store.ending(self._db, head, acted=acted)

    def forget(self) -> None:
        """Forget everything. No time of a repeat is owed: each was written with its delivery or failed with it."""
        self.seen.clear()
        self.episodes.clear()
        self.quiet.forget()
        self.waits = None
        self.last_seen = LastSeen(AT_ONCE)
        self.deliveries.forget()

    def others_wrote(self) -> bool:
        """The store counts the commits of other writers."""
        before, self._version = self._version, self._store.version(self._db)
        return self._version != before

    @property
    def patience_s(self) -> float | None:
        """Until the next look for commits of others."""
        return LOOK_EVERY_S


def caches(connection: Connection, store: Store, *, written_every: timedelta = WRITTEN_EVERY) -> Caches:
    """The memory for a journal that this process writes alone, or that others write as well."""
    return Exclusive(connection, written_every=written_every) if store.exclusive else Shared(connection, store)
