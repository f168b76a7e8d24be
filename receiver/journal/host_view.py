"""The questions about flags on several hosts. Only a journal in PostgreSQL has several, so nobody asks a file's."""

from __future__ import annotations

from datetime import datetime

from receiver.decide.hosts import HostFlag
from receiver.journal import rows
from receiver.journal.flag_view import FlagViews

SAYS_SINCE = 4
"""The shape since which a receiver says what its host has. Earlier versions say nothing, and nobody waits for them."""

_SEEN = (
    f"SELECT {rows.HOST_FLAG}, seen.at, extract(epoch FROM clock_timestamp() - seen.at)::float8 FROM flag_on_host "
    "LEFT JOIN (SELECT host AS seen_host, max(seen_at) AS at FROM receiver "
    f"WHERE knows >= {SAYS_SINCE} GROUP BY host) AS seen "
    "ON seen.seen_host = flag_on_host.host"
)


class HostViews(FlagViews):
    """What each host last said about its flags, and when its receiver was last seen."""

    def host_flags(self, path: str | None = None) -> list[HostFlag]:
        """Every flag of every host, or one flag on every host."""
        if path is None:
            found = self._all(f"{_SEEN} ORDER BY host, path")
        else:
            found = self._all(f"{_SEEN} WHERE path = ? ORDER BY host", (path,))
        return [rows.host_flag_of(row) for row in found]

    def flags_of_host(self, host: str) -> dict[str, HostFlag]:
        """What one host last said, by flag."""
        return {row[0]: rows.host_flag_of(row) for row in self._all(f"{_SEEN} WHERE host = ?", (host,))}

    def newest_episode_of(self, path: str) -> str:
        """The newest episode that holds a flag, or else the last one that did; "" if none is known."""
        row = self._one(
            "SELECT episode FROM freeze_reason WHERE flag = ? "
            "ORDER BY ended_at IS NOT NULL, coalesce(ended_at, since) DESC, episode DESC LIMIT 1",
            (path,),
        )
        return str(row[0]) if row else ""

    def waiting_notice(self, service: str, incident: str) -> tuple[str, datetime] | None:
        """The flag whose hosts a notice of an incident waits for, and until when; None if no notice waits."""
        row = self._one(
            "SELECT json_extract(payload, '$.waits_for'), due_at FROM action WHERE service = ? AND type = 'notify' "
            "AND state = 'PENDING' AND due_at IS NOT NULL AND json_extract(payload, '$.incident') = ? "
            "AND json_extract(payload, '$.waits_for') IS NOT NULL ORDER BY due_at DESC LIMIT 1",
            (service, incident),
        )
        return (row[0], datetime.fromisoformat(row[1])) if row else None
