"""The questions of the page: incidents with their actions and decisions, and the last rollback of each service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.decide.model import Action, Episode, Incident, Recorded, stamp
from receiver.decide.recovery import Lasted
from receiver.journal import rows
from receiver.journal.switch_view import SwitchViews

_OF_INCIDENT = "SELECT id FROM episode WHERE incident = ?"

_IS_INCIDENT = "id = incident AND NOT (policy = 'operator' AND rule = 'canary')"
"""The first episode of an incident. Records of rollouts are no incidents."""


class PageViews(SwitchViews):
    """What people ask about the past."""

    def last_rollbacks(self) -> dict[str, tuple[Action, datetime]]:
        """The newest rollback of each service that was begun or left out, with the time of its last change."""
        sql = (
            f"SELECT {rows.ACTION}, updated_at FROM (SELECT {rows.ACTION}, updated_at, row_number() OVER "
            "(PARTITION BY service ORDER BY id DESC) AS place FROM action WHERE type = 'rollback' "
            "AND state <> 'PENDING' AND state <> 'CANCELLED') AS ranked WHERE place = 1"
        )
        return {row[3]: (rows.action_of(row), datetime.fromisoformat(row[-1])) for row in self._all(sql)}

    def free_since(self) -> dict[str, datetime]:
        """When the last flag of each service was removed, of the services that have none now."""
        sql = "SELECT service, max(written_at) FROM flag_file GROUP BY service HAVING count(text) = 0"
        return {row[0]: datetime.fromisoformat(row[1]) for row in self._all(sql)}

    def incidents(self, *, service: str | None = None, limit: int) -> list[Incident]:
        """The newest incidents, newest first: of all services, or of one."""
        where, parameters = _IS_INCIDENT, []
        if service is not None:
            where += " AND service = ?"
            parameters.append(service)
        found = self._all(f"SELECT id FROM episode WHERE {where} ORDER BY id DESC LIMIT ?", (*parameters, limit))
        newest = [row[0] for row in found]
        return self._incidents(newest)

    def lasted(self, since: datetime, *, service: str | None = None) -> list[Lasted]:
        """How long recovery took in each incident that began since then, oldest first: of all services, or of one."""
        where, parameters = f"{_IS_INCIDENT} AND opened_at >= ?", [stamp(since)]
        if service is not None:
            where += " AND service = ?"
            parameters.append(service)
        sql = (
            "SELECT max(service), min(opened_at), max(coalesce(resolved_at, closed_at)), min(acked_at), "
            "sum(CASE WHEN state IN ('OPEN', 'RESOLVING') THEN 1 ELSE 0 END) "
            f"FROM episode WHERE incident IN (SELECT id FROM episode WHERE {where}) GROUP BY incident ORDER BY 2"
        )
        return [
            Lasted(
                service=row[0],
                opened_at=datetime.fromisoformat(row[1]),
                recovered_at=None if row[4] else rows.when(row[2]),
                acked_at=rows.when(row[3]),
            )
            for row in self._all(sql, parameters)
        ]

    def incident_of(self, incident: str) -> Incident | None:
        """One incident."""
        return next(iter(self._incidents([incident])), None)

    def _incidents(self, ids: Sequence[str]) -> list[Incident]:
        first = self.episodes(ids)
        found: dict[str, Incident] = {}
        for chunk in rows.chunks(ids):
            sql = (
                "SELECT incident, min(opened_at), max(closed_at), count(*), "
                "sum(CASE WHEN state IN ('OPEN', 'RESOLVING') THEN 1 ELSE 0 END), min(acked_at), max(acked_by) "
                f"FROM episode WHERE incident IN ({rows.marks_for(chunk)}) GROUP BY incident"
            )
            for row in self._all(sql, chunk):
                if row[0] in first:
                    found[row[0]] = Incident(
                        first=first[row[0]],
                        opened_at=datetime.fromisoformat(row[1]),
                        ended_at=None if row[4] else rows.when(row[2]),
                        episodes=row[3],
                        live=row[4],
                        acked_at=rows.when(row[5]),
                        acked_by=row[6] or "",
                    )
        return [found[one] for one in ids if one in found]

    def incident_episodes(self, incident: str, limit: int) -> list[Episode]:
        """The oldest episodes of an incident."""
        sql = f"SELECT {rows.EPISODE} FROM episode WHERE incident = ? ORDER BY opened_at, id LIMIT ?"
        return [rows.episode_of(row) for row in self._all(sql, (incident, limit))]

    def incident_actions(self, incident: str, limit: int) -> list[Action]:
        """The actions of an incident, oldest first."""
        sql = f"SELECT {rows.ACTION} FROM action WHERE episode IN ({_OF_INCIDENT}) ORDER BY id LIMIT ?"
        return [rows.action_of(row) for row in self._all(sql, (incident, limit))]

    def incident_decisions(self, incident: str, since: datetime, until: datetime, limit: int) -> list[Recorded]:
        """The decisions about an incident in a time, in order."""
        sql = (
            f"SELECT {rows.DECISION} FROM decision WHERE at >= ? AND at <= ? AND episode IN ({_OF_INCIDENT}) "
            "ORDER BY seq LIMIT ?"
        )
        return [rows.recorded_of(row) for row in self._all(sql, (stamp(since), stamp(until), incident, limit))]

    def count_deeds(self, incidents: Sequence[str]) -> dict[str, list[tuple[str, str, int]]]:
        """The number of freezes, rollbacks and switches by incident, type and state."""
        found: dict[str, list[tuple[str, str, int]]] = {}
        for chunk in rows.chunks(incidents):
            sql = (
                "SELECT episode.incident, action.type, action.state, count(*) FROM action "
                "JOIN episode ON episode.id = action.episode "
                f"WHERE episode.incident IN ({rows.marks_for(chunk)}) AND action.type <> 'notify' GROUP BY 1, 2, 3 "
                "ORDER BY 1, 2, 3"
            )
            for row in self._all(sql, chunk):
                found.setdefault(row[0], []).append((row[1], row[2], row[3]))
        return found
