"""The questions that the journal answers, for transactions and for readers.

`alert_view` has the questions about alerts and episodes, and `page_view` those about the past. `flag_view` has those
about freeze flags, `host_view` those about flags on several hosts, and `switch_view` those about feature flags. All
others are in this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.decide.model import Action, ActionState, ActionType, Recorded, stamp
from receiver.journal import rows
from receiver.journal.flag_view import OF_FLAG
from receiver.journal.page_view import PageViews
from receiver.journal.questions import UNFINISHED
from receiver.journal.store import NO_LIMIT

READ_AT_ONCE = 5000
"""Decisions in memory while all of them are read."""


class View(PageViews):
    """Reads over one connection. Every answer is a value; nothing stays open."""

    # actions

    def action(self, action_id: str) -> Action | None:
        """One action."""
        row = self._one(f"SELECT {rows.ACTION} FROM action WHERE id = ?", (action_id,))
        return rows.action_of(row) if row else None

    def action_by_key(self, key: str) -> Action | None:
        """The action with this key."""
        row = self._one(f"SELECT {rows.ACTION} FROM action WHERE key = ?", (key,))
        return rows.action_of(row) if row else None

    def unfinished_actions(self, *, limit: int = NO_LIMIT) -> list[Action]:
        """Unfinished actions, oldest first."""
        sql = f"SELECT {rows.ACTION} FROM action WHERE {UNFINISHED} ORDER BY id LIMIT ?"
        return [rows.action_of(row) for row in self._all(sql, (limit,))]

    def due_actions(
        self, now: datetime, *, but_channels: Sequence[str] = (), limit: int
    ) -> tuple[list[Action], datetime | None]:
        """Unfinished actions that are due, oldest first, and when the next one will be due.

        Left out are notices to `but_channels`.
        """
        unfinished = f"{UNFINISHED} AND NOT (type = 'notify' AND name IN ({rows.marks_for(but_channels)}))"
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
        return self._one(f"SELECT 1 FROM action WHERE {OF_FLAG} AND type = 'freeze' LIMIT 1", (flag,)) is not None

    def unfinished_rollbacks(self, service: str) -> list[Action]:
        """A service's rollbacks that have not ended, oldest first."""
        sql = f"SELECT {rows.ACTION} FROM action WHERE type = 'rollback' AND {UNFINISHED} AND service = ?"
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
        where = " AND ".join(f"{name} = ?" for name in given) or "TRUE"
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

    def thread(self, *, channel: str, service: str, incident: str) -> str:
        """The newest `thread` in the receipts of a channel for an incident; "" if no receipt names one.

        An incident is named after its first episode, and earlier receipts are not read.
        """
        row = self._one(
            "SELECT json_extract(result, '$.thread') FROM action WHERE service = ? AND type = 'notify' AND name = ? "
            "AND updated_at >= coalesce((SELECT opened_at FROM episode WHERE id = ?), '') "
            "AND json_extract(payload, '$.incident') = ? AND json_extract(result, '$.thread') IS NOT NULL "
            "ORDER BY updated_at DESC, id DESC LIMIT 1",
            (service, channel, incident, incident),
        )
        return row[0] if row else ""

    # decisions, policies, notices

    def decisions(self, *, after: int = 0, limit: int = 1000) -> list[Recorded]:
        """Decisions after a number, in order."""
        sql = f"SELECT {rows.DECISION} FROM decision WHERE seq > ? ORDER BY seq LIMIT ?"
        return [rows.recorded_of(row) for row in self._all(sql, (after, limit))]

    def last_decisions(self, limit: int) -> list[Recorded]:
        """The last decisions, in order."""
        sql = f"SELECT {rows.DECISION} FROM decision ORDER BY seq DESC LIMIT ?"
        return [rows.recorded_of(row) for row in reversed(self._all(sql, (limit,)))]

    def all_decisions(self) -> Iterator[Recorded]:
        """Every decision, in order, some at a time."""
        after = 0
        while found := self.decisions(after=after, limit=READ_AT_ONCE):
            yield from found
            after = found[-1].seq

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
