"""The questions about feature flags: which actions set a flag of a file, and which of them have been taken back."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.decide.feature_flags import Switches
from receiver.decide.model import Action
from receiver.journal import rows
from receiver.journal.host_view import HostViews


class SwitchViews(HostViews):
    """What is known of feature flags."""

    def switches(self, file: str) -> Switches:
        """The switches of one file that have not been taken back, and the unfinished actions that take back."""
        sql = (
            f"SELECT {rows.ACTION} FROM action WHERE type = 'switch' AND json_extract(payload, '$.file') = ? AND NOT "
            "EXISTS (SELECT 1 FROM action AS back WHERE back.key = 'switch_back:' || action.id "
            "AND back.state IN ('SUCCEEDED', 'CANCELLED')) ORDER BY id"
        )
        switches = [rows.action_of(row) for row in self._all(sql, (file,))]
        backs: list[Action] = []
        for chunk in rows.chunks([f"switch_back:{one.id}" for one in switches]):
            found = self._all(f"SELECT {rows.ACTION} FROM action WHERE key IN ({rows.marks_for(chunk)})", chunk)
            backs += [rows.action_of(row) for row in found]
        return Switches(file=file, switches=tuple(switches), backs=tuple(backs))

    def switches_of(self, episodes: Sequence[str]) -> list[Action]:
        """The switches that hold feature flags for these episodes, oldest first."""
        found: dict[str, Action] = {}
        for chunk in rows.chunks(episodes):
            sql = (
                f"SELECT {rows.ACTION} FROM (SELECT action AS shared FROM rollback_episode "
                f"WHERE episode IN ({rows.marks_for(chunk)})) AS held CROSS JOIN action "
                "WHERE id = shared AND type = 'switch' ORDER BY id"
            )
            found |= {row[0]: rows.action_of(row) for row in self._all(sql, chunk)}
        return list(found.values())

    def sharing_episodes(self, action: str) -> list[str]:
        """The episodes that share a rollback or a switch."""
        return [row[0] for row in self._all("SELECT episode FROM rollback_episode WHERE action = ?", (action,))]
