"""How the receiver answers an alert, an operator or the passing of time: pure decisions.

Every function takes the known state and the time, and gives Changes. Each Change carries the sentence that explains the
change. Nothing here reads, writes or waits: `receiver.journal.record` writes the Changes into the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from receiver.decide.model import (
    Action,
    ActionState,
    ActionType,
    Alert,
    AlertStatus,
    Episode,
    EpisodeState,
    FreezeReason,
    Seen,
    Trace,
    seconds,
    stamp_ms,
)
from receiver.plaintext import plain
from receiver.policy.model import Condition, Policies, Policy, Rule, Unfreeze

WATCHDOG = "FreezelineWatchdog"
"""The alert that always fires, which proves that alerts arrive. No policy acts on this alert."""

OPERATOR_POLICY = "operator"
ABORT_RULE = "canary-abort"
"""The rule of an episode that a rollout's abort opened, under OPERATOR_POLICY."""

BUDGET = "budget"
"""The name of a condition about the rest of an SLO's budget. Of several SLOs, `-` and the SLO's name follow."""

BY_OPERATOR = "an operator unfreezes the service"
"""What ends a freeze that no rule ends."""

REASON_MAX = 200

Ids = Callable[[datetime], str]


class Known(Struct, frozen=True, kw_only=True):
    """What the journal knows about one alert: the newest episode of each rule, and their pending rollbacks.

    `incident` gives the identifier of a service's open incident.
    """

    seen: Seen | None = None
    episodes: Sequence[Episode] = ()
    pending: Mapping[str, Sequence[Action]] = field(default_factory=dict)
    incident: Callable[[str], str | None] = lambda _service: None


class Opened(Struct, frozen=True, kw_only=True):
    """A new episode with its freeze reasons and actions."""

    episode: Episode
    freeze_reasons: tuple[FreezeReason, ...]
    actions: tuple[Action, ...]
    sentence: str


class Moved(Struct, frozen=True, kw_only=True):
    """An episode changes its state."""

    episode: Episode
    to: EpisodeState
    sentence: str


class Unfrozen(Struct, frozen=True, kw_only=True):
    """A freeze reason ends. The receiver removes the flag with its last reason."""

    freeze_reason: FreezeReason
    episode: Episode
    by: str
    reason: str
    sentence: str


class Cancelled(Struct, frozen=True, kw_only=True):
    """A pending action is dropped."""

    action: Action
    sentence: str


class Doubted(Struct, frozen=True, kw_only=True):
    """A firing that may be stale starts to wait for Alertmanager's answer, or (`since` None) waits no longer."""

    fingerprint: str
    since: datetime | None
    sentence: str


class Renewed(Struct, frozen=True, kw_only=True):
    """A freeze goes on after its review."""

    episode: Episode
    review_at: datetime
    sentence: str


class Noted(Struct, frozen=True, kw_only=True):
    """The receiver does nothing, and the sentence says why."""

    kind: str
    sentence: str
    episode: str = ""


Change = Opened | Moved | Unfrozen | Cancelled | Doubted | Renewed | Noted


def on_alert(alert: Alert, known: Known, policies: Policies, *, now: datetime, ids: Ids, trace: Trace) -> list[Change]:
    """How to answer one alert of a delivery. An alert that repeats known news gives no change."""
    if alert.name == WATCHDOG:
        return []
    if alert.status is AlertStatus.RESOLVED:
        return _on_resolved(alert, known)
    return on_firing(alert, known, policies, now=now, ids=ids, trace=trace)


def on_firing(
    alert: Alert,
    known: Known,
    policies: Policies,
    *,
    now: datetime,
    ids: Ids,
    trace: Trace,
    confirmed: bool = False,
) -> list[Change]:
    """How to answer a firing alert. `confirmed` says that Alertmanager itself has just listed the alert as firing."""
    matching = policies.matching(alert.labels)
    if not matching:
        return _unmatched(alert, known)
    newest = {(episode.policy, episode.rule): episode for episode in known.episodes}
    changes: list[Change] = []
    for policy, rule in matching:
        episode = newest.get((policy.name, rule.id))
        if episode is None or (not episode.live and (confirmed or _is_new(alert, known.seen, episode))):
            generation = episode.generation + 1 if episode else 1
            changes.append(_open(alert, policy, rule, generation, known, now=now, ids=ids, trace=trace))
        elif episode.state is EpisodeState.RESOLVING:
            sentence = f"{_named(alert)} fires again before its freeze ended: the freeze goes on"
            changes.append(Moved(episode=episode, to=EpisodeState.OPEN, sentence=sentence))
        elif not episode.live and (known.seen is None or known.seen.unconfirmed_since is None):
            sentence = (
                f"A webhook says that {_named(alert)} fires since {stamp_ms(alert.starts_at)}, but the alert was "
                "resolved after this time: asking Alertmanager"
            )
            changes.append(Doubted(fingerprint=alert.fingerprint, since=now, sentence=sentence))
    return changes


def _is_new(alert: Alert, seen: Seen | None, episode: Episode) -> bool:
    """Whether a firing is new: it started after the last end in the sender's clock. Others may be old messages."""
    ended = (seen.ends_at if seen else None) or episode.resolved_at or episode.closed_at
    return ended is None or alert.starts_at > ended


def _unmatched(alert: Alert, known: Known) -> list[Change]:
    if known.seen is not None and known.seen.status is AlertStatus.FIRING:
        return []
    return [Noted(kind="unmatched", sentence=f"{_named(alert)} fires, but no rule matches: nothing to do")]


def _on_resolved(alert: Alert, known: Known) -> list[Change]:
    changes: list[Change] = []
    for episode in known.episodes:
        if episode.state is not EpisodeState.OPEN:
            continue
        if alert.ends_at is not None and known.seen is not None and alert.ends_at < known.seen.starts_at:
            sentence = (
                f"A webhook says that {_named(alert)} resolved at {stamp_ms(alert.ends_at)}, but the alert fired "
                "again after this time: ignored"
            )
            changes.append(Noted(kind="stale_resolve", sentence=sentence, episode=episode.id))
            continue
        changes += resolve(episode, known.pending.get(episode.id, ()), why=f"{_named(alert)} resolved")
    return changes


def resolve(episode: Episode, pending: Sequence[Action], *, why: str) -> list[Change]:
    """Start the hold-down of an episode whose alert has ended, and cancel its rollbacks that have not begun."""
    changes: list[Change] = [
        Moved(
            episode=episode,
            to=EpisodeState.RESOLVING,
            sentence=f"{why}: the freeze waits for its conditions to unfreeze",
        )
    ]
    changes += [
        Cancelled(action=action, sentence=f"{why} before {action.name} began: {action.name} is cancelled")
        for action in pending
        if action.state is ActionState.PENDING and action.type is ActionType.ROLLBACK
    ]
    return changes


def _open(
    alert: Alert, policy: Policy, rule: Rule, generation: int, known: Known, *, now: datetime, ids: Ids, trace: Trace
) -> Opened:
    episode_id = ids(now)
    episode = Episode(
        id=episode_id,
        policy=policy.name,
        rule=rule.id,
        fingerprint=alert.fingerprint,
        service=policy.service,
        state=EpisodeState.OPEN,
        generation=generation,
        opened_at=now,
        policy_sha256=policy.sha256,
        incident=known.incident(policy.service) or episode_id,
        alert=plain(alert.name, 200),
        severity=plain(alert.labels.get("severity", ""), 64),
        reason=_reason(alert),
        spec=policy.spec,
        labels=alert.labels,
        starts_at=alert.starts_at,
        review_at=now + seconds(rule.unfreeze.review_after_s),
        trace=trace,
    )
    sentence = f"{_named(alert)}: {episode.reason}. Rule {policy.name}/{rule.id} starts: {', '.join(rule.do)}"
    freeze_reasons, actions = answers(episode, policy, rule, now=now, ids=ids)
    return Opened(episode=episode, freeze_reasons=freeze_reasons, actions=actions, sentence=sentence)


def answers(
    episode: Episode, policy: Policy, rule: Rule, *, now: datetime, ids: Ids
) -> tuple[tuple[FreezeReason, ...], tuple[Action, ...]]:
    """Freeze reasons and actions of a new episode. A rollback waits for the flags of its own rule."""
    flags = {action.flag: action.name for action in policy.freezes(rule.do)}
    freeze_reasons = tuple(
        FreezeReason(flag=flag, episode=episode.id, reason=episode.reason, since=episode.opened_at) for flag in flags
    )
    actions = [freeze_of(episode, flag, name, now=now, ids=ids) for flag, name in flags.items()]
    actions += [
        Action(
            id=ids(now),
            key=f"rollback:{policy.service}:episode:{episode.id}",
            episode=episode.id,
            service=policy.service,
            type=ActionType.ROLLBACK,
            name=rollback.name,
            created_at=now,
            payload={"policy": policy.sha256},
            trace=episode.trace,
        )
        for rollback in policy.rollbacks(rule.do)
    ]
    actions += [
        Action(
            id=ids(now),
            key=f"switch:{episode.id}:{switch.name}",
            episode=episode.id,
            service=policy.service,
            type=ActionType.SWITCH,
            name=switch.name,
            created_at=now,
            payload={
                "file": switch.file,
                "flag": switch.flag,
                "variant": switch.variant,
                "everyone": "yes" if switch.everyone else "",
            },
            trace=episode.trace,
        )
        for switch in policy.switches(rule.do)
    ]
    return freeze_reasons, tuple(actions)


def freeze_of(episode: Episode, flag: str, name: str, *, now: datetime, ids: Ids) -> Action:
    """The action that writes a flag for an episode. `name` is the action's name in the policy."""
    return Action(
        id=ids(now),
        key=f"freeze:{flag}:{episode.id}",
        episode=episode.id,
        service=episode.service,
        type=ActionType.FREEZE,
        name=name,
        created_at=now,
        payload={"flag": flag},
        trace=episode.trace,
    )


class ConditionState(Struct, frozen=True, kw_only=True):
    """One condition to unfreeze: since when it has been true without a break. While it is false: None, and why."""

    id: str
    true_since: datetime | None
    held_for_s: float
    why: str = ""


def on_unfreeze_check(
    episode: Episode,
    freeze_reasons: Sequence[FreezeReason],
    unfreeze: Unfreeze,
    conditions: Sequence[ConditionState],
    *,
    now: datetime,
) -> list[Change]:
    """Whether a resolving episode ends: resolved for long enough, and every condition true for its time."""
    if episode.state is not EpisodeState.RESOLVING or episode.resolved_at is None:
        return []
    if now < episode.resolved_at + seconds(unfreeze.resolved_for_s):
        return []
    for condition in conditions:
        if condition.true_since is None or now < condition.true_since + seconds(condition.held_for_s):
            return []
    reason = unfreeze_when(unfreeze)
    changes: list[Change] = [
        Unfrozen(
            freeze_reason=freeze_reason,
            episode=episode,
            by="policy",
            reason=reason,
            sentence=f"{episode.alert} of {episode.service}: unfrozen, because {reason}",
        )
        for freeze_reason in freeze_reasons
        if freeze_reason.ended_at is None
    ]
    closed = f"{episode.alert} of {episode.service} stayed resolved: the episode is closed"
    changes.append(Moved(episode=episode, to=EpisodeState.CLOSED, sentence=closed))
    return changes


def on_review(
    episode: Episode,
    freeze_reasons: Sequence[FreezeReason],
    *,
    firing: bool | None,
    review_after_s: float,
    now: datetime,
) -> list[Change]:
    """Decide a due review of an open episode. `firing` is Alertmanager's answer; None if there was no answer."""
    if episode.state is not EpisodeState.OPEN or episode.review_at is None or now < episode.review_at:
        return []
    if firing is False:
        sentence = f"{episode.alert} of {episode.service} does not fire any more, says Alertmanager: the freeze expires"
        unfrozen: list[Change] = [
            Unfrozen(
                freeze_reason=freeze_reason,
                episode=episode,
                by="review",
                reason="the alert no longer fires",
                sentence=sentence,
            )
            for freeze_reason in freeze_reasons
            if freeze_reason.ended_at is None
        ]
        return [*unfrozen, Moved(episode=episode, to=EpisodeState.EXPIRED, sentence=sentence)]
    what = "still fires" if firing else "may still fire (no answer from Alertmanager)"
    sentence = f"{episode.alert} of {episode.service} {what}: the freeze is renewed"
    return [Renewed(episode=episode, review_at=now + seconds(review_after_s), sentence=sentence)]


def unfreeze_when(unfreeze: Unfreeze) -> str:
    """The conditions to unfreeze, as text for people."""
    parts = [f"alert resolved for {span(unfreeze.resolved_for_s)}"]
    parts += [wanted(condition) for condition in unfreeze.all_of]
    return " and ".join(parts)


def wanted(condition: Condition) -> str:
    """One condition to unfreeze, as text for people."""
    held = f" for {span(condition.held_for_s)}" if condition.held_for_s else ""
    if is_of_budget(condition) and condition.op == ">=":
        slo = condition.id.removeprefix(BUDGET).removeprefix("-")
        return f"at least {float(condition.value) * 100:g} % of the budget{f' of {slo}' if slo else ''} left{held}"
    return f"{condition.id} {condition.op} {condition.value}{held}"


def is_of_budget(condition: Condition) -> bool:
    """Whether a condition is about a share of a budget, which people read as a percentage."""
    return condition.id.partition("-")[0] == BUDGET and condition.value <= 1


def span(value_s: float) -> str:
    """A duration for people, in the largest unit that divides it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if value_s >= size and value_s % size == 0:
            return f"{value_s / size:g} {unit}"
    return f"{value_s:g} s"


def _named(alert: Alert) -> str:
    name = plain(alert.name, 80) or "an alert without a name"
    service = plain(alert.labels.get("service", ""), 60)
    return f"{name} of {service}" if service else name


def _reason(alert: Alert) -> str:
    text = alert.annotations.get("summary") or alert.annotations.get("description") or f"{alert.name} fires"
    return plain(text, REASON_MAX)
