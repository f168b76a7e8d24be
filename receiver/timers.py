"""Notices that time brings while an incident is open: levels of escalation, and the status. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from receiver.model import Action, Episode, seconds
from receiver.notice import Moment
from receiver.plan import Ids, span
from receiver.policy import Policy
from receiver.telling import telling_actions, to_channels


def _roots(episodes: Sequence[Episode]) -> Iterator[Episode]:
    """The oldest live episode of each incident; `episodes` come oldest first."""
    known: set[str] = set()
    for episode in episodes:
        if episode.incident not in known:
            known.add(episode.incident)
            yield episode


def due_notices(
    episodes: Sequence[Episode], policies: Mapping[str, Policy], *, now: datetime, ids: Ids
) -> list[Action]:
    """Every notice that is due now. Those which were told before have known keys and change nothing.

    Only the latest status is due: one that was missed is not caught up. `policies` are by episode.
    """
    found: list[Action] = []
    for episode in _roots(episodes):
        policy = policies.get(episode.id)
        if policy is None:
            continue
        open_s = (now - episode.opened_at).total_seconds()
        open_for = span(round(open_s)) if open_s < 60 else span(round(open_s / 60) * 60)
        for level in policy.escalation if episode.acked_at is None else ():
            if open_s >= level.after_s:
                facts = {"level": str(level.level), "open_for": open_for, "ask": level.ask, "to": level.to}
                found += to_channels(
                    episode,
                    policy,
                    level.channels,
                    Moment.ESCALATION,
                    now=now,
                    ids=ids,
                    facts=facts,
                    which=str(level.level),
                )
        if policy.status_every_s is not None and open_s >= policy.status_every_s:
            channels = [name for action in telling_actions(episode, policy) for name in action.channels]
            number = int(open_s // policy.status_every_s)
            facts = {"open_for": open_for}
            found += to_channels(
                episode, policy, channels, Moment.STATUS, now=now, ids=ids, facts=facts, which=str(number)
            )
    return found


def next_notice(episodes: Sequence[Episode], policies: Mapping[str, Policy], *, now: datetime) -> datetime | None:
    """When the next notice will be due; None where none will."""
    times: list[datetime] = []
    for episode in _roots(episodes):
        policy = policies.get(episode.id)
        if policy is None:
            continue
        if episode.acked_at is None:
            times += [episode.opened_at + seconds(level.after_s) for level in policy.escalation]
        if policy.status_every_s is not None:
            passed = int((now - episode.opened_at).total_seconds() // policy.status_every_s)
            times.append(episode.opened_at + seconds((passed + 1) * policy.status_every_s))
    return min((at for at in times if at > now), default=None)
