"""The questions that the journal answers, for transactions and for readers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.decide.model import (
    FINAL_STATES,
    Action,
    ActionState,
    ActionType,
    Episode,
    FlagView,
    FreezeReason,
    Recorded,
    Seen,
    stamp,
)
from receiver.journal import rows

_FINAL = ", ".join(f"'{state.value}'" for state in sorted(FINAL_STATES))
ROLLBACKS_NAMED = 20
"""How many of a service's last rollbacks its flag names, so that another journal does not repeat them."""

_LIVE = "state IN ('OPEN', 'RESOLVING')"


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
        sql = f"SELECT {rows.SEEN} FROM alert_seen WHERE fingerprint IN ({rows.marks_for(fingerprints)})"
        return {row[0]: rows.seen_of(row) for row in self._all(sql, fingerprints)}

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
        sql = (
            f"SELECT {rows.EPISODE} FROM episode AS e WHERE fingerprint IN ({rows.marks_for(fingerprints)}) "
            "AND generation = (SELECT max(generation) FROM episode AS o WHERE o.fingerprint = e.fingerprint "
            "AND o.policy = e.policy AND o.rule = e.rule)"
        )
        for row in self._all(sql, fingerprints):
            found.setdefault(row[3], []).append(rows.episode_of(row))
        return found

    def episode(self, episode_id: str) -> Episode | None:
        """One episode."""
        row = self._one(f"SELECT {rows.EPISODE} FROM episode WHERE id = ?", (episode_id,))
        return rows.episode_of(row) if row else None

    def live_episodes(self, service: str | None = None) -> list[Episode]:
        """Live episodes, oldest first."""
        sql = f"SELECT {rows.EPISODE} FROM episode WHERE {_LIVE}"
        parameters: tuple[object, ...] = ()
        if service is not None:
            sql, parameters = f"{sql} AND service = ?", (service,)
        return [rows.episode_of(row) for row in self._all(f"{sql} ORDER BY opened_at, id", parameters)]

    def resolving_episodes(self) -> list[Episode]:
        """Episodes that wait for their conditions to unfreeze, oldest first."""
        sql = f"SELECT {rows.EPISODE} FROM episode WHERE state = 'RESOLVING' ORDER BY opened_at, id"
        return [rows.episode_of(row) for row in self._all(sql)]

    def first_review(self) -> datetime | None:
        """When the first review of an open episode is due; None if there is no review."""
        row = self._one("SELECT min(review_at) FROM episode WHERE state = 'OPEN'")
        return rows.when(row[0]) if row else None

    def freezing_episodes(self, service: str) -> list[Episode]:
        """Live episodes of a service that have a freeze reason, oldest first."""
        sql = (
            f"SELECT {rows.EPISODE} FROM episode WHERE {_LIVE} AND service = ? "
            "AND id IN (SELECT episode FROM freeze_reason WHERE ended_at IS NULL) ORDER BY opened_at, id"
        )
        return [rows.episode_of(row) for row in self._all(sql, (service,))]

    def episodes_beside(self, policies: Sequence[str]) -> list[Episode]:
        """Live episodes of every incident in which one of these policies (by hash) opened an episode; oldest first."""
        sql = (
            f"SELECT {rows.EPISODE} FROM episode WHERE {_LIVE} AND incident IN (SELECT incident FROM episode "
            f"WHERE {_LIVE} AND policy_sha256 IN ({rows.marks_for(policies)})) ORDER BY opened_at, id"
        )
        return [rows.episode_of(row) for row in self._all(sql, policies)]

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
        self, *, flag: str | None = None, episode: str | None = None, held: bool | None = None
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
        return [rows.freeze_reason_of(row) for row in self._all(sql, parameters)]

    def flag_view(self, path: str) -> FlagView:
        """Everything about one flag, as of now."""
        freeze_reasons = self.freeze_reasons(flag=path, held=True)
        episodes = [self.episode(freeze_reason.episode) for freeze_reason in freeze_reasons]
        row = self._one(f"SELECT {rows.FLAG_FILE} FROM flag_file WHERE path = ?", (path,))
        unfinished = self._all(
            f"SELECT {rows.ACTION} FROM action WHERE state NOT IN ({_FINAL}) AND type IN ('freeze', 'unfreeze') "
            "AND json_extract(payload, '$.flag') = ? ORDER BY id",
            (path,),
        )
        begun = self._all(
            f"SELECT {rows.ACTION} FROM action WHERE service = ? AND type = 'rollback' AND attempt > 0 "
            "AND state <> 'PENDING' ORDER BY updated_at DESC, id DESC LIMIT ?",
            (next((episode.service for episode in episodes if episode is not None), ""), ROLLBACKS_NAMED),
        )
        return FlagView(
            path=path,
            seq=self.head()[0],
            freeze_reasons=tuple(freeze_reasons),
            episodes={episode.id: episode for episode in episodes if episode is not None},
            file=rows.flag_file_of(row) if row else None,
            unfinished=tuple(rows.action_of(row) for row in unfinished),
            rollbacks=tuple(rows.action_of(row) for row in begun),
        )

    def flags(self) -> dict[str, str]:
        """The service of every flag that was ever written or has a freeze reason."""
        sql = (
            "SELECT path, service FROM flag_file UNION SELECT freeze_reason.flag, episode.service FROM freeze_reason "
            "JOIN episode ON episode.id = freeze_reason.episode WHERE freeze_reason.ended_at IS NULL"
        )
        return dict(self._all(sql))

    def condition_held(self, episode: str) -> dict[str, tuple[datetime, datetime]]:
        """Since when each condition to unfreeze has been true, and the time of the last check."""
        sql = "SELECT condition, true_since, checked_at FROM condition_held WHERE episode = ?"
        return {
            row[0]: (datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2]))
            for row in self._all(sql, (episode,))
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

    def unfinished_actions(self) -> list[Action]:
        """Unfinished actions, oldest first."""
        sql = f"SELECT {rows.ACTION} FROM action WHERE state NOT IN ({_FINAL}) ORDER BY id"
        return [rows.action_of(row) for row in self._all(sql)]

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
