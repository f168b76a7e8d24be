"""The questions that the journal answers, for transactions and for readers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.decide.model import (
    LISTED_MAX,
    Action,
    ActionState,
    ActionType,
    Episode,
    EpisodeState,
    FlagView,
    FreezeReason,
    Recorded,
    Seen,
    Trace,
    Waiting,
    stamp,
)
from receiver.journal import rows

_FINAL = "'SUCCEEDED', 'DEAD', 'CANCELLED', 'SKIPPED'"
"""FINAL_STATES in the words of the index `action_unfinished`: SQLite uses the index for this very text only."""

_LIVE = "state IN ('OPEN', 'RESOLVING')"
_OF_FLAG = f"state NOT IN ({_FINAL}) AND type IN ('freeze', 'unfreeze') AND json_extract(payload, '$.flag') = ?"


def _age(episode: Episode) -> tuple[datetime, str]:
    return episode.opened_at, episode.id


class View:
    """Reads over one connection. Every answer is a value; nothing stays open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def _all(self, sql: str, parameters: Sequence[object] = ()) -> list[rows.Row]:
        return self._db.execute(sql, parameters).fetchall()

    def _one(self, sql: str, parameters: Sequence[object] = ()) -> rows.Row | None:
        found: rows.Row | None = self._db.execute(sql, parameters).fetchone()
        return found

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

    def live_episodes(self) -> list[Episode]:
        """All live episodes, oldest first."""
        sql = f"SELECT {rows.EPISODE} FROM episode WHERE {_LIVE} ORDER BY opened_at, id"
        return [rows.episode_of(row) for row in self._all(sql)]

    def oldest_live(self, each: int) -> list[Episode]:
        """The oldest live episodes of each service, at most `each` of them, oldest first."""
        sql = (
            f"SELECT {rows.EPISODE} FROM (SELECT {rows.EPISODE}, row_number() OVER (PARTITION BY service "
            f"ORDER BY opened_at, id) AS place FROM episode WHERE {_LIVE}) WHERE place <= ? ORDER BY opened_at, id"
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
        self, policy_sha256: str, rule: str, *, until: datetime | None = None, limit: int = -1
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

    def freezing_episodes(self, service: str, *, limit: int = -1) -> list[Episode]:
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
            f"AND policy_sha256 IN ({rows.marks_for(policies)}))) WHERE place = 1 ORDER BY opened_at, id"
        )
        return [rows.episode_of(row) for row in self._all(sql, policies)]

    def policies_in_use(self) -> set[str]:
        """Hashes of the policies that opened live episodes, or episodes with unfinished actions."""
        sql = (
            f"SELECT policy_sha256 FROM episode WHERE {_LIVE} UNION SELECT policy_sha256 FROM episode WHERE id IN "
            f"(SELECT episode FROM action WHERE state NOT IN ({_FINAL}))"
        )
        return {row[0] for row in self._all(sql)}

    def incident(self, service: str) -> str | None:
        """Identifier of a service's incident: its oldest live episode whose freeze no operator has ended."""
        row = self._one(
            f"SELECT incident FROM episode AS e WHERE service = ? AND {_LIVE} AND NOT EXISTS "
            "(SELECT 1 FROM freeze_reason WHERE freeze_reason.episode = e.id AND ended_at IS NOT NULL) "
            "ORDER BY opened_at, id LIMIT 1",
            (service,),
        )
        return row[0] if row else None

    def freeze_reasons(
        self, *, flag: str | None = None, episode: str | None = None, held: bool | None = None, limit: int = -1
    ) -> list[FreezeReason]:
        """Reasons of a flag or an episode. `held` selects reasons in force (True) or ended reasons (False)."""
        where, parameters = ["1"], []
        if flag is not None:
            where.append("flag = ?")
            parameters.append(flag)
        if episode is not None:
            where.append("episode = ?")
            parameters.append(episode)
        if held is not None:
            where.append(f"ended_at IS {'' if held else 'NOT '}NULL")
        sql = f"SELECT {rows.FREEZE_REASON} FROM freeze_reason WHERE {' AND '.join(where)} ORDER BY since, episode"
        return [rows.freeze_reason_of(row) for row in self._all(f"{sql} LIMIT ?", (*parameters, limit))]

    def oldest_reasons(self, each: int) -> list[FreezeReason]:
        """The oldest reasons in force of each flag, at most `each` of them, oldest first."""
        sql = (
            f"SELECT {rows.FREEZE_REASON} FROM (SELECT {rows.FREEZE_REASON}, row_number() OVER (PARTITION BY flag "
            "ORDER BY since, episode) AS place FROM freeze_reason WHERE ended_at IS NULL) WHERE place <= ? "
            "ORDER BY since, episode"
        )
        return [rows.freeze_reason_of(row) for row in self._all(sql, (each,))]

    def freeze_reasons_of(self, episodes: Sequence[str]) -> dict[str, list[FreezeReason]]:
        """All reasons of these episodes, in force or not, by episode."""
        found: dict[str, list[FreezeReason]] = {}
        for chunk in rows.chunks(episodes):
            sql = f"SELECT {rows.FREEZE_REASON} FROM freeze_reason WHERE episode IN ({rows.marks_for(chunk)})"
            for row in self._all(sql, chunk):
                found.setdefault(row[1], []).append(rows.freeze_reason_of(row))
        return found

    def is_held(self, flag: str) -> bool:
        """Whether a flag has a reason in force."""
        return self._one("SELECT 1 FROM freeze_reason WHERE flag = ? AND ended_at IS NULL LIMIT 1", (flag,)) is not None

    def held_flags(self) -> dict[str, int]:
        """The number of reasons in force of each flag that has any."""
        return dict(self._all("SELECT flag, count(*) FROM freeze_reason WHERE ended_at IS NULL GROUP BY flag"))

    def flag_view(self, path: str) -> FlagView:
        """What is known about one flag, as of now."""
        freeze_reasons = self.freeze_reasons(flag=path, held=True, limit=LISTED_MAX)
        (count,) = self._one("SELECT count(*) FROM freeze_reason WHERE flag = ? AND ended_at IS NULL", (path,)) or (0,)
        unwritten = self._all(
            f"SELECT {rows.FREEZE_REASON} FROM freeze_reason WHERE flag = ? AND ended_at IS NULL "
            "AND written_at IS NULL ORDER BY since, episode",
            (path,),
        )
        row = self._one(f"SELECT {rows.FLAG_FILE} FROM flag_file WHERE path = ?", (path,))
        unfinished = self._all(f"SELECT {rows.ACTION} FROM action WHERE {_OF_FLAG} ORDER BY id", (path,))
        return FlagView(
            path=path,
            seq=self.head()[0],
            freeze_reasons=tuple(freeze_reasons),
            count=count,
            episodes=self.episodes([freeze_reason.episode for freeze_reason in freeze_reasons]),
            file=rows.flag_file_of(row) if row else None,
            unwritten=tuple(rows.freeze_reason_of(row) for row in unwritten),
            unfinished=tuple(rows.action_of(row) for row in unfinished),
        )

    def flags(self) -> dict[str, str]:
        """The service of every flag that was ever written or has a freeze reason."""
        sql = (
            "SELECT flag, (SELECT service FROM episode WHERE id = first) FROM "
            "(SELECT flag, min(episode) AS first FROM freeze_reason WHERE ended_at IS NULL GROUP BY flag) "
            "UNION SELECT path, service FROM flag_file"
        )
        return dict(self._all(sql))

    def condition_held(self, policy_sha256: str, rule: str) -> dict[str, tuple[datetime, datetime]]:
        """Since when each of a rule's conditions to unfreeze has been true, and the time of the last check."""
        sql = "SELECT condition, true_since, checked_at FROM condition_held WHERE policy_sha256 = ? AND rule = ?"
        return {
            row[0]: (datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2]))
            for row in self._all(sql, (policy_sha256, rule))
        }

    # actions

    def action(self, action_id: str) -> Action | None:
        """One action."""
        row = self._one(f"SELECT {rows.ACTION} FROM action WHERE id = ?", (action_id,))
        return rows.action_of(row) if row else None

    def action_by_key(self, key: str) -> Action | None:
        """The action with this key."""
        row = self._one(f"SELECT {rows.ACTION} FROM action WHERE key = ?", (key,))
        return rows.action_of(row) if row else None

    def unfinished_actions(self, *, limit: int = -1) -> list[Action]:
        """Unfinished actions, oldest first."""
        sql = f"SELECT {rows.ACTION} FROM action WHERE state NOT IN ({_FINAL}) ORDER BY id LIMIT ?"
        return [rows.action_of(row) for row in self._all(sql, (limit,))]

    def due_actions(
        self, now: datetime, *, but_channels: Sequence[str] = (), limit: int
    ) -> tuple[list[Action], datetime | None]:
        """Unfinished actions that are due, oldest first, and when the next one will be due.

        Left out are notices to `but_channels`.
        """
        unfinished = f"state NOT IN ({_FINAL}) AND NOT (type = 'notify' AND name IN ({rows.marks_for(but_channels)}))"
        due = self._all(
            f"SELECT {rows.ACTION} FROM action WHERE {unfinished} AND (due_at IS NULL OR due_at <= ?) "
            "ORDER BY id LIMIT ?",
            (*but_channels, stamp(now), limit),
        )
        row = self._one(
            f"SELECT min(due_at) FROM action WHERE {unfinished} AND due_at > ?", (*but_channels, stamp(now))
        )
        return [rows.action_of(one) for one in due], rows.when(row[0]) if row else None

    def is_freezing(self, flag: str) -> bool:
        """Whether an unfinished action freezes a flag."""
        return self._one(f"SELECT 1 FROM action WHERE {_OF_FLAG} AND type = 'freeze' LIMIT 1", (flag,)) is not None

    def unfinished_rollbacks(self, service: str) -> list[Action]:
        """A service's rollbacks that have not ended, oldest first."""
        sql = f"SELECT {rows.ACTION} FROM action WHERE state NOT IN ({_FINAL}) AND type = 'rollback' AND service = ?"
        return [rows.action_of(row) for row in self._all(f"{sql} ORDER BY id", (service,))]

    def shares_rollback(self, action: str, episode: str) -> bool:
        """Whether an episode shares a rollback."""
        sql = "SELECT 1 FROM rollback_episode WHERE action = ? AND episode = ?"
        return self._one(sql, (action, episode)) is not None

    def others_share_rollback(self, action: str, episode: str) -> bool:
        """Whether an episode other than this one shares a rollback."""
        sql = "SELECT 1 FROM rollback_episode WHERE action = ? AND episode <> ? LIMIT 1"
        return self._one(sql, (action, episode)) is not None

    def actions(
        self,
        *,
        episode: str | None = None,
        service: str | None = None,
        type: ActionType | None = None,  # noqa: A002 - the field's own name
        state: ActionState | None = None,
        limit: int = 1000,
    ) -> list[Action]:
        """Actions that match some values, newest first."""
        asked = {"episode": episode, "service": service, "type": type, "state": state}
        given = {name: str(value) for name, value in asked.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        sql = f"SELECT {rows.ACTION} FROM action WHERE {where} ORDER BY id DESC LIMIT ?"
        return [rows.action_of(row) for row in self._all(sql, (*given.values(), limit))]

    def rollbacks_started(self, service: str, since: datetime) -> list[tuple[Action, datetime]]:
        """Rollbacks of a service that were started and changed after `since`, with the time of their last change."""
        sql = (
            f"SELECT {rows.ACTION}, updated_at FROM action WHERE service = ? AND type = 'rollback' AND attempt > 0 "
            "AND state <> 'PENDING' AND NOT (state = 'CANCELLED' AND json_extract(result, '$.started_at') IS NULL) "
            "AND updated_at >= ? ORDER BY updated_at"
        )
        return [
            (rows.action_of(row), datetime.fromisoformat(row[-1])) for row in self._all(sql, (service, stamp(since)))
        ]

    def count_actions(self) -> list[tuple[str, str, str, int]]:
        """The number of actions by service, type and state."""
        return [
            (row[0], row[1], row[2], row[3])
            for row in self._all("SELECT service, type, state, count(*) FROM action GROUP BY 1, 2, 3")
        ]

    def dead_letters(self, limit: int) -> list[Action]:
        """Dead letters, newest first, without those that an operator sent again."""
        return [
            action
            for action in self.actions(type=ActionType.NOTIFY, state=ActionState.DEAD, limit=limit)
            if self._one("SELECT 1 FROM action WHERE key = ?", (f"{action.key}#again",)) is None
        ]

    # decisions, policies, notices

    def head(self) -> tuple[int, str]:
        """Number and hash of the last decision."""
        row = self._one("SELECT seq, hash FROM decision ORDER BY seq DESC LIMIT 1")
        return (row[0], row[1]) if row else (0, "0" * 64)

    def decisions(self, *, after: int = 0, limit: int = 1000) -> list[Recorded]:
        """Decisions after a number, in order."""
        sql = f"SELECT {rows.DECISION} FROM decision WHERE seq > ? ORDER BY seq LIMIT ?"
        return [rows.recorded_of(row) for row in self._all(sql, (after, limit))]

    def last_decisions(self, limit: int) -> list[Recorded]:
        """The last decisions, in order."""
        sql = f"SELECT {rows.DECISION} FROM decision ORDER BY seq DESC LIMIT ?"
        return [rows.recorded_of(row) for row in reversed(self._all(sql, (limit,)))]

    def all_decisions(self) -> Iterator[Recorded]:
        """Every decision, in order, one at a time."""
        for row in self._db.execute(f"SELECT {rows.DECISION} FROM decision ORDER BY seq"):
            yield rows.recorded_of(row)

    def first_seq_since(self, at: datetime) -> int:
        """The first decision at or after a time. If there is none, the number after the head."""
        row = self._one("SELECT min(seq) FROM decision WHERE at >= ?", (stamp(at),))
        return row[0] if row and row[0] is not None else self.head()[0] + 1

    def notices(self, *, after: int, limit: int = 200) -> list[tuple[int, Mapping[str, Any]]]:
        """Notices on the event stream after a number, in order."""
        sql = "SELECT seq, body FROM notice WHERE seq > ? ORDER BY seq LIMIT ?"
        return [(row[0], json.loads(row[1])) for row in self._all(sql, (after, limit))]

    def policies_in_force(self) -> dict[str, tuple[str, str]]:
        """Hash and text of the last loaded policies, by name."""
        sql = "SELECT f.name, f.sha256, p.body FROM policy_in_force AS f JOIN policy AS p ON p.sha256 = f.sha256"
        return {row[0]: (row[1], row[2]) for row in self._all(sql)}

    def policy_bodies(self, hashes: Iterable[str]) -> dict[str, str]:
        """Texts of policies by hash, in force or not."""
        wanted = list(hashes)
        sql = f"SELECT sha256, body FROM policy WHERE sha256 IN ({rows.marks_for(wanted)})"
        return dict(self._all(sql, wanted))
