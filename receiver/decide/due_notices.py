"""Which notices an event needs: pure. `receiver.notify.messages` writes their texts, and the worker delivers them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from receiver.decide.model import EMPTY, Action, ActionType, Episode
from receiver.decide.notice import Event
from receiver.decide.plan import ABORT_RULE, BY_OPERATOR, Ids, unfreeze_when
from receiver.policy.model import NotifyAction, Policy


def tell(
    episode: Episode,
    policy: Policy | None,
    event: Event,
    *,
    now: datetime,
    ids: Ids,
    facts: Mapping[str, str] = EMPTY,
    which: str = "",
) -> list[Action]:
    """Notices of an event to the channels of the episode's own rule; none if no action announces the event."""
    return [
        notice
        for action in telling_actions(episode, policy)
        if event.value in action.events
        for notice in to_channels(
            episode,
            policy,
            action.channels,
            event,
            now=now,
            ids=ids,
            facts=facts,
            fallback=action.fallback,
            which=which,
        )
    ]


def telling_actions(episode: Episode, policy: Policy | None) -> tuple[NotifyAction, ...]:
    """The `notify` actions of an episode's rule.

    An operator's freeze and a rollout use all `notify` actions of the policy, an aborted rollout those of `on_abort`.
    """
    if policy is None:
        return ()
    rule = policy.rule(episode.rule)
    if rule is None and episode.rule == ABORT_RULE and policy.rollouts is not None:
        return policy.notifies(policy.rollouts.on_abort) or policy.notifies(policy.actions)
    return policy.notifies(rule.do if rule else policy.actions)


def to_channels(
    episode: Episode,
    policy: Policy | None,
    channels: Iterable[str],
    event: Event,
    *,
    now: datetime,
    ids: Ids,
    facts: Mapping[str, str] = EMPTY,
    fallback: Iterable[str] = (),
    which: str = "",
) -> list[Action]:
    """One notice per channel. `which` tells repeated events apart, such as levels of escalation."""
    event_key = f"{event.value}:{which}" if which else event.value
    rule = policy.rule(episode.rule) if policy else None
    known = {
        "alert": episode.alert,
        "reason": episode.reason,
        "rule": episode.rule,
        "policy": episode.policy,
        "spec": episode.spec,
        "episode": episode.id,
        "unfreeze_when": unfreeze_when(rule.unfreeze) if rule else BY_OPERATOR,
    }
    payload = {
        "event": event.value,
        "incident": episode.incident,
        "severity": episode.severity,
        "at": now.isoformat(),
        "fallback": json.dumps(list(fallback)),
        "facts": json.dumps({**known, **facts}),
    }
    return [
        Action(
            id=ids(now),
            key=f"notice:{channel}:{episode.service}:{episode.incident}:{event_key}",
            episode=episode.id,
            service=episode.service,
            type=ActionType.NOTIFY,
            name=channel,
            created_at=now,
            payload=payload,
            trace=episode.trace,
        )
        for channel in dict.fromkeys(channels)
    ]
