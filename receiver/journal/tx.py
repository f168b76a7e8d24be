"""What a transaction may change. Only the journal's writer thread runs these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from receiver.decide.model import (
    ACTION_MOVES,
    EPISODE_MOVES,
    FINAL_STATES,
    Action,
    ActionState,
    ActionType,
    Alert,
    AlertStatus,
    Decision,
    Episode,
    EpisodeState,
    FlagFile,
    ForbiddenMoveError,
    FreezeReason,
    Seen,
    stamp,
)
from receiver.journal import chain, rows
from receiver.journal.exclusive import Facts, repeats
from receiver.journal.several import Leads
from receiver.journal.view import View
from receiver.policy.model import Policies


class Tx(Leads):
    """Writes, each with the decision that explains the write."""

    def probe(self) -> None:
        """Change something of the database, so that the commit must reach the disk. Says nothing new."""
        self._run("UPDATE meta SET value = value WHERE key = 'version'")

    # deliveries and alerts

    def insert_delivery(self, sha256: str, body: bytes) -> None:
        """Keep a body, or count a known one once more."""
        self.body_bytes += len(body)
        self._buffer.deliveries.append((sha256, body, self._at))

    def seen(self, fingerprints: Sequence[str]) -> dict[str, Seen]:
        """The last state of these alerts."""
        seen_now, cached = self._seen_now, self.caches.seen
        missing = [one for one in fingerprints if one not in seen_now and one not in cached]
        if missing:
            found = View.seen(self, missing)
            seen_now.update({one: found.get(one) for one in missing})
        known: dict[str, Seen] = {}
        for one in fingerprints:
            seen = seen_now[one] if one in seen_now else cached[one]
            if seen is not None:
                known[one] = self.caches.last_seen.latest(seen)
        return known

    def newest_episodes(self, fingerprints: Sequence[str]) -> dict[str, list[Episode]]:
        """The newest episode of each rule, by alert."""
        cached = self.caches.episodes
        missing = [one for one in fingerprints if one not in cached]
        if missing:
            found = View.newest_episodes(self, missing)
            cached.update({one: found.get(one, []) for one in missing})
        return {one: episodes for one in fingerprints if (episodes := cached[one])}

    def _facts(self, fingerprint: str) -> Facts | None:
        """What is in memory about an alert, as the very objects; None where the database has to be asked.

        The time of the alert's last message may be an older one.
        """
        episodes = self.caches.episodes.get(fingerprint)
        if episodes is None:
            return None
        if fingerprint in self._seen_now:
            return self._seen_now[fingerprint], episodes
        if fingerprint in self.caches.seen:
            return self.caches.seen[fingerprint], episodes
        return None

    def is_quiet(self, alert: Alert, policies: Policies) -> bool:
        """Whether an alert repeats a message that changed nothing, and everything known then is what is known now."""
        then = self.caches.quiet.recall(alert.fingerprint, policies)
        now = self._facts(alert.fingerprint) if then is not None else None
        if then is None or now is None:
            return False
        return now[0] is then[0] and now[1] is then[1] and repeats(alert, now[0])

    def changed_nothing(self, alert: Alert, policies: Policies) -> None:
        """Remember that an alert's message changed nothing, for `is_quiet`."""
        facts = self._facts(alert.fingerprint)
        if facts is not None:
            self.caches.quiet.remember(alert.fingerprint, policies, facts)

    def touch_alert(self, fingerprint: str) -> None:
        """An exact repeat: only the time is new."""
        self.caches.last_seen.touch(fingerprint, self.now)

    def upsert_alert(self, alert: Alert, before: Seen | None) -> None:
        """Store the last message of an alert. The end of its last resolve stays while it fires again.

        A repeat, which nearly every message is, leaves labels and annotations as they were.
        """
        ends_at = alert.ends_at or (before.ends_at if before else None)
        resolved = alert.status is AlertStatus.RESOLVED
        is_repeat = (
            before is not None
            and alert.status is before.status
            and alert.labels == before.labels
            and ends_at == before.ends_at
        )
        self._seen_now[alert.fingerprint] = Seen(
            fingerprint=alert.fingerprint,
            status=alert.status,
            starts_at=alert.starts_at,
            ends_at=ends_at,
            last_at=self.now,
            labels=alert.labels,
            annotations=before.annotations if before is not None and is_repeat else alert.annotations,
            unconfirmed_since=None if before is None or (resolved and not is_repeat) else before.unconfirmed_since,
        )
        if before is not None and is_repeat and before.starts_at == alert.starts_at:
            self.touch_alert(alert.fingerprint)
            return
        starts_at = stamp(alert.starts_at)
        if is_repeat:
            self._buffer.restarts.append((alert.fingerprint, starts_at, self._at))
            return
        if any(row[0] == alert.fingerprint for row in self._buffer.restarts):
            self._sync()
        self._buffer.alerts.append(
            (
                alert.fingerprint,
                alert.status.value,
                starts_at,
                rows.maybe(ends_at),
                self._at,
                rows.pack(alert.labels),
                rows.pack(alert.annotations),
                None,
            )
        )

    def set_unconfirmed(self, fingerprint: str, *, since: datetime | None) -> None:
        """A firing waits for Alertmanager's answer, or (`since` None) no longer. An earlier wait keeps its time."""
        self.acted = True
        if since is None:
            seen = self.seen([fingerprint]).get(fingerprint)
            if seen is None or seen.unconfirmed_since is None:
                return
            self._run("UPDATE alert_seen SET unconfirmed_since = NULL WHERE fingerprint = ?", (fingerprint,))
        else:
            self._run(
                "UPDATE alert_seen SET unconfirmed_since = coalesce(unconfirmed_since, ?) WHERE fingerprint = ?",
                (stamp(since), fingerprint),
            )
        self._seen_now[fingerprint] = View.seen(self, [fingerprint]).get(fingerprint)

    # episodes and freeze reasons

    def incident(self, service: str) -> str | None:
        """Identifier of a service's incident, asked once in a transaction."""
        incidents = self.answers.incidents
        if service not in incidents:
            incidents[service] = super().incident(service)
        return incidents[service]

    def add_episode(self, episode: Episode) -> None:
        """Store a new episode. A second live episode, which is a planner's bug, makes the work fail at its end."""
        self.acted = True
        self.caches.episodes.pop(episode.fingerprint, None)
        if self.answers.incidents.get(episode.service, "") is None:
            self.answers.incidents[episode.service] = episode.incident
        self._buffer.episodes.append(rows.episode_row(episode))

    def move_episode(self, episode: Episode, to: EpisodeState) -> None:
        """Change an episode's state. Raises ForbiddenMoveError for a move that EPISODE_MOVES does not allow."""
        self.acted = True
        if to not in EPISODE_MOVES[episode.state]:
            raise ForbiddenMoveError(f"episode {episode.id}: {episode.state} → {to}")
        self.caches.episodes.pop(episode.fingerprint, None)
        if to in {EpisodeState.CLOSED, EpisodeState.EXPIRED}:
            self.answers.incidents.pop(episode.service, None)
        if any(row[0] == episode.id for row in self._buffer.moves):
            self._sync()
        self._buffer.moves.append((episode.id, to.value, self._at))

    def set_review(self, episode_id: str, at: datetime) -> None:
        """Postpone an episode's review."""
        self.acted = True
        self.caches.episodes.clear()
        self._run("UPDATE episode SET review_at = ? WHERE id = ?", (stamp(at), episode_id))

    def acknowledge(self, incident: str, by: str) -> None:
        """Mark the live episodes of an incident as acknowledged."""
        self.acted = True
        self.caches.episodes.clear()
        self._run(
            "UPDATE episode SET acked_at = ?, acked_by = ? WHERE incident = ? AND acked_at IS NULL",
            (self._at, by, incident),
        )

    def add_freeze_reason(self, freeze_reason: FreezeReason) -> None:
        """Store a reason for a flag."""
        self._newly_held[freeze_reason.flag] = None
        self._buffer.reasons.append(
            (freeze_reason.flag, freeze_reason.episode, freeze_reason.reason, stamp(freeze_reason.since))
        )

    def freeze_reasons_written(self, flag: str, episodes: Sequence[str], file: FlagFile) -> None:
        """Note that the flag on disk now stands for these episodes too."""
        self.acted = True
        at = stamp(file.written_at)
        for chunk in rows.chunks(episodes):
            self._run(
                f"UPDATE freeze_reason SET written_at = ? WHERE flag = ? AND episode IN ({rows.marks_for(chunk)}) "
                "AND written_at IS NULL",
                (at, flag, *chunk),
            )
        self.put_flag_file(file)

    def put_flag_file(self, file: FlagFile) -> None:
        """Remember the last text of a flag, or that the flag was removed."""
        self._run(
            f"INSERT INTO flag_file ({rows.FLAG_FILE}) VALUES ({rows.marks(rows.FLAG_FILE)}) "
            "ON CONFLICT (path) DO UPDATE SET service = excluded.service, generation = excluded.generation, "
            "text = excluded.text, written_at = excluded.written_at, legacy_on = excluded.legacy_on",
            (file.path, file.service, file.generation, file.text, stamp(file.written_at), int(file.legacy_on)),
        )

    def legacy_switched(self, flag: str, *, on: bool) -> None:
        """Note that a flag's legacy freezers are on, or that they are to be switched off."""
        self._run("UPDATE flag_file SET legacy_on = ? WHERE path = ?", (int(on), flag))

    def end_freeze_reason(self, freeze_reason: FreezeReason, *, by: str, reason: str) -> None:
        """End one reason for a flag."""
        self.acted = True
        self.answers.incidents.clear()
        self._buffer.ended.append((freeze_reason.flag, freeze_reason.episode, self._at, by, reason))

    def condition_true(self, policy_sha256: str, rule: str, condition: str, *, since: datetime) -> None:
        """Note that a rule's condition to unfreeze is true now, and since when."""
        self._run(
            "INSERT INTO condition_held (policy_sha256, rule, condition, true_since, checked_at) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (policy_sha256, rule, condition) DO UPDATE SET "
            "true_since = excluded.true_since, checked_at = excluded.checked_at",
            (policy_sha256, rule, condition, stamp(since), self._at),
        )

    def condition_false(self, policy_sha256: str, rule: str, condition: str) -> None:
        """Note that a rule's condition to unfreeze is false now, or could not be read."""
        self._run(
            "DELETE FROM condition_held WHERE policy_sha256 = ? AND rule = ? AND condition = ?",
            (policy_sha256, rule, condition),
        )

    # actions

    def add_action(self, action: Action) -> bool:
        """Store an action. If its key is known: False, and nothing changes."""
        changed = self._run(
            f"INSERT INTO action ({rows.ACTION}, updated_at) VALUES ({rows.marks(rows.ACTION)}, ?) "
            "ON CONFLICT (key) DO NOTHING",
            (*rows.action_row(action), self._at),
        )
        self.acted |= bool(changed)
        self._actions_changed(action)
        return bool(changed)

    def _actions_changed(self, action: Action) -> None:
        if action.type is ActionType.ROLLBACK:
            self.answers.rollbacks.pop(action.service, None)
            self.answers.ended.clear()
        elif action.type is ActionType.FREEZE:
            self.answers.freezing.clear()
        elif action.type in {ActionType.SWITCH, ActionType.SWITCH_BACK}:
            self.answers.switching.clear()

    def is_freezing(self, flag: str) -> bool:
        """Whether an unfinished action freezes a flag: this action then freezes for a new reason as well."""
        freezing = self.answers.freezing
        if flag not in freezing:
            freezing[flag] = super().is_freezing(flag)
        return freezing[flag]

    def unfinished_rollbacks(self, service: str) -> list[Action]:
        """A service's rollbacks that have not ended, asked once in a transaction."""
        rollbacks = self.answers.rollbacks
        if service not in rollbacks:
            rollbacks[service] = super().unfinished_rollbacks(service)
        return rollbacks[service]

    def ended_rollbacks(self, service: str, since: datetime) -> list[Action]:
        """A service's rollbacks that were started and ended after a time, asked once in a transaction."""
        ended = self.answers.ended
        if (service, since) not in ended:
            started = self.rollbacks_started(service, since)
            ended[service, since] = [one for one, _ in started if one.state in FINAL_STATES]
        return ended[service, since]

    def switch_to_join(self, payload: Mapping[str, str]) -> str | None:
        """The switch that already gives a flag these values, asked once in a transaction."""
        wanted = tuple(sorted(payload.items()))
        switching = self.answers.switching
        if wanted not in switching:
            holders = self.switches(payload["file"]).holders(payload["flag"])
            switching[wanted] = holders[-1].id if holders and holders[-1].payload == payload else None
        return switching[wanted]

    def leave_switches(self, episodes: Sequence[str]) -> list[Action]:
        """Episodes need their feature flags no longer. The answer is every switch that no episode needs any more."""
        shared = self.switches_of(episodes)
        for chunk in rows.chunks(episodes):
            for switch in shared:
                self._run(
                    f"DELETE FROM rollback_episode WHERE action = ? AND episode IN ({rows.marks_for(chunk)})",
                    (switch.id, *chunk),
                )
        return [switch for switch in shared if not self.sharing_episodes(switch.id)]

    def join(self, action: str, episode: str) -> None:
        """Note that an episode shares a rollback or a switch."""
        self._buffer.joined.append((action, episode))

    def leave_rollbacks(self, episode: Episode) -> None:
        """An episode needs its rollback no longer. A rollback that has not begun passes to another of its episodes."""
        pending = [one for one in self.unfinished_rollbacks(episode.service) if one.state is ActionState.PENDING]
        if not pending:
            return
        self._run(
            "DELETE FROM rollback_episode WHERE episode = ? AND action IN "
            "(SELECT id FROM action WHERE service = ? AND type = 'rollback')",
            (episode.id, episode.service),
        )
        if any(action.episode == episode.id for action in pending):
            self._run(
                "UPDATE action SET episode = coalesce((SELECT min(episode) FROM rollback_episode "
                "WHERE action = action.id), episode) WHERE episode = ? AND type = 'rollback' AND state = 'PENDING'",
                (episode.id,),
            )
            self.answers.rollbacks.pop(episode.service, None)

    def move(self, action: Action, *path: ActionState, **changes: object) -> Action:
        """Move an action along `path`, with other changes at the end. Raises ForbiddenMoveError as `save_action`."""
        start = action.state
        for step in path:
            if step not in ACTION_MOVES[action.state]:
                raise ForbiddenMoveError(f"action {action.id}: {action.state} → {step}")
            action = replace(action, state=step)
        action = replace(action, **changes)
        assignments = ", ".join(f"{column} = ?" for column in rows.ACTION.split(", "))
        changed = self._run(
            f"UPDATE action SET {assignments}, updated_at = ? WHERE id = ? AND state = ?",
            (*rows.action_row(action), self._at, action.id, start.value),
        )
        if changed != 1:
            raise ForbiddenMoveError(f"action {action.id} is no longer {start}")
        if action.type is ActionType.ROLLBACK and action.state in FINAL_STATES:
            self._run("DELETE FROM rollback_episode WHERE action = ?", (action.id,))
        self.acted = True
        self._actions_changed(action)
        return action

    # policies, notices, retention

    def put_policies(self, texts: Mapping[str, tuple[str, str]]) -> None:
        """Make these the policies in force, by name: (hash, text)."""
        at = self._at
        for name, (sha256, body) in texts.items():
            self._run(
                "INSERT INTO policy (sha256, name, body, first_at) VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
                (sha256, name, body, at),
            )
        self._run("DELETE FROM policy_in_force")
        self._sync()
        self._db.executemany(
            "INSERT INTO policy_in_force (name, sha256, since) VALUES (?, ?, ?)",
            [(name, sha256, at) for name, (sha256, _) in texts.items()],
        )

    def publish(self, key: str, body: Mapping[str, object], decision: Decision) -> int:
        """Put a notice on the event stream, once per key. Returns the notice's number there."""
        row = self._one("SELECT seq FROM notice WHERE key = ?", (key,))
        if row is not None:
            return int(row[0])
        seq = self.note(decision)
        text = json.dumps({"seq": seq, **body}, ensure_ascii=True, separators=(",", ":"))
        self._run("INSERT INTO notice (key, seq, body) VALUES (?, ?, ?)", (key, seq, text))
        return seq

    def prune(self, *, bodies_before: datetime, decisions_before: datetime) -> int:
        """Drop old bodies and decisions, confirm this by a checkpoint row, and return the number of dropped rows."""
        self._run(
            "UPDATE delivery SET body = NULL WHERE last_at < ? AND body IS NOT NULL "
            "AND id NOT IN (SELECT delivery FROM waiting_alert)",
            (stamp(bodies_before),),
        )
        row = self._one(
            "SELECT seq, hash FROM decision WHERE at < ? ORDER BY seq DESC LIMIT 1", (stamp(decisions_before),)
        )
        if row is None or row[0] == self.head()[0]:
            return 0
        last, digest = row
        sentence = f"Dropped decisions up to {last}, whose hash was {digest}"
        self.note(Decision(kind=chain.CHECKPOINT, sentence=sentence))
        dropped = self._run("DELETE FROM decision WHERE seq <= ?", (last,))
        self._run("DELETE FROM notice WHERE seq <= ?", (last,))
        old = stamp(self.now - timedelta(days=400))
        self._run("DELETE FROM delivery WHERE body IS NULL AND last_at < ?", (old,))
        self.caches.deliveries.forget()
        return int(dropped)
