"""Which of several receivers leads, and what each host says about its flags.

Only a journal in PostgreSQL has several receivers; times are those of its server.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from receiver.decide.hosts import HostFlag, HostState
from receiver.decide.model import Decision, stamp
from receiver.journal import rows
from receiver.journal.waiting import WaitingAlerts

_DROP_IDLE = "DELETE FROM flag_on_host WHERE guards = 0 AND state = 'unfrozen' AND host = ?"


class Leads(WaitingAlerts):
    """The part of a transaction that gives one receiver the right to act for all."""

    @property
    def several(self) -> bool:
        """Whether several receivers share this journal, each on a host of its own."""
        return self.caches.several

    @property
    def leader(self) -> str:
        """The receiver that leads, as this transaction has read; "" if nobody does."""
        return self.caches.leader

    def appear(self, *, place: str, owner: str, host: str, version: str, knows: int) -> None:
        """Note that a receiver runs at a place. `knows` is the last shape that its version knows."""
        self._run(
            "INSERT INTO receiver (place, id, host, version, knows, seen_at) VALUES (?, ?, ?, ?, ?, clock_timestamp()) "
            "ON CONFLICT (place) DO UPDATE SET id = excluded.id, host = excluded.host, version = excluded.version, "
            "knows = excluded.knows, seen_at = excluded.seen_at",
            (place, owner, host, version, knows),
        )

    def leave(self, owner: str) -> None:
        """Note that a receiver ends, and lead no longer: another receiver may lead at once.

        The receiver's host guards nothing more, unless another receiver runs there.
        """
        row = self._one("SELECT host FROM receiver WHERE id = ?", (owner,))
        self._run("DELETE FROM receiver WHERE id = ?", (owner,))
        if row is not None and self._one("SELECT 1 FROM receiver WHERE host = ? LIMIT 1", row) is None:
            self._run("UPDATE flag_on_host SET guards = 0, changed_at = ? WHERE host = ?", (self._at, *row))
            self._run(_DROP_IDLE, row)
        self._run("UPDATE chain_head SET lead_until = '-infinity' WHERE lead = ?", (owner,))

    def claim_lead(self, *, place: str, owner: str, ttl_s: float) -> bool:
        """Lead, or go on to lead, for so long. False if another receiver leads.

        An earlier run at the same place has ended, because the lock on its state directory is free.
        """
        changed = self._run(
            "UPDATE chain_head SET lead = ?1, lead_place = ?2, "
            "lead_until = clock_timestamp() + make_interval(secs => ?3), "
            "fence = CASE WHEN lead = ?1 THEN fence ELSE fence + 1 END "
            "WHERE lead_place = ?2 OR lead_until < clock_timestamp()",
            (owner, place, ttl_s),
        )
        return bool(changed)

    # flags on hosts

    def guard(self, host: str, flags: Mapping[str, str]) -> None:
        """These are the flags that the policies of a host's receiver name, each with its service."""
        before = self.flags_of_host(host)
        for path in before.keys() - flags.keys():
            self._run("UPDATE flag_on_host SET guards = 0 WHERE host = ? AND path = ?", (host, path))
        self._run(_DROP_IDLE, (host,))
        new = [
            (path, host, service, 1, HostState.UNFROZEN.value, self._at, "")
            for path, service in flags.items()
            if path not in before or not before[path].guards
        ]
        rows.send(
            self._db,
            f"INSERT INTO flag_on_host ({rows.HOST_FLAG}) VALUES {{}} "
            "ON CONFLICT (path, host) DO UPDATE SET guards = 1, service = excluded.service",
            new,
        )

    def host_has(self, flag: HostFlag, why: str = "") -> None:
        """A host's receiver says what it did to a flag of its host, or (`error`) why it could not.

        People read `why` in the decision; "" where another decision tells the same.
        """
        self.acted = True
        self._run(
            f"INSERT INTO flag_on_host ({rows.HOST_FLAG}) VALUES ({rows.marks(rows.HOST_FLAG)}) "
            "ON CONFLICT (path, host) DO UPDATE SET service = excluded.service, state = excluded.state, "
            "changed_at = excluded.changed_at, error = excluded.error",
            (flag.path, flag.host, flag.service, int(flag.guards), flag.state.value, self._at, flag.error),
        )
        if why:
            kind = f"{flag.state.value}_on_host" if not flag.error else "failed_on_host"
            self.note(Decision(kind=kind, sentence=why, episode=self.newest_episode_of(flag.path)))

    def hosts_are_to_unfreeze(self, path: str) -> None:
        """A flag has lost its last reason. What a host said before does not count for a later freeze."""
        self._run(
            "UPDATE flag_on_host SET state = CASE WHEN state = 'frozen' THEN 'unfreezing' ELSE state END, error = '' "
            "WHERE path = ?",
            (path,),
        )

    def release_notices(self, path: str) -> None:
        """No host of a flag is waited for any more: its notices are due now."""
        self._run(
            "UPDATE action SET due_at = NULL WHERE type = 'notify' AND state = 'PENDING' AND due_at IS NOT NULL "
            "AND json_extract(payload, '$.waits_for') = ?",
            (path,),
        )

    def forget_hosts(self, after: timedelta) -> None:
        """Forget receivers that gave no sign for so long, and the flags of hosts without receivers."""
        self._run(
            "DELETE FROM receiver WHERE seen_at < clock_timestamp() - make_interval(secs => ?)",
            (after.total_seconds(),),
        )
        self._run(
            "DELETE FROM flag_on_host WHERE changed_at < ? AND host NOT IN (SELECT host FROM receiver)",
            (stamp(self.now - after),),
        )
