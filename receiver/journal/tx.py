"""What a transaction may change. Only the journal's writer thread runs these."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from receiver.journal import chain, rows
from receiver.journal.view import View
from receiver.model import (
    ACTION_MOVES,
    EPISODE_MOVES,
    EPOCH,
    Action,
    ActionState,
    Alert,
    AlertStatus,
    Decision,
    Episode,
    EpisodeState,
    FlagFile,
    ForbiddenMoveError,
    Hold,
    Seen,
    stamp,
)


class Tx(View):
    """Writes, each with the decision that explains it. `now` is one time for the whole transaction.

    `acted` says that worker and reconciler have something to look at.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.now = EPOCH
        self.acted = False
        self._head: tuple[int, str] | None = None

    def begin(self, now: datetime) -> None:
        """Start over: forget what an earlier transaction left here."""
        self.now = now
        self.acted = False
        self._head = None

    def forget_head(self) -> None:
        """After a rollback to a savepoint the remembered head may be gone."""
        self._head = None

    def head(self) -> tuple[int, str]:
        """Number and hash of the last decision, this transaction's included."""
        if self._head is None:
            self._head = super().head()
        return self._head

    def note(self, decision: Decision) -> int:
        """Append one decision to the chain and return its number."""
        seq, prev_hash = self.head()
        seq, at = seq + 1, stamp(self.now)
        digest = chain.row_hash(prev_hash, seq, at, decision)
        self._db.execute(
            f"INSERT INTO decision ({rows.DECISION}) VALUES ({rows.marks(rows.DECISION)})",
            (
                seq,
                at,
                decision.kind,
                decision.sentence,
                decision.delivery,
                decision.episode,
                decision.action,
                decision.trace_id,
                prev_hash,
                digest,
            ),
        )
        self._head = (seq, digest)
        return seq

    # deliveries and alerts

    def took_delivery(self, sha256: str, body: bytes) -> None:
        """Keep a body, or count a known one once more."""
        at = stamp(self.now)
        self._db.execute(
            "INSERT INTO delivery (sha256, body, first_at, last_at, count) VALUES (?, ?, ?, ?, 1) "
            "ON CONFLICT (sha256) DO UPDATE SET last_at = excluded.last_at, count = count + 1",
            (sha256, body, at, at),
        )

    def saw(self, alert: Alert, before: Seen | None) -> None:
        """Remember what was last heard of an alert. The end of its last resolve stays while it fires again."""
        at = stamp(self.now)
        starts_at = stamp(alert.starts_at)
        if before is not None and alert.labels == before.labels and alert.status == before.status:
            ended = rows.maybe(alert.ends_at or before.ends_at)
            sql = "UPDATE alert_seen SET starts_at = ?, ends_at = ?, last_at = ?, annotations = ? WHERE fingerprint = ?"
            self._db.execute(sql, (starts_at, ended, at, rows.pack(alert.annotations), alert.fingerprint))
            return
        ends_at = alert.ends_at or (before.ends_at if before else None)
        row = (
            alert.fingerprint,
            alert.status.value,
            starts_at,
            rows.maybe(ends_at),
            at,
            rows.pack(alert.labels),
            rows.pack(alert.annotations),
            None,
        )
        self._db.execute(
            f"INSERT INTO alert_seen ({rows.SEEN}) VALUES ({rows.marks(rows.SEEN)}) "
            "ON CONFLICT (fingerprint) DO UPDATE SET status = excluded.status, starts_at = excluded.starts_at, "
            "ends_at = excluded.ends_at, last_at = excluded.last_at, labels = excluded.labels, "
            "annotations = excluded.annotations",
            row,
        )
        if alert.status is AlertStatus.RESOLVED:
            self.set_unconfirmed(alert.fingerprint, since=None)

    def set_unconfirmed(self, fingerprint: str, *, since: datetime | None) -> None:
        """A firing waits for Alertmanager's word since then, or (None) no longer; an earlier wait keeps its time."""
        self.acted = True
        self._db.execute(
            "UPDATE alert_seen SET unconfirmed_since = CASE WHEN ?1 IS NULL THEN NULL "
            "ELSE coalesce(unconfirmed_since, ?1) END WHERE fingerprint = ?2",
            (rows.maybe(since), fingerprint),
        )

    # episodes and holds

    def add_episode(self, episode: Episode) -> None:
        """Store a new episode. Raises sqlite3.IntegrityError where a live one exists: a bug of the planner."""
        self.acted = True
        self._db.execute(
            f"INSERT INTO episode ({rows.EPISODE}) VALUES ({rows.marks(rows.EPISODE)})", rows.episode_row(episode)
        )

    def move_episode(self, episode: Episode, to: EpisodeState) -> None:
        """Change an episode's state. Raises ForbiddenMoveError where EPISODE_MOVES does not lead there."""
        self.acted = True
        if to not in EPISODE_MOVES[episode.state]:
            raise ForbiddenMoveError(f"episode {episode.id}: {episode.state} → {to}")
        at = stamp(self.now)
        column = {EpisodeState.RESOLVING: "resolved_at = ?", EpisodeState.OPEN: "resolved_at = iif(?, NULL, NULL)"}
        what = column.get(to, "closed_at = ?")
        self._db.execute(f"UPDATE episode SET state = ?, {what} WHERE id = ?", (to.value, at, episode.id))
        if to is EpisodeState.OPEN or to in {EpisodeState.CLOSED, EpisodeState.EXPIRED}:
            self._db.execute("DELETE FROM condition_held WHERE episode = ?", (episode.id,))

    def set_review(self, episode_id: str, at: datetime) -> None:
        """Postpone an episode's review."""
        self.acted = True
        self._db.execute("UPDATE episode SET review_at = ? WHERE id = ?", (stamp(at), episode_id))

    def acknowledge(self, incident: str, by: str) -> None:
        """Mark the live episodes of an incident as acknowledged."""
        self.acted = True
        self._db.execute(
            "UPDATE episode SET acked_at = ?, acked_by = ? WHERE incident = ? AND acked_at IS NULL",
            (stamp(self.now), by, incident),
        )

    def add_hold(self, hold: Hold) -> None:
        """Store a reason for a flag."""
        self._db.execute(
            "INSERT INTO hold (flag, episode, reason, since) VALUES (?, ?, ?, ?)",
            (hold.flag, hold.episode, hold.reason, stamp(hold.since)),
        )

    def holds_written(self, flag: str, episodes: Iterable[str], file: FlagFile) -> None:
        """The flag on disk now names these episodes."""
        self.acted = True
        at = stamp(file.written_at)
        self._db.executemany(
            "UPDATE hold SET written_at = coalesce(written_at, ?) WHERE flag = ? AND episode = ?",
            [(at, flag, episode) for episode in episodes],
        )
        self.put_flag_file(file)

    def put_flag_file(self, file: FlagFile) -> None:
        """Remember what was last written to a flag, or that it was taken away."""
        self._db.execute(
            f"INSERT INTO flag_file ({rows.FLAG_FILE}) VALUES ({rows.marks(rows.FLAG_FILE)}) "
            "ON CONFLICT (path) DO UPDATE SET service = excluded.service, generation = excluded.generation, "
            "text = excluded.text, written_at = excluded.written_at",
            (file.path, file.service, file.generation, file.text, stamp(file.written_at)),
        )

    def release_hold(self, hold: Hold, *, by: str, reason: str) -> None:
        """End one reason for a flag."""
        self.acted = True
        self._db.execute(
            "UPDATE hold SET released_at = ?, released_by = ?, release_reason = ? "
            "WHERE flag = ? AND episode = ? AND released_at IS NULL",
            (stamp(self.now), by, reason, hold.flag, hold.episode),
        )

    def condition_true(self, episode: str, condition: str, *, since: datetime) -> None:
        """A release condition was found true now, and has been since then."""
        self._db.execute(
            "INSERT INTO condition_held (episode, condition, true_since, checked_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (episode, condition) DO UPDATE SET true_since = excluded.true_since, "
            "checked_at = excluded.checked_at",
            (episode, condition, stamp(since), stamp(self.now)),
        )

    def condition_false(self, episode: str, condition: str) -> None:
        """A release condition was found not true, or could not be read."""
        self._db.execute("DELETE FROM condition_held WHERE episode = ? AND condition = ?", (episode, condition))

    # actions

    def add_action(self, action: Action) -> bool:
        """Store an action; False where its key is known, and then nothing changes."""
        cursor = self._db.execute(
            f"INSERT INTO action ({rows.ACTION}, updated_at) VALUES ({rows.marks(rows.ACTION)}, ?) "
            "ON CONFLICT (key) DO NOTHING",
            (*rows.action_row(action), stamp(self.now)),
        )
        self.acted |= bool(cursor.rowcount)
        return bool(cursor.rowcount)

    def move(self, action: Action, *path: ActionState, **changes: object) -> Action:
        """Take an action along `path`, with other changes at its end. Raises ForbiddenMoveError as `save_action`."""
        start = action.state
        for step in path:
            if step not in ACTION_MOVES[action.state]:
                raise ForbiddenMoveError(f"action {action.id}: {action.state} → {step}")
            action = replace(action, state=step)
        action = replace(action, **changes)  # type: ignore[arg-type]
        assignments = ", ".join(f"{column} = ?" for column in rows.ACTION.split(", "))
        cursor = self._db.execute(
            f"UPDATE action SET {assignments}, updated_at = ? WHERE id = ? AND state = ?",
            (*rows.action_row(action), stamp(self.now), action.id, start.value),
        )
        if cursor.rowcount != 1:
            raise ForbiddenMoveError(f"action {action.id} is no longer {start}")
        self.acted = True
        return action

    # policies, notices, retention

    def put_policies(self, texts: Mapping[str, tuple[str, str]]) -> None:
        """Make these the policies in force, by name: (hash, text)."""
        at = stamp(self.now)
        for name, (sha256, body) in texts.items():
            self._db.execute(
                "INSERT INTO policy (sha256, name, body, first_at) VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
                (sha256, name, body, at),
            )
        self._db.execute("DELETE FROM policy_in_force")
        self._db.executemany(
            "INSERT INTO policy_in_force (name, sha256, since) VALUES (?, ?, ?)",
            [(name, sha256, at) for name, (sha256, _) in texts.items()],
        )

    def publish(self, key: str, body: Mapping[str, object], decision: Decision) -> int:
        """Put a notice on the event stream, once per key; returns the number it has there."""
        row = self._one("SELECT seq FROM notice WHERE key = ?", (key,))
        if row is not None:
            return int(row[0])
        seq = self.note(decision)
        text = json.dumps({"seq": seq, **body}, ensure_ascii=True, separators=(",", ":"))
        self._db.execute("INSERT INTO notice (key, seq, body) VALUES (?, ?, ?)", (key, seq, text))
        return seq

    def prune(self, *, bodies_before: datetime, decisions_before: datetime) -> int:
        """Drop old bodies and decisions; a checkpoint row vouches for the dropped part. Returns rows dropped."""
        self._db.execute(
            "UPDATE delivery SET body = NULL WHERE last_at < ? AND body IS NOT NULL", (stamp(bodies_before),)
        )
        row = self._one(
            "SELECT seq, hash FROM decision WHERE at < ? ORDER BY seq DESC LIMIT 1", (stamp(decisions_before),)
        )
        if row is None or row[0] == self.head()[0]:
            return 0
        last, digest = row
        sentence = f"Dropped decisions up to {last}, whose hash was {digest}"
        self.note(Decision(kind=chain.CHECKPOINT, sentence=sentence))
        dropped = self._db.execute("DELETE FROM decision WHERE seq <= ?", (last,)).rowcount
        self._db.execute("DELETE FROM notice WHERE seq <= ?", (last,))
        old = stamp(self.now - timedelta(days=400))
        self._db.execute("DELETE FROM delivery WHERE body IS NULL AND last_at < ?", (old,))
        return int(dropped)
