"""The questions about flags, their reasons, and the conditions to unfreeze."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.decide.model import LISTED_MAX, FlagView, FreezeReason
from receiver.journal import rows
from receiver.journal.alert_view import AlertView
from receiver.journal.questions import UNFINISHED
from receiver.journal.store import NO_LIMIT

OF_FLAG = f"type IN ('freeze', 'unfreeze') AND {UNFINISHED} AND json_extract(payload, '$.flag') = ?"
"""Selects the unfinished actions of one flag."""


ROLLBACKS_NAMED = 20
"""How many of a service's last rollbacks its flag names, so that another journal does not repeat them."""


class FlagViews(AlertView):
    """What is known of flags."""

    def freeze_reasons(
        self, *, flag: str | None = None, episode: str | None = None, held: bool | None = None, limit: int = NO_LIMIT
    ) -> list[FreezeReason]:
        """Reasons of a flag or an episode. `held` selects reasons in force (True) or ended reasons (False)."""
        where, parameters = ["TRUE"], []
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
            "ORDER BY since, episode) AS place FROM freeze_reason WHERE ended_at IS NULL) AS r "
            "WHERE place <= ? "
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

    def unwritten_flags(self) -> frozenset[str]:
        """Flags that must exist, and were written for none of their reasons in force. One reason stops pipelines."""
        sql = "SELECT flag FROM freeze_reason WHERE ended_at IS NULL GROUP BY flag HAVING count(written_at) = 0"
        return frozenset(row[0] for row in self._all(sql))

    def held_flags(self) -> dict[str, int]:
        """The number of reasons in force of each flag that has any."""
        return dict(self._all("SELECT flag, count(*) FROM freeze_reason WHERE ended_at IS NULL GROUP BY flag"))

    def flag_view(self, path: str) -> FlagView:
        """What is known about one flag, as of now."""
        freeze_reasons = self.freeze_reasons(flag=path, held=True, limit=LISTED_MAX)
        count, unwritten = len(freeze_reasons), [one for one in freeze_reasons if one.written_at is None]
        if count == LISTED_MAX:
            count, unwritten = self._unlisted(path)
        row = self._one(f"SELECT {rows.FLAG_FILE} FROM flag_file WHERE path = ?", (path,))
        unfinished = self._all(f"SELECT {rows.ACTION} FROM action WHERE {OF_FLAG} ORDER BY id", (path,))
        episodes = self.episodes([freeze_reason.episode for freeze_reason in freeze_reasons])
        service = next((episode.service for episode in episodes.values()), "")
        begun = self._all(
            f"SELECT {rows.ACTION} FROM action WHERE service = ? AND type = 'rollback' AND attempt > 0 "
            "AND state <> 'PENDING' ORDER BY updated_at DESC, id DESC LIMIT ?",
            (service, ROLLBACKS_NAMED),
        )
        return FlagView(
            path=path,
            seq=self.head()[0],
            freeze_reasons=tuple(freeze_reasons),
            count=count,
            episodes=episodes,
            file=rows.flag_file_of(row) if row else None,
            unwritten=tuple(unwritten),
            unfinished=tuple(rows.action_of(row) for row in unfinished),
            rollbacks=tuple(rows.action_of(row) for row in begun),
        )

    def _unlisted(self, path: str) -> tuple[int, list[FreezeReason]]:
        """Of a flag with very many reasons in force: their number, and all that were not written yet, oldest first."""
        (count,) = self._one("SELECT count(*) FROM freeze_reason WHERE flag = ? AND ended_at IS NULL", (path,)) or (0,)
        unwritten = self._all(
            f"SELECT {rows.FREEZE_REASON} FROM freeze_reason WHERE flag = ? AND ended_at IS NULL "
            "AND written_at IS NULL ORDER BY since, episode",
            (path,),
        )
        return count, [rows.freeze_reason_of(row) for row in unwritten]

    def flags(self) -> dict[str, str]:
        """The service of every flag that was ever written or has a freeze reason."""
        sql = (
            "SELECT flag, (SELECT service FROM episode WHERE id = first) FROM "
            "(SELECT flag, min(episode) AS first FROM freeze_reason WHERE ended_at IS NULL GROUP BY flag) AS held "
            "UNION SELECT path, service FROM flag_file"
        )
        return dict(self._all(sql))

    def has_written_reason(self, flag: str) -> bool:
        """Whether a reason in force stands in a flag's file. Costs the same for one reason and for ten thousand."""
        sql = (
            "SELECT EXISTS (SELECT 1 FROM freeze_reason WHERE flag = ? AND ended_at IS NULL AND written_at IS NOT NULL)"
        )
        return bool(self._all(sql, (flag,))[0][0])

    def condition_held(self, policy_sha256: str, rule: str) -> dict[str, tuple[datetime, datetime]]:
        """Since when each of a rule's conditions to unfreeze has been true, and the time of the last check."""
        sql = "SELECT condition, true_since, checked_at FROM condition_held WHERE policy_sha256 = ? AND rule = ?"
        return {
            row[0]: (datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2]))
            for row in self._all(sql, (policy_sha256, rule))
        }
