"""How the receiver answers a rollout's engine: an abort's episode, and the record of a rollout's notices. Pure.

An abort opens an episode as an operator's freeze does, with the actions of the canary's `on_abort`. The receiver does
not make an alert of the abort: Alertmanager would not know the alert, and the reconciler would end the episode.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from receiver.decide.due_notices import telling_actions, to_channels
from receiver.decide.model import Action, Episode, EpisodeState, Trace
from receiver.decide.notice import Event
from receiver.decide.own_episodes import own_episode
from receiver.decide.plan import ABORT_RULE, REASON_MAX, Ids, Known, Opened, answers
from receiver.plaintext import plain
from receiver.policy.model import DEFAULT_SEVERITY, Policy, Rule, Unfreeze

ABORT_ALERT = "CanaryAborted"
RECORD_RULE = "canary"


class Abort(Struct, frozen=True, kw_only=True):
    """An aborted rollout. `again`: a person had asked to roll the same release out once more."""

    rollout: str
    release: str
    reason: str
    again: bool


def abort_fingerprint(rollout: str) -> str:
    """The fingerprint of an abort's episode: one per rollout, however often the engine asks."""
    return f"canary-abort:{rollout}"


def record_fingerprint(rollout: str) -> str:
    """The fingerprint of the record that carries a rollout's notices."""
    return f"canary:{rollout}"


def on_abort(abort: Abort, policy: Policy, known: Known, *, now: datetime, ids: Ids, trace: Trace) -> Opened:
    """The episode of an abort: freeze, rollback and notices as `on_abort` says."""
    do = policy.rollouts.on_abort if policy.rollouts is not None else ()
    rule = Rule(id=ABORT_RULE, match=(), do=do, unfreeze=Unfreeze(resolved_for_s=0, all_of=(), review_after_s=0))
    reason = plain(f"canary {abort.release} aborted: {abort.reason}", REASON_MAX)
    episode = replace(
        _episode(policy, abort.rollout, known, now=now, ids=ids, trace=trace),
        rule=ABORT_RULE,
        fingerprint=abort_fingerprint(abort.rollout),
        alert=ABORT_ALERT,
        severity=DEFAULT_SEVERITY,
        reason=reason,
        labels={"rollout": abort.rollout, "release": abort.release},
    )
    freeze_reasons, actions = answers(episode, policy, rule, now=now, ids=ids)
    payload = {"rollout": abort.rollout, "release": abort.release, "again": abort.rollout if abort.again else ""}
    sentence = f"The rollout of {abort.release} of {policy.service} was aborted: {', '.join(do) or 'nothing to do'}"
    return Opened(
        episode=episode,
        freeze_reasons=freeze_reasons,
        actions=tuple(
            replace(one, payload={**one.payload, **payload}) if one.type == "rollback" else one for one in actions
        ),
        sentence=plain(sentence, 2 * REASON_MAX),
    )


def record_of(policy: Policy, rollout: str, known: Known, *, now: datetime, ids: Ids, trace: Trace) -> Episode:
    """The record that carries a rollout's notices. The record is closed from the beginning, because nothing is open."""
    episode = _episode(policy, rollout, known, now=now, ids=ids, trace=trace)
    return replace(episode, state=EpisodeState.CLOSED, closed_at=now, incident=episode.id)


def notices(
    record: Episode, policy: Policy, event: Event, text: str, *, which: str, page: bool, now: datetime, ids: Ids
) -> list[Action]:
    """The notices of one message. `which` is the message's number: the journal stores each number once."""
    facts: Mapping[str, str] = {"reason": plain(text, REASON_MAX), "rollout": record.labels.get("rollout", "")}
    said = replace(record, severity=DEFAULT_SEVERITY if page else "info")
    return [
        notice
        for action in telling_actions(said, policy)
        if page or event.value in action.events
        for notice in to_channels(
            said, policy, action.channels, event, now=now, ids=ids, facts=facts, fallback=action.fallback, which=which
        )
    ]


def _episode(policy: Policy, rollout: str, known: Known, *, now: datetime, ids: Ids, trace: Trace) -> Episode:
    episode = own_episode(
        policy,
        rule=RECORD_RULE,
        fingerprint=record_fingerprint(rollout),
        reason="",
        generation=1,
        known=known,
        now=now,
        ids=ids,
        trace=trace,
    )
    return replace(episode, labels={"rollout": rollout})
