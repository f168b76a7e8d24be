"""What an operator decides: freezing, unfreezing and rolling back by hand. Pure, as `plan` is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from receiver.decide.model import ActionType, Episode, EpisodeState, FreezeReason, Trace
from receiver.decide.own_episodes import own_episode
from receiver.decide.plan import (
    OPERATOR_POLICY,
    REASON_MAX,
    Change,
    Ids,
    Known,
    Moved,
    Opened,
    Unfrozen,
    answers,
)
from receiver.plaintext import plain
from receiver.policy.model import Policy, Rule, Unfreeze

OPERATOR_RULE = "manual"
ROLLBACK_RULE = "manual-rollback"

DECIDED = "decided_by"
"""Member of a rollback's payload: the person who decided to roll back."""


def rollback_fingerprint(service: str) -> str:
    """The fingerprint of the episode of a person's rollback."""
    return f"operator-rollback:{service}"


def _rule(name: str, *do: str) -> Rule:
    """A rule that no alert begins, and that only a person ends."""
    return Rule(id=name, match=(), do=do, unfreeze=Unfreeze(resolved_for_s=0, all_of=(), review_after_s=0))


def on_operator_freeze(
    *, policy: Policy, reason: str, by: str, generation: int, known: Known, now: datetime, ids: Ids, trace: Trace
) -> Opened:
    """An operator freezes a service: every flag of its policy, until an operator unfreezes the service.

    Feature flags that the policy sets together with a freeze are set too.
    """
    episode = own_episode(
        policy,
        rule=OPERATOR_RULE,
        fingerprint=f"operator:{policy.service}",
        reason=plain(f"{reason} (by {by})", REASON_MAX),
        generation=generation,
        known=known,
        now=now,
        ids=ids,
        trace=trace,
    )
    freezes = {name: action for name, action in policy.actions.items() if action in policy.freezes([name])}
    rule = _rule(OPERATOR_RULE, *freezes, *policy.switches_of_freezes())
    freeze_reasons, actions = answers(episode, policy, rule, now=now, ids=ids)
    sentence = f"{plain(by, 64)} froze {policy.service}: {plain(reason, REASON_MAX)}"
    return Opened(episode=episode, freeze_reasons=freeze_reasons, actions=actions, sentence=sentence)


def on_operator_rollback(
    *, policy: Policy, reason: str, by: str, generation: int, known: Known, now: datetime, ids: Ids, trace: Trace
) -> Opened:
    """A person decides to roll a service back: freeze, then every rollback of its policy.

    The freeze stays until an operator unfreezes the service. Without the freeze, the next deployment could bring the
    bad release back.
    """
    episode = own_episode(
        policy,
        rule=ROLLBACK_RULE,
        fingerprint=rollback_fingerprint(policy.service),
        reason=plain(f"{reason} (by {by})", REASON_MAX),
        generation=generation,
        known=known,
        now=now,
        ids=ids,
        trace=trace,
    )
    do = [name for name, action in policy.actions.items() if policy.freezes([name]) or policy.rollbacks([name])]
    rule = _rule(ROLLBACK_RULE, *do, *policy.switches_of_freezes())
    freeze_reasons, actions = answers(episode, policy, rule, now=now, ids=ids)
    who = plain(by, 64)
    return Opened(
        episode=episode,
        freeze_reasons=freeze_reasons,
        actions=tuple(
            replace(one, payload={**one.payload, DECIDED: who}) if one.type is ActionType.ROLLBACK else one
            for one in actions
        ),
        sentence=f"{who} rolls {policy.service} back: {plain(reason, REASON_MAX)}",
    )


def on_operator_unfreeze(
    episodes: Sequence[Episode], freeze_reasons: Sequence[FreezeReason], *, reason: str, by: str
) -> list[Change]:
    """An operator unfreezes a service: every freeze reason ends. Episodes whose alert still fires stay open."""
    by_id = {episode.id: episode for episode in episodes}
    changes: list[Change] = [
        Unfrozen(
            freeze_reason=freeze_reason,
            episode=by_id[freeze_reason.episode],
            by=plain(by, 64),
            reason=plain(reason, REASON_MAX),
            sentence=f"{plain(by, 64)} unfroze {by_id[freeze_reason.episode].service}: {plain(reason, REASON_MAX)}",
        )
        for freeze_reason in freeze_reasons
        if freeze_reason.ended_at is None and freeze_reason.episode in by_id
    ]
    changes += [
        Moved(episode=episode, to=EpisodeState.CLOSED, sentence=f"The operator's freeze of {episode.service} ends")
        for episode in episodes
        if episode.policy == OPERATOR_POLICY and episode.live
    ]
    return changes
