"""The questions about alerts and their episodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from receiver.decide.model import Episode, EpisodeState, Seen, Trace, Waiting, stamp
from receiver.journal import rows
from receiver.journal.questions import UNFINISHED, Questions
from receiver.journal.store import NO_LIMIT

_LIVE = "state IN ('OPEN', 'RESOLVING')"
_POLICIES_IN_USE = (
    f"SELECT policy_sha256 FROM episode WHERE {_LIVE} UNION SELECT policy_sha256 FROM episode WHERE id IN "
    f"(SELECT episode FROM action WHERE {UNFINISHED})"
)
_OF_FREEZE = (
    "SELECT episode.incident FROM flag_file JOIN freeze_reason ON freeze_reason.flag = flag_file.path "
    "AND freeze_reason.ended_at IS NULL JOIN episode ON episode.id = freeze_reason.episode "
    "WHERE flag_file.service = ?1 AND flag_file.text IS NOT NULL"
)


def _age(episode: Episode) -> tuple[datetime, str]:
    return episode.opened_at, episode.id


class AlertView(Questions):
    """What is known of alerts, and which episodes they opened."""

    # alerts

    def seen(self, fingerprints: Sequence[str]) -> dict[str, Seen]:
        """The last state of these alerts."""
        return {
            row[0]: rows.seen_of(row)
            for chunk in rows.chunks(fingerprints)
            for row in self._all(
                f"SELECT {rows.SEEN} FROM alert_seen WHERE fingerprint IN ({rows.marks_for(chunk)})", chunk
            )
        }

    def any_waits(self) -> bool:
        """Whether any committed alert waits for a later transaction."""
        return self._db.execute("SELECT 1 FROM waiting_alert LIMIT 1").fetchone() is not None

    def waiting(self, fingerprints: Sequence[str]) -> frozenset[str]:
        """Which of these alerts wait for a later transaction."""
        return frozenset(
            row[0]
            for chunk in rows.chunks(fingerprints)
            for row in self._all(
                f"SELECT fingerprint FROM waiting_alert WHERE fingerprint IN ({rows.marks_for(chunk)})", chunk
            )
        )

    def next_waiting(self, limit: int) -> Waiting | None:
        """The alerts that have waited longest, all of one delivery; None if no alert waits."""
        found = self._all(
            "SELECT id, delivery, fingerprint, at, request_id, trace_id FROM waiting_alert ORDER BY id LIMIT ?",
            (limit,),
        )
        if not found:
            return None
        _, delivery, _, at, request_id, trace_id = found[0]
        taken = [row for row in found if row[1] == delivery and row[3] == at]
        return Waiting(
            delivery=delivery,
            ids=tuple(row[0] for row in taken),
            fingerprints=tuple(row[2] for row in taken),
            at=datetime.fromisoformat(at),
            trace=Trace(request_id=request_id, trace_id=trace_id),
        )

    def delivery(self, number: int) -> tuple[str, bytes] | None:
        """Hash and body of a delivery; None if the body is no longer kept."""
        row = self._one("SELECT sha256, body FROM delivery WHERE id = ? AND body IS NOT NULL", (number,))
        return (row[0], bytes(row[1])) if row else None

    def doubts(self) -> bool:
        """Whether any firing waits for Alertmanager's answer."""
        return self._one("SELECT 1 FROM alert_seen WHERE unconfirmed_since IS NOT NULL LIMIT 1") is not None

    def unconfirmed(self) -> list[Seen]:
        """Alerts whose firing waits for Alertmanager's answer."""
        return [
            rows.seen_of(row)
            for row in self._all(f"SELECT {rows.SEEN} FROM alert_seen WHERE unconfirmed_since IS NOT NULL")
        ]

    def last_seen_at(self, alertname: str) -> datetime | None:
        """When the last message about an alert of this name came, whatever its other labels."""
        row = self._one(
            "SELECT max(last_at) FROM alert_seen WHERE json_extract(labels, '$.alertname') = ?", (alertname,)
        )
        return rows.when(row[0]) if row else None

    # episodes and freeze reasons

    def newest_episodes(self, fingerprints: Sequence[str]) -> dict[str, list[Episode]]:
        """The newest episode of each rule, by alert."""
        found: dict[str, list[Episode]] = {}
        for chunk in rows.chunks(fingerprints):
            sql = (
                f"SELECT {rows.EPISODE} FROM episode AS e WHERE fingerprint IN ({rows.marks_for(chunk)}) "
                "AND generation = (SELECT max(generation) FROM episode AS o WHERE o.fingerprint = e.fingerprint "
                "AND o.policy = e.policy AND o.rule = e.rule)"
            )
            for row in self._all(sql, chunk):
                found.setdefault(row[3], []).append(rows.episode_of(row))
        return found

    def episode(self, episode_id: str) -> Episode | None:
        """One episode."""
        row = self._one(f"SELECT {rows.EPISODE} FROM episode WHERE id = ?", (episode_id,))
        return rows.episode_of(row) if row else None

    def episodes(self, ids: Sequence[str]) -> dict[str, Episode]:
        """These episodes, by identifier."""
        return {
            row[0]: rows.episode_of(row)
            for chunk in rows.chunks(ids)
            for row in self._all(f"SELECT {rows.EPISODE} FROM episode WHERE id IN ({rows.marks_for(chunk)})", chunk)
        }

    def live_episodes(self, *, policy: str | None = None, rule: str | None = None) -> list[Episode]:
        """Live episodes, oldest first: all, or those of a policy or of its rule, found by the index."""
        where, parameters = [_LIVE], []
        for column, wanted in (("policy", policy), ("rule", rule)):
            if wanted is not None:
                where.append(f"{column} = ?")
                parameters.append(wanted)
        sql = f"SELECT {rows.EPISODE} FROM episode WHERE {' AND '.join(where)} ORDER BY opened_at, id"
        return [rows.episode_of(row) for row in self._all(sql, parameters)]

    def oldest_live(self, each: int) -> list[Episode]:
        """The oldest live episodes of each service, at most `each` of them, oldest first."""
        sql = (
            f"SELECT {rows.EPISODE} FROM (SELECT {rows.EPISODE}, row_number() OVER (PARTITION BY service "
            f"ORDER BY opened_at, id) AS place FROM episode WHERE {_LIVE}) AS e WHERE place <= ? ORDER BY opened_at, id"
        )
        return [rows.episode_of(row) for row in self._all(sql, (each,))]

    def count_live(self) -> list[tuple[str, str, int]]:
        """The number of live episodes by service and severity."""
        found = self._all(f"SELECT service, severity, count(*) FROM episode WHERE {_LIVE} GROUP BY 1, 2 ORDER BY 1, 2")
        return [(row[0], row[1], row[2]) for row in found]

    def is_live(self, incident: str, service: str) -> bool:
        """Whether an episode of a service's incident is live."""
        sql = f"SELECT 1 FROM episode WHERE service = ? AND incident = ? AND {_LIVE} LIMIT 1"
        return self._one(sql, (service, incident)) is not None

    def unacknowledged(self, service: str) -> dict[str, str]:
        """The oldest live episode that nobody has acknowledged, by incident of a service."""
        sql = (
            f"SELECT incident, id FROM episode WHERE {_LIVE} AND service = ? AND acked_at IS NULL "
            "ORDER BY opened_at DESC, id DESC"
        )
        return dict(self._all(sql, (service,)))

    def acknowledgements(self, service: str) -> dict[str, str]:
        """Who acknowledged each live incident of a service that is acknowledged."""
        sql = (
            f"SELECT incident, max(acked_by) FROM episode WHERE {_LIVE} AND service = ? AND acked_at IS NOT NULL "
            "GROUP BY incident"
        )
        return dict(self._all(sql, (service,)))

    def open_alerts(self) -> set[tuple[str, str, str]]:
        """Alert, policy and rule of each open episode."""
        return {
            (row[0], row[1], row[2])
            for row in self._all("SELECT fingerprint, policy, rule FROM episode WHERE state = 'OPEN'")
        }

    def open_episodes(self, fingerprints: Sequence[str]) -> list[Episode]:
        """The open episodes of these alerts."""
        return [
            episode
            for episodes in self.newest_episodes(fingerprints).values()
            for episode in episodes
            if episode.state is EpisodeState.OPEN
        ]

    def resolving(self) -> list[tuple[str, str, datetime]]:
        """Each rule that has resolving episodes: its policy's hash, its id, and when the first of them resolved."""
        sql = "SELECT policy_sha256, rule, min(resolved_at) FROM episode WHERE state = 'RESOLVING' GROUP BY 1, 2"
        return [(row[0], row[1], datetime.fromisoformat(row[2])) for row in self._all(sql)]

    def resolving_episodes(
        self, policy_sha256: str, rule: str, *, until: datetime | None = None, limit: int = NO_LIMIT
    ) -> list[Episode]:
        """Episodes of a rule that resolved no later than `until`, the first to resolve first."""
        sql = f"SELECT {rows.EPISODE} FROM episode WHERE state = 'RESOLVING' AND policy_sha256 = ? AND rule = ?"
        parameters: list[object] = [policy_sha256, rule]
        if until is not None:
            sql += " AND resolved_at <= ?"
            parameters.append(stamp(until))
        return [
            rows.episode_of(row) for row in self._all(f"{sql} ORDER BY resolved_at, id LIMIT ?", (*parameters, limit))
        ]

    def due_reviews(self, now: datetime, *, after: tuple[datetime, str], limit: int) -> list[Episode]:
        """Open episodes whose review is due, in the order of time and identifier, after the given ones."""
        sql = (
            f"SELECT {rows.EPISODE} FROM episode WHERE state = 'OPEN' AND review_at <= ? "
            "AND (review_at, id) > (?, ?) ORDER BY review_at, id LIMIT ?"
        )
        return [rows.episode_of(row) for row in self._all(sql, (stamp(now), stamp(after[0]), after[1], limit))]

    def first_of_each(self, ids: Sequence[str]) -> list[Episode]:
        """Of these episodes, the first of each rule of a policy and incident."""
        found = self.episodes(ids)
        kinds = {
            (one.policy_sha256, one.rule, one.incident): one for one in sorted(found.values(), key=_age, reverse=True)
        }
        return list(kinds.values())

    def first_review(self) -> datetime | None:
        """When the first review of an open episode is due; None if there is no review."""
        row = self._one("SELECT min(review_at) FROM episode WHERE state = 'OPEN'")
        return rows.when(row[0]) if row else None

    def freezing_episodes(self, service: str, *, limit: int = NO_LIMIT) -> list[Episode]:
        """Live episodes of a service that have a freeze reason, oldest first."""
        sql = (
            f"SELECT {rows.EPISODE} FROM episode WHERE {_LIVE} AND service = ? "
            "AND id IN (SELECT episode FROM freeze_reason WHERE ended_at IS NULL) ORDER BY opened_at, id LIMIT ?"
        )
        return [rows.episode_of(row) for row in self._all(sql, (service, limit))]

    def episodes_beside(self, policies: Sequence[str]) -> list[Episode]:
        """Live episodes of every incident in which one of these policies (by hash) opened an episode; oldest first.

        Of episodes that differ only in time, the oldest stands for all.
        """
        sql = (
            f"SELECT {rows.EPISODE} FROM (SELECT {rows.EPISODE}, row_number() OVER (PARTITION BY service, incident, "
            "policy_sha256, rule, severity, state, alert, acked_at IS NULL ORDER BY opened_at, id) AS place "
            f"FROM episode WHERE {_LIVE} AND incident IN (SELECT incident FROM episode WHERE {_LIVE} "
            f"AND policy_sha256 IN ({rows.marks_for(policies)}))) AS e WHERE place = 1 ORDER BY opened_at, id"
        )
        return [rows.episode_of(row) for row in self._all(sql, policies)]

    def policies_in_use(self) -> set[str]:
        """Hashes of the policies that opened live episodes, or episodes with unfinished actions."""
        return {row[0] for row in self._all(_POLICIES_IN_USE)}

    def policies_in_use_beside(self, known: Collection[str]) -> dict[str, str]:
        """Texts of the policies in use, by hash, but for those that are known."""
        sql = (
            f"SELECT sha256, body FROM policy WHERE sha256 NOT IN ({rows.marks_for(list(known))}) "
            f"AND sha256 IN ({_POLICIES_IN_USE})"
        )
        return dict(self._all(sql, list(known)))

    def incident(self, service: str) -> str | None:
        """Identifier of a service's incident, which a new episode joins; None if the episode begins a new incident.

        A frozen service has the incident of its freeze, any other service that of the oldest live episode since the
        last freeze ended. People heard of this end, so people must hear of the next freeze too.
        """
        row = self._one(
            f"{_OF_FREEZE} UNION ALL SELECT incident FROM (SELECT incident FROM episode AS e WHERE service = ?1 "
            f"AND {_LIVE} AND NOT EXISTS (SELECT 1 FROM flag_file WHERE service = ?1 AND text IS NOT NULL) "
            "AND opened_at >= (SELECT coalesce(max(written_at), '') FROM flag_file WHERE service = ?1) AND NOT EXISTS "
            "(SELECT 1 FROM freeze_reason WHERE freeze_reason.episode = e.id AND ended_at IS NOT NULL) "
            "ORDER BY opened_at, id LIMIT 1) AS oldest LIMIT 1",
            (service,),
        )
        return row[0] if row else None

    def incident_of_freeze(self, service: str) -> str | None:
        """Identifier of the incident that froze a service; None while no flag is on disk."""
        row = self._one(f"{_OF_FREEZE} LIMIT 1", (service,))
        return row[0] if row else None
