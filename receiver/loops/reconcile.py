"""The reconciler: compares journal, Alertmanager, Prometheus and flags on disk, and repairs differences.

The reconciler also ends and reviews freezes when they are due (`escalator` escalates). Commits wake the reconciler, and
so does the next due time. A whole comparison runs every `reconcile_every_s`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from receiver.context import Context
from receiver.decide import plan
from receiver.decide.model import EPOCH, NO_TRACE, Alert, Episode, Seen, seconds
from receiver.decide.plan import Change, Known
from receiver.journal import JournalError, Tx
from receiver.journal.record import record
from receiver.loops.conditions import Conditions
from receiver.loops.supervise import failed, succeeded, supervise
from receiver.loops.unfreeze import CONDITION_EVERY_S, IDLE_S, Unfreezer
from receiver.plaintext import plain
from receiver.policy.model import Policy, Rule
from receiver.sources.alertmanager import Alertmanager
from receiver.sources.alertmanager import Known as AlertmanagerKnows
from receiver.sources.asking import SourceError
from receiver.webhook.process import pending_rollbacks

log = logging.getLogger(__name__)

DOUBT_S = 30.0
"""If no Alertmanager answers for this long, a firing that may be stale opens an episode."""

T = TypeVar("T")

ABSENT_S = 30.0
"""After this long without an alert in Alertmanager's API, and without a message, the alert's resolve counts as lost.

A shorter absence says nothing. A new alert is not in every API yet. A resolved alert leaves the API at once, and its
webhook comes with the next flush of the group: 10 s later at most (`group_interval`).
"""

PIECE = 200
"""The most alerts or episodes that one transaction repairs."""


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
        conditions: Conditions,
        alertmanagers: Sequence[Alertmanager],
        every_s: float,
        check_flag: Callable[[str], None],
    ) -> None:
        self._context = context
        self._unfreezer = Unfreezer(context, conditions)
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
        doubts = await self._context.journal.read(lambda journal: journal.doubts())
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
        flags = await self._context.journal.read(lambda journal: list(journal.flags()))
        for flag in dict.fromkeys((*flags, *self._context.box.policies.flags())):
            self._check_flag(flag)
        cluster = await self.ask_alertmanagers()
        await self._settle_doubts(cluster)
        known = await self._context.journal.read(lambda journal: journal.open_alerts()) if cluster.reachable else set()
        await self._find_lost_resolves(cluster, known)
        await self._find_lost_firings(cluster, known)
        await self._review(cluster)
        self._context.meters.reconciled.set(self._context.clock().timestamp())

    async def ask_alertmanagers(self) -> Cluster:
        """The joint knowledge of the Alertmanagers."""
        now = self._context.clock()
        answers: list[AlertmanagerKnows] = []
        for alertmanager in self._alertmanagers:
            try:
                answers.append(await alertmanager.known(now))
                self._context.faults.report("alertmanager", alertmanager.url, "")
            except SourceError as error:
                self._context.faults.report("alertmanager", alertmanager.url, str(error))
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

    def _record(self, tx: Tx, changes: Sequence[Change]) -> None:
        record(tx, changes, self._context.box.policies, ids=self._context.ids, trace=NO_TRACE)

    async def _in_pieces(self, work: Callable[[Tx, Sequence[T]], None], things: Sequence[T]) -> None:
        """Do some work on many things in several transactions, so that others have their turn in between."""
        for start in range(0, len(things), PIECE):
            await self._context.journal.write(lambda tx, since=start: work(tx, things[since : since + PIECE]))  # type: ignore[misc]

    async def _settle_doubts(self, cluster: Cluster) -> None:
        """Open episodes for firings that may be stale: Alertmanager lists them, or has not answered for too long."""
        doubts = await self._context.journal.read(lambda journal: journal.unconfirmed())

        def settle(tx: Tx, doubts: Sequence[Seen]) -> None:
            current = tx.seen([doubt.fingerprint for doubt in doubts])
            for seen in current.values():
                if seen.unconfirmed_since is not None:
                    self._settle_doubt(tx, cluster, seen, seen.unconfirmed_since)

        await self._in_pieces(settle, doubts)

    def _settle_doubt(self, tx: Tx, cluster: Cluster, seen: Seen, since: datetime) -> None:
        there = seen.fingerprint in cluster.alerts
        if there or (not cluster.reachable and tx.now - since >= seconds(DOUBT_S)):
            self._open(tx, cluster.alerts.get(seen.fingerprint, seen.as_firing()))
        elif cluster.reachable:
            name = plain(seen.labels.get("alertname", ""), 80)
            sentence = f"Alertmanager knows no firing {name}: it was an old message"
            doubted = plan.Doubted(fingerprint=seen.fingerprint, since=None, sentence=sentence)
            self._record(tx, [doubted])

    async def _find_lost_resolves(self, cluster: Cluster, known: Collection[tuple[str, str, str]]) -> None:
        if not cluster.complete:
            self._absent_since = {}
            return
        ours = {fingerprint for fingerprint, policy, _ in known if policy != plan.OPERATOR_POLICY}
        gone = sorted(fingerprint for fingerprint in ours if cluster.firing(fingerprint) is False)
        now = self._context.clock()
        self._absent_since = {fingerprint: self._absent_since.get(fingerprint, now) for fingerprint in gone}

        def resolve(tx: Tx, fingerprints: Sequence[str]) -> None:
            seen = tx.seen(fingerprints)
            for episode in tx.open_episodes(fingerprints):
                last = seen.get(episode.fingerprint)
                since = self._absent_since[episode.fingerprint]
                since = since if last is None else max(since, last.last_at)
                if tx.now < since + seconds(ABSENT_S):
                    continue
                alert = f"{episode.alert} of {episode.service}"
                why = (
                    f"Alertmanager has not known {alert} as firing for {ABSENT_S:g} s, and sent no resolve: "
                    "the resolve was lost"
                )
                self._record(tx, plan.resolve(episode, pending_rollbacks(tx, episode), why=why))

        await self._in_pieces(resolve, gone)

    async def _find_lost_firings(self, cluster: Cluster, known: Collection[tuple[str, str, str]]) -> None:
        policies = self._context.box.policies

        def is_lost(alert: Alert, opened: Collection[tuple[str, str, str]]) -> bool:
            return alert.name != plan.WATCHDOG and any(
                (alert.fingerprint, policy.name, rule.id) not in opened
                for policy, rule in policies.matching(alert.labels)
            )

        def find(tx: Tx, alerts: Sequence[Alert]) -> None:
            fingerprints = [alert.fingerprint for alert in alerts]
            waiting = tx.waiting(fingerprints)
            opened = {(one.fingerprint, one.policy, one.rule) for one in tx.open_episodes(fingerprints)}
            for alert in alerts:
                if alert.fingerprint not in waiting and is_lost(alert, opened):
                    self._open(tx, alert)

        ours = [cluster.alerts[fingerprint] for fingerprint in sorted(cluster.ours)]
        await self._in_pieces(find, [alert for alert in ours if is_lost(alert, known)])

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

    async def _review(self, cluster: Cluster) -> None:
        """Decide the due reviews, some at a time."""
        after = (EPOCH, "")
        more = True

        def review(tx: Tx) -> list[Episode]:
            due = tx.due_reviews(tx.now, after=after, limit=PIECE)
            reasons = tx.freeze_reasons_of([episode.id for episode in due])
            for episode in due:
                policy = self._context.policy_of(episode)
                rule = policy.rule(episode.rule) if policy else None
                if rule is None:
                    continue
                changes = plan.on_review(
                    episode,
                    reasons.get(episode.id, ()),
                    firing=cluster.firing(episode.fingerprint),
                    review_after_s=rule.unfreeze.review_after_s,
                    now=tx.now,
                )
                self._record(tx, changes)
            return due

        while more:
            due = await self._context.journal.write(review)
            more = len(due) == PIECE
            if more:
                after = (due[-1].review_at or EPOCH, due[-1].id)

    # what time brings

    async def keep_time(self) -> datetime:
        """Do what is due by now, and return the next due time. Raises JournalError."""
        now = self._context.clock()
        due_at = now + seconds(IDLE_S)
        # Called after every commit that acted, so this must not read a storm's episodes.
        resolving, review_at, doubts = await self._context.journal.read(
            lambda journal: (journal.resolving(), journal.first_review(), journal.doubts())
        )
        if doubts or (review_at is not None and review_at <= now):
            self.compare_soon()
        for policy_sha256, rule, first_at in resolving:
            policy = self._context.box.policies.by_sha256.get(policy_sha256)
            found = policy.rule(rule) if policy else None
            if policy is not None and found is not None:
                due_at = min(due_at, await self._unfreeze_apart(policy, found, first_at))
        if review_at is not None:
            due_at = min(due_at, max(review_at, now + seconds(1)))
        return due_at

    async def _unfreeze_apart(self, policy: Policy, rule: Rule, first_at: datetime) -> datetime:
        """End what may end of a rule. An error that nobody foresaw concerns this rule alone, not other services."""
        name = f"unfreeze {policy.name}/{rule.id}"
        try:
            due_at = await self._unfreezer.end(policy.sha256, rule, first_at)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again
            failed(self._context, name, error)
            return self._context.clock() + seconds(CONDITION_EVERY_S)
        succeeded(self._context, name)
        return due_at


async def _rest(wake: asyncio.Event, pause_s: float) -> None:
    """Wait for a wake-up, but no longer than this time."""
    try:
        async with asyncio.timeout(max(pause_s, 0.005)):
            await wake.wait()
    except TimeoutError:
        return
