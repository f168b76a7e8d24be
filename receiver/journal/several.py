"""Which of several receivers leads. Only a journal in PostgreSQL has several; times are those of its server."""

from __future__ import annotations

from receiver.journal.waiting import WaitingAlerts


class Leads(WaitingAlerts):
    """The part of a transaction that gives one receiver the right to act for all."""

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
        """Note that a receiver ends, and lead no longer: another receiver may lead at once."""
        self._run("DELETE FROM receiver WHERE id = ?", (owner,))
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
