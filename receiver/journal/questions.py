"""How the journal is asked: over one connection, row by row."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.decide.model import FINAL_STATES, ActionState
from receiver.journal import rows
from receiver.journal.store import Connection

_FINAL = "'SUCCEEDED', 'DEAD', 'CANCELLED', 'SKIPPED'"
"""FINAL_STATES in the words of the index `action_unfinished`: SQLite uses the index for this very text only."""

_NOT_FINAL = ", ".join(f"'{state}'" for state in ActionState if state not in FINAL_STATES)

UNFINISHED = f"state IN ({_NOT_FINAL}) AND state NOT IN ({_FINAL})"
"""Selects unfinished actions. The first half leads SQLite past all ended actions, the second half to the index."""


class Questions:
    """Reads over one connection. Every answer is a value; nothing stays open."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def _all(self, sql: str, parameters: Sequence[object] = ()) -> list[rows.Row]:
        return self._db.execute(sql, parameters).fetchall()

    def _one(self, sql: str, parameters: Sequence[object] = ()) -> rows.Row | None:
        found: rows.Row | None = self._db.execute(sql, parameters).fetchone()
        return found

    def head(self) -> tuple[int, str]:
        """Number and hash of the last decision."""
        row = self._one("SELECT seq, hash FROM decision ORDER BY seq DESC LIMIT 1")
        return (row[0], row[1]) if row else (0, "0" * 64)
