"""The reconciler: compares journal, Alertmanager, Prometheus and flags on disk, and repairs differences.

The reconciler also ends and reviews freezes when they are due (`escalator` escalates). Commits wake the reconciler, and
so does the next due time. A whole comparison runs every `reconcile_every_s`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from receiver.context import Context
from receiver.decide import plan
from receiver.decide.model import NO_TRACE, Alert, Episode, EpisodeState, seconds
from receiver.decide.plan import Change, ConditionState, Known
from receiver.journal import JournalError, Tx
from receiver.journal.record import record
from receiver.loops.sources import Alertmanager, Judgement, Prometheus, SourceError
from receiver.loops.sources import Known as AlertmanagerKnows
from receiver.loops.supervise import failed, succeeded, supervise
from receiver.plaintext import plain
from receiver.policy.model import Condition, Rule
from receiver.webhook.process import pending_rollbacks

log = logging.getLogger(__name__)

DOUBT_S = 30.0
"""If no Alertmanager answers for this long, a firing that may be stale opens an episode."""

ABSENT_S = 30.0
"""After this long without an alert in Alertmanager's API, and without a message, the alert's resolve counts as lost.

A shorter absence says nothing. A new alert is not in every API yet. A resolved alert leaves the API at once, and its
webhook comes with the next flush of the group: 10 s later at most (`group_interval`).
"""

CONDITION_EVERY_S = 5.0
CONDITION_GAP_S = 60.0
"""After a longer break between two checks, a condition must hold anew, because nobody knows its value in between."""

IDLE_S = 3600.0


class Cluster(Struct, frozen=True, kw_only=True):
    """What all Alertmanagers together know. `complete`: all answered, and all have run for long enough."""

    alerts: Mapping[str, Alert]
    ours: frozenset[str]
    reachable: bool
    complete: bool

    def firing(self, fingerprint: str) -> bool | None:
        """Whether an alert fires; None if unknown."""
        if fingerprint in self.alerts:
            return True
        return False if self.complete else None


class Reconciler:
    """Starts with `start`, ends with `stop`. `check_flag` compares a flag on disk, unless its lane is busy."""

    def __init__(
        self,
        context: Context,
        *,
        prometheus: Prometheus,
        alertmanagers: Sequence[Alertmanager],
        every_s: float,
        check_flag: Callable[[str], None],
    ) -> None:
        self._context = context
        self._prometheus = prometheus
        self._alertmanagers = alertmanagers
        self._every_s = every_s
        self._check_flag = check_flag
        self._time_wake = asyncio.Event()
        self._compare_wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._absent_since: dict[str, datetime] = {}
        self._stopping = False

    def start(self) -> None:
        """Begin."""
        self._context.journal.on_commit(self._on_commit)
        self._tasks = [
            asyncio.create_task(self._supervise("reconcile", self._compare_once, self._rest_compare)),
            asyncio.create_task(self._supervise("reconcile-time", self._time_once, self._rest_time)),
        ]

    def _supervise(
        self, name: str, work: Callable[[], Awaitable[float]], rest: Callable[[float], Awaitable[None]]
    ) -> Coroutine[Any, Any, None]:
        return supervise(self._context, name, work, rest, stopping=lambda: self._stopping)

    async def stop(self) -> None:
        """Finish the running passes, and end."""
        self._stopping = True
        self._time_wake.set()
        self._compare_wake.set()
        await asyncio.gather(*self._tasks)

    def compare_soon(self) -> None:
        """Compare now, because a delivery was truncated or a review is due."""
        self._compare_wake.set()

    def _on_commit(self, _head: int, acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        if acted:
            self._time_wake.set()

    async def _compare_once(self) -> float:
        """Compare, and return the seconds until the next comparison."""
        self._compare_wake.clear()
        await self.compare()
        doubts = await self._context.journal.read(lambda journal: journal.unconfirmed())
        return min(self._every_s, CONDITION_EVERY_S) if doubts else self._every_s

    async def _rest_compare(self, pause_s: float) -> None:
        await _rest(self._compare_wake, pause_s)

    async def _time_once(self) -> float:
        """Do what is due, and return the seconds until something else is due."""
        self._time_wake.clear()
        due_at = await self.keep_time()
        return (due_at - self._context.clock()).total_seconds()

    async def _rest_time(self, pause_s: float) -> None:
        await _rest(self._time_wake, pause_s)

    # comparing

    async def compare(self) -> None:
        """One whole comparison. Raises JournalError."""
        known = await self._context.journal.read(lambda journal: list(journal.flags()))
        for flag in dict.fromkeys((*known, *self._context.box.policies.flags())):
            self._check_flag(flag)
        cluster = await self.ask_alertmanagers()
        await self._context.journal.write(lambda tx: self._repair(tx, cluster))
        self._context.meters.reconciled.set(self._context.clock().timestamp())

    async def ask_alertmanagers(self) -> Cluster:
        """The joint knowledge of the Alertmanagers."""
        now = self._context.clock()
        answers: list[AlertmanagerKnows] = []
        for alertmanager in self._alertmanagers:
            try:
                answers.append(await alertmanager.known(now))
            except SourceError as error:
                log.warning("reconcile.alertmanager", extra={"url": alertmanager.url, "error": str(error)})
        alerts: dict[str, Alert] = {}
        for answer in answers:
            alerts.update(answer.alerts)
        everyone = bool(answers) and len(answers) == len(self._alertmanagers)
        return Cluster(
            alerts=alerts,
            ours=frozenset().union(*(answer.ours for answer in answers)),
            reachable=bool(answers),
            complete=everyone and all(answer.settled for answer in answers),
        )

    def _repair(self, tx: Tx, cluster: Cluster) -> None:
        self._settle_doubts(tx, cluster)
        self._find_lost_resolves(tx, cluster)
        self._find_lost_firings(tx, cluster)
        self._review(tx, cluster)

    def _record(self, tx: Tx, changes: Sequence[Change]) -> None:
        record(tx, changes, self._context.box.policies, ids=self._context.ids, trace=NO_TRACE)

    def _settle_doubts(self, tx: Tx, cluster: Cluster) -> None:
        """Open episodes for firings that may be stale: Alertmanager lists them, or has not answered for too long."""
        for seen in tx.unconfirmed():
            if seen.unconfirmed_since is None:
                continue
            waited = tx.now - seen.unconfirmed_since
            there = seen.fingerprint in cluster.alerts
            if there or (not cluster.reachable and waited >= seconds(DOUBT_S)):
                self._open(tx, cluster.alerts.get(seen.fingerprint, seen.as_firing()))
            elif cluster.reachable:
                name = plain(seen.labels.get("alertname", ""), 80)
                sentence = f"Alertmanager knows no firing {name}: it was an old message"
                doubted = plan.Doubted(fingerprint=seen.fingerprint, since=None, sentence=sentence)
                self._record(tx, [doubted])

    def _find_lost_resolves(self, tx: Tx, cluster: Cluster) -> None:
        """Resolve alerts that Alertmanager has not known for a while, though no resolve came."""
        absent: dict[str, datetime] = {}
        for episode in tx.live_episodes():
            if episode.state is not EpisodeState.OPEN or episode.policy == plan.OPERATOR_POLICY:
                continue
            if cluster.firing(episode.fingerprint) is not False:
                continue
            seen = tx.seen([episode.fingerprint]).get(episode.fingerprint)
            since = self._absent_since.get(episode.fingerprint, tx.now)
            since = since if seen is None else max(since, seen.last_at)
            if tx.now < since + seconds(ABSENT_S):
                absent[episode.fingerprint] = since
                continue
            why = (
                f"Alertmanager has not known {episode.alert} of {episode.service} as firing for {ABSENT_S:g} s, and "
                "sent no resolve: the resolve was lost"
            )
            self._record(tx, plan.resolve(episode, pending_rollbacks(tx, episode.id), why=why))
        self._absent_since = absent

    def _find_lost_firings(self, tx: Tx, cluster: Cluster) -> None:
        ours = [cluster.alerts[fingerprint] for fingerprint in sorted(cluster.ours)]
        episodes = tx.newest_episodes([alert.fingerprint for alert in ours])
        for alert in ours:
            newest = episodes.get(alert.fingerprint, [])
            matching = self._context.box.policies.matching(alert.labels)
            live = {(episode.policy, episode.rule) for episode in newest if episode.state is EpisodeState.OPEN}
            if alert.name != plan.WATCHDOG and any((policy.name, rule.id) not in live for policy, rule in matching):
                self._open(tx, alert)

    def _open(self, tx: Tx, alert: Alert) -> None:
        seen = tx.seen([alert.fingerprint]).get(alert.fingerprint)
        newest = tx.newest_episodes([alert.fingerprint]).get(alert.fingerprint, [])
        known = Known(seen=seen, episodes=newest, incident=tx.incident)
        changes = plan.on_firing(
            alert,
            known,
            self._context.box.policies,
            now=tx.now,
            ids=self._context.ids,
            trace=NO_TRACE,
            confirmed=True,
        )
        tx.upsert_alert(alert, seen)
        self._record(tx, changes)
        tx.set_unconfirmed(alert.fingerprint, since=None)

    def _review(self, tx: Tx, cluster: Cluster) -> None:
        for episode in tx.live_episodes():
            policy = self._context.policy_of(episode)
            rule = policy.rule(episode.rule) if policy else None
            if rule is None:
                continue
            freeze_reasons = tx.freeze_reasons(episode=episode.id, held=True)
            changes = plan.on_review(
                episode,
                freeze_reasons,
                firing=cluster.firing(episode.fingerprint),
                review_after_s=rule.unfreeze.review_after_s,
                now=tx.now,
            )
            self._record(tx, changes)

    # what time brings

    async def keep_time(self) -> datetime:
        """Do what is due by now, and return the next due time. Raises JournalError."""
        now = self._context.clock()
        due_at = now + seconds(IDLE_S)
        # Called after every commit that acted, so this must not read a storm's open episodes one by one.
        resolving, review_at, doubts = await self._context.journal.read(
            lambda journal: (journal.resolving_episodes(), journal.first_review(), journal.unconfirmed())
        )
        if doubts or (review_at is not None and review_at <= now):
            self.compare_soon()
        for episode in resolving:
            policy = self._context.policy_of(episode)
            rule = policy.rule(episode.rule) if policy else None
            if rule is not None:
                due_at = min(due_at, await self._unfreeze_apart(episode, rule))
        if review_at is not None:
            due_at = min(due_at, max(review_at, now + seconds(1)))
        return due_at

    async def _unfreeze_apart(self, episode: Episode, rule: Rule) -> datetime:
        """Do as `_unfreeze`. An error that nobody foresaw concerns this rule alone, and not the other services."""
        name = f"unfreeze {episode.policy}/{episode.rule}"
        try:
            due_at = await self._unfreeze(episode, rule)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again
            failed(self._context, name, error)
            return self._context.clock() + seconds(CONDITION_EVERY_S)
        succeeded(self._context, name)
        return due_at

    async def _unfreeze(self, episode: Episode, rule: Rule) -> datetime:
        """End a resolving episode's freeze if its conditions are met. Returns when to look again."""
        now = self._context.clock()
        judged = [(condition, await self._prometheus.judge(condition, now)) for condition in rule.unfreeze.all_of]
        ready_at = (episode.resolved_at or now) + seconds(rule.unfreeze.resolved_for_s)
        if ready_at > now and not judged:
            return ready_at

        def work(tx: Tx) -> bool:
            # The alert may have fired again while Prometheus was asked.
            current = tx.episode(episode.id)
            if current is None or current.state is not EpisodeState.RESOLVING:
                return True
            conditions = _remember(tx, episode.id, judged, now)
            freeze_reasons = tx.freeze_reasons(episode=episode.id, held=True)
            changes = plan.on_unfreeze_check(current, freeze_reasons, rule.unfreeze, conditions, now=tx.now)
            self._record(tx, changes)
            return bool(changes)

        if await self._context.journal.write(work):
            return now + seconds(IDLE_S)
        return now + seconds(CONDITION_EVERY_S) if judged else max(ready_at, now)


def _remember(
    tx: Tx, episode: str, judged: Sequence[tuple[Condition, Judgement]], now: datetime
) -> list[ConditionState]:
    """Store what Prometheus said about each condition; returns since when each has been true."""
    states: list[ConditionState] = []
    held = tx.condition_held(episode)
    for condition, judgement in judged:
        since, checked_at = held.get(condition.id, (now, now))
        if now - checked_at > seconds(CONDITION_GAP_S):
            since = now
        if judgement.true:
            tx.condition_true(episode, condition.id, since=since)
        else:
            tx.condition_false(episode, condition.id)
        states.append(
            ConditionState(
                id=condition.id,
                true_since=since if judgement.true else None,
                held_for_s=condition.held_for_s,
                why=judgement.why,
            )
        )
    return states


async def _rest(wake: asyncio.Event, pause_s: float) -> None:
    """Wait for a wake-up, but no longer than this time."""
    try:
        async with asyncio.timeout(max(pause_s, 0.005)):
            await wake.wait()
    except TimeoutError:
        return
