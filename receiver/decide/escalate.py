"""Who else is told while nobody acknowledges an incident, and the status updates while an incident is open. Pure.

An incident is all live episodes of a service that share `incident`.

The receiver tells each escalation level once, `after_s` seconds after the first episode of the level's severities. An
alert of these severities must still fire, and nobody may have acknowledged a live episode of the incident. A warning
therefore wakes nobody whom only critical alerts should wake. An operator's freeze is no alert and does not escalate.

The receiver sends a status update every `status_every_s` seconds while an episode is live, acknowledged or not. If the
receiver was stopped for several updates, only the latest goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from receiver.decide.due_notices import telling_actions, to_channels
from receiver.decide.model import Action, Episode, EpisodeState, seconds
from receiver.decide.notice import Event
from receiver.decide.plan import Ids
from receiver.policy.model import DEFAULT_SEVERITY, Escalation, Policy

SUMMARY_ALERTS_MAX = 3


class Incident(Struct, frozen=True, kw_only=True):
    """Live episodes of one incident, oldest first, each with the policy that opened the episode.

    An incident carries the identifier of its first episode. `first` is this episode, which need not be live any more.
    """

    id: str
    service: str
    first: Episode
    episodes: Sequence[Episode]
    policies: Mapping[str, Policy]

    @property
    def since(self) -> datetime:
        """When the incident began."""
        return self.first.opened_at

    @property
    def acknowledged(self) -> bool:
        """Whether somebody has acknowledged the incident."""
        return any(episode.acked_at is not None for episode in self.episodes)

    def firing(self, level: Escalation) -> list[Episode]:
        """The firing episodes that count for a level, oldest first."""
        return [episode for episode in self.episodes if episode.state is EpisodeState.OPEN and _counts(episode, level)]

    def due_at(self, level: Escalation) -> datetime:
        """When a level is told: its time runs from the first episode that counts for the level."""
        begun = [episode.opened_at for episode in (self.first, *self.episodes) if _counts(episode, level)]
        return min(begun) + seconds(level.after_s)

    def in_force(self) -> Iterator[tuple[Episode, Policy]]:
        """Each policy once, with its oldest episode in this incident."""
        told: set[str] = set()
        for episode in self.episodes:
            policy = self.policies.get(episode.policy_sha256)
            if policy is not None and policy.name not in told:
                told.add(policy.name)
                yield episode, policy


def _counts(episode: Episode, level: Escalation) -> bool:
    """Whether an episode has a severity of a level. An alert without a severity counts as the most severe."""
    return bool(episode.alert) and (episode.severity or DEFAULT_SEVERITY) in level.severities


def group(episodes: Iterable[Episode], firsts: Mapping[str, Episode], policies: Mapping[str, Policy]) -> list[Incident]:
    """Incidents of live episodes. `firsts` holds, by identifier, the episodes after which incidents are named."""
    found: dict[tuple[str, str], list[Episode]] = {}
    for episode in sorted(episodes, key=lambda one: (one.opened_at, one.id)):
        found.setdefault((episode.service, episode.incident), []).append(episode)
    return [
        Incident(
            id=incident,
            service=service,
            first=firsts.get(incident, members[0]),
            episodes=tuple(members),
            policies=policies,
        )
        for (service, incident), members in found.items()
    ]


def due(incident: Incident, *, now: datetime, ids: Ids) -> list[Action]:
    """Notices that are due now. By its key the journal stores a notice once, however often `due` is called."""
    return [*_escalations(incident, now, ids), *_status(incident, now, ids)]


def next_due(incident: Incident, *, now: datetime) -> datetime | None:
    """When `due` will give more than now; None if only an alert or a person can change the answer."""
    coming = [incident.due_at(level) for _, _, level in _levels(incident)]
    coming += [
        _slot(incident, policy.status_every_s, now)[1] for _, policy in incident.in_force() if policy.status_every_s
    ]
    return min((at for at in coming if at > now), default=None)


def open_for(span: timedelta) -> str:
    """How long an incident has been open: in minutes; from two hours on in hours; from two days on in days."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _levels(incident: Incident) -> Iterator[tuple[Episode, Policy, Escalation]]:
    """Levels that are not told yet, each with the oldest episode of the level's policy that counts for the level."""
    if incident.acknowledged:
        return
    for _, policy in incident.in_force():
        for level in policy.escalation:
            calling = [one for one in incident.firing(level) if one.policy == policy.name]
            if calling:
                yield calling[0], policy, level


def _escalations(incident: Incident, now: datetime, ids: Ids) -> Iterator[Action]:
    for episode, policy, level in _levels(incident):
        if incident.due_at(level) > now:
            continue
        facts = {
            "level": str(level.level),
            "to": level.to,
            "ask": level.ask,
            "open_for": open_for(now - incident.since),
        }
        yield from to_channels(
            episode,
            policy,
            level.channels,
            Event.ESCALATION,
            now=now,
            ids=ids,
            facts=facts,
            fallback=_fallback(episode, policy),
            which=str(level.level),
        )


def _status(incident: Incident, now: datetime, ids: Ids) -> Iterator[Action]:
    for episode, policy in incident.in_force():
        if policy.status_every_s is None:
            continue
        number, _ = _slot(incident, policy.status_every_s, now)
        if number == 0:
            continue
        channels = [channel for action in telling_actions(episode, policy) for channel in action.channels]
        facts = {"open_for": open_for(now - incident.since), "summary": summary(incident)}
        yield from to_channels(
            episode,
            policy,
            channels,
            Event.STATUS,
            now=now,
            ids=ids,
            facts=facts,
            fallback=_fallback(episode, policy),
            which=f"{policy.name}:{number}",
        )


def summary(incident: Incident) -> str:
    """The open alerts, oldest first, and whether somebody has acknowledged them."""
    names = [f"{one.alert or 'frozen by hand'} ({one.state.value.lower()})" for one in incident.episodes]
    shown = list(dict.fromkeys(names))
    more = f" and {len(shown) - SUMMARY_ALERTS_MAX} more" if len(shown) > SUMMARY_ALERTS_MAX else ""
    by = next((one.acked_by for one in incident.episodes if one.acked_by), "")
    seen_by = f"acknowledged by {by}" if by else "not acknowledged"
    return f"{', '.join(shown[:SUMMARY_ALERTS_MAX])}{more}; {seen_by}"


def _slot(incident: Incident, every_s: float, now: datetime) -> tuple[int, datetime]:
    """Number of the current status update (0: none yet) and the time of the next update."""
    number = max(0, int((now - incident.since).total_seconds() // every_s))
    return number, incident.since + seconds((number + 1) * every_s)


def _fallback(episode: Episode, policy: Policy) -> list[str]:
    return [channel for action in telling_actions(episode, policy) for channel in action.fallback]
