"""Ends freezes whose conditions are met: all episodes of a rule together, in several transactions if there are many.

Prometheus is asked about a rule's conditions once, however many episodes of the rule wait for the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.context import Context
from receiver.decide.model import NO_TRACE, Episode, seconds
from receiver.decide.plan import ConditionState, on_unfreeze_check
from receiver.journal import Tx
from receiver.journal.record import record
from receiver.loops.conditions import Conditions, Judgement
from receiver.policy.model import Condition, Rule

CONDITION_EVERY_S = 5.0
CONDITION_GAP_S = 60.0
"""After a longer break between two checks, a condition must hold anew, because nobody knows its value in between."""

IDLE_S = 3600.0

PIECE = 500
"""The most episodes that one transaction ends."""

Judged = Sequence[tuple[Condition, Judgement]]


class Unfreezer:
    """Ends the resolving episodes of one rule after another."""

    def __init__(self, context: Context, conditions: Conditions) -> None:
        self._context = context
        self._conditions = conditions

    async def end(self, policy_sha256: str, rule: Rule, first_at: datetime) -> datetime:
        """End what may end of a rule, whose first episode resolved at `first_at`. Returns when to look again."""
        journal, unfreeze = self._context.journal, rule.unfreeze
        now = self._context.clock()
        judged = [(condition, await self._conditions.judge(condition, now)) for condition in unfreeze.all_of]
        if judged:
            await journal.write(lambda tx: _remember(tx, policy_sha256, rule, judged, now))
        while first_at + seconds(unfreeze.resolved_for_s) <= self._context.clock():
            found, ended = await journal.write(lambda tx: self._end_some(tx, policy_sha256, rule, judged))
            if found < PIECE or ended < PIECE:
                break
        resolving = await journal.read(lambda view: view.resolving())
        left = [at for sha256, name, at in resolving if (sha256, name) == (policy_sha256, rule.id)]
        now = self._context.clock()
        if not left:
            return now + seconds(IDLE_S)
        ready_at = left[0] + seconds(unfreeze.resolved_for_s)
        return now + seconds(CONDITION_EVERY_S) if judged else max(ready_at, now)

    def _end_some(self, tx: Tx, policy_sha256: str, rule: Rule, judged: Judged) -> tuple[int, int]:
        """End the first episodes to resolve: how many were looked at, and how many of these ended.

        An alert may have fired again while Prometheus was asked: its episode does not resolve any more.
        """
        until = tx.now - seconds(rule.unfreeze.resolved_for_s)
        episodes = tx.resolving_episodes(policy_sha256, rule.id, until=until, limit=PIECE)
        reasons = tx.freeze_reasons_of([episode.id for episode in episodes])
        held = tx.condition_held(policy_sha256, rule.id)
        ended = 0
        changes = []
        for episode in episodes:
            conditions = [_state(condition, judgement, held, episode) for condition, judgement in judged]
            some = on_unfreeze_check(episode, reasons.get(episode.id, ()), rule.unfreeze, conditions, now=tx.now)
            ended += bool(some)
            changes += some
        policies = self._context.box.policies
        record(tx, changes, policies, ids=self._context.ids, trace=NO_TRACE)
        return len(episodes), ended


def _state(
    condition: Condition, judgement: Judgement, held: dict[str, tuple[datetime, datetime]], episode: Episode
) -> ConditionState:
    """Since when a condition has been true for an episode: never before the episode's alert resolved."""
    since = held[condition.id][0] if judgement.true and condition.id in held else None
    if since is not None and episode.resolved_at is not None:
        since = max(since, episode.resolved_at)
    return ConditionState(id=condition.id, true_since=since, held_for_s=condition.held_for_s, why=judgement.why)


def _remember(tx: Tx, policy_sha256: str, rule: Rule, judged: Judged, now: datetime) -> None:
    """Store what Prometheus said about each condition, while an episode of the rule still resolves."""
    if not tx.resolving_episodes(policy_sha256, rule.id, limit=1):
        return
    held = tx.condition_held(policy_sha256, rule.id)
    for condition, judgement in judged:
        since, checked_at = held.get(condition.id, (now, now))
        if not judgement.true:
            tx.condition_false(policy_sha256, rule.id, condition.id)
        elif now - checked_at > seconds(CONDITION_GAP_S):
            tx.condition_true(policy_sha256, rule.id, condition.id, since=now)
        else:
            tx.condition_true(policy_sha256, rule.id, condition.id, since=since)
