"""What the receiver shows of its journal: gauges with fixed names, and its state as plain data for JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from receiver.decide import hosts
from receiver.decide.hosts import HostFlag, Sharing
from receiver.decide.model import (
    EMPTY,
    LISTED_MAX,
    Action,
    ActionState,
    ActionType,
    Episode,
    EpisodeState,
    FreezeReason,
    Recorded,
    seconds,
    stamp_ms,
)
from receiver.decide.plan import BY_OPERATOR, unfreeze_when
from receiver.host_report import by_service, hosts_json, problems_of_hosts
from receiver.journal import View
from receiver.policy.model import Policies
from receiver.rehearsals import MEASURES, Rehearsal, newest
from receiver.rollouts import PHASES, Rollout

UNFINISHED_SHOWN = 500
"""The most unfinished actions that are shown."""


class Standing(Struct, frozen=True, kw_only=True):
    """The journal's content at one point in time, for gauges and for the state.

    `live` and `freeze_reasons` are the oldest of each service and flag; `counts` (service, severity, number) and `held`
    (by flag) count all of them. `episodes` are the live ones and those of the reasons.
    A freeze is *meant* when the journal has a reason, and *on disk* when the flag with this reason is there. `missing`
    holds the flags that are meant and not on disk. `skipped` holds rollbacks of live episodes that were not started.
    `hosts` is what each host said of its flags, by service, where several receivers are `sharing` the journal.
    `missing_elsewhere` holds the flags that another host should have, and does not.
    """

    seq: int
    live: tuple[Episode, ...]
    counts: tuple[tuple[str, str, int], ...]
    freeze_reasons: tuple[FreezeReason, ...]
    held: dict[str, int]
    episodes: dict[str, Episode]
    actions: tuple[tuple[str, str, str, int], ...]
    unfinished: tuple[Action, ...]
    recent: tuple[Action, ...]
    dead_letters: tuple[Action, ...]
    flags: dict[str, str]
    missing: frozenset[str] = frozenset()
    skipped: tuple[Action, ...] = ()
    hosts: Mapping[str, Sequence[HostFlag]] = field(default_factory=dict)
    missing_elsewhere: frozenset[str] = frozenset()
    sharing: Sharing | None = None

    @property
    def unmet(self) -> frozenset[str]:
        """Flags that are meant and not on the disk of this host, or of another host whose receiver lives."""
        return self.missing | self.missing_elsewhere

    def service_of(self, freeze_reason: FreezeReason) -> str | None:
        """The service that a reason freezes; None if nothing tells."""
        episode = self.episodes.get(freeze_reason.episode)
        return episode.service if episode else self.flags.get(freeze_reason.flag)

    def by_service(self) -> dict[str, OfService]:
        """What is known of each service that has anything."""
        found: dict[str, OfService] = {}
        for episode in self.live:
            found.setdefault(episode.service, OfService()).live.append(episode)
        for service, _, number in self.counts:
            found.setdefault(service, OfService()).open += number
        for freeze_reason in self.freeze_reasons:
            service_of = self.service_of(freeze_reason)
            if service_of is not None:
                found.setdefault(service_of, OfService()).freeze_reasons.append(freeze_reason)
        for one in found.values():
            one.held = sum(self.held[flag] for flag in {reason.flag for reason in one.freeze_reasons})
        return found


class OfService(Struct, kw_only=True):
    """One service's oldest live episodes and reasons, and the numbers of all of them."""

    live: list[Episode] = field(default_factory=list)
    open: int = 0
    freeze_reasons: list[FreezeReason] = field(default_factory=list)
    held: int = 0


def look(view: View, each: int = LISTED_MAX, *, sharing: Sharing | None = None) -> Standing:
    """Read the standing, and look which flags are on disk: as much as is shown, however many episodes are open.

    `each` is the most episodes of a service. `sharing` is for a journal of several receivers.
    """
    live, freeze_reasons = view.oldest_live(each), view.oldest_reasons(LISTED_MAX)
    episodes = {episode.id: episode for episode in live}
    missing = [one.episode for one in freeze_reasons if one.episode not in episodes]
    held = view.held_flags()
    said = view.host_flags() if sharing else []
    return Standing(
        seq=view.head()[0],
        live=tuple(live),
        counts=tuple(view.count_live()),
        freeze_reasons=tuple(freeze_reasons),
        held=held,
        episodes=episodes | view.episodes(missing),
        missing=frozenset(flag for flag in held if not os.path.lexists(flag)) | view.unwritten_flags(),
        skipped=_skipped(view),
        actions=tuple(view.count_actions()),
        unfinished=tuple(view.unfinished_actions(limit=UNFINISHED_SHOWN)),
        recent=tuple(view.actions(limit=20)),
        dead_letters=tuple(view.dead_letters(100)),
        flags=view.flags(),
        hosts=by_service(said),
        missing_elsewhere=hosts.unmet(said, held, sharing) if sharing else frozenset(),
        sharing=sharing,
    )


def _skipped(view: View) -> tuple[Action, ...]:
    """Rollbacks of live episodes that were not started."""
    found = view.actions(type=ActionType.ROLLBACK, state=ActionState.SKIPPED, limit=100)
    episodes = view.episodes([action.episode for action in found if action.episode])
    ended = {one.id for one in episodes.values() if one.state in {EpisodeState.CLOSED, EpisodeState.EXPIRED}}
    return tuple(action for action in found if action.episode in episodes.keys() - ended)


class StandingCollector(Collector):
    """Gauges over the standing. Each scrape sets the standing first."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.services: tuple[str, ...] = ()
        self.rollouts: tuple[Rollout, ...] = ()
        self.rehearsals: tuple[Rehearsal, ...] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges."""
        frozen = GaugeMetricFamily(
            "freezeline_frozen", "Whether the service is frozen, with its flag on disk", labels=["service"]
        )
        unmet = GaugeMetricFamily(
            "freezeline_freeze_not_on_disk",
            "Whether the service should be frozen and its flag is not on disk",
            labels=["service"],
        )
        episodes = GaugeMetricFamily("freezeline_episodes_open", "Open episodes", labels=["service", "severity"])
        actions = GaugeMetricFamily("freezeline_action_state", "Actions by state", labels=["service", "type", "state"])
        dead = GaugeMetricFamily(
            "freezeline_dead_letters", "Notices that could not be delivered (dead letters)", labels=["channel"]
        )
        if self.standing is not None:
            held, failing = frozen_services(self.standing), failing_services(self.standing)
            for service in sorted({*self.services, *self.standing.flags.values(), *held}):
                frozen.add_metric([service], float(service in held - failing))
                unmet.add_metric([service], float(service in failing))
            for service, severity, count in self.standing.counts:
                episodes.add_metric([service, severity], count)
            for service, kind, state, count in self.standing.actions:
                actions.add_metric([service, kind, state], count)
            letters = Counter(action.name for action in self.standing.dead_letters)
            for channel, count in sorted(letters.items()):
                dead.add_metric([channel], count)
        yield from (frozen, unmet, episodes, actions, dead, *self._canaries(), *self._rehearsed())

    def _canaries(self) -> Iterator[GaugeMetricFamily]:
        weight = GaugeMetricFamily(
            "freezeline_canary_weight", "The canary's share of the traffic, from 0 to 1", labels=["service"]
        )
        state = GaugeMetricFamily(
            "freezeline_canary_state", "1 for the phase of the newest rollout", labels=["service", "state"]
        )
        for one in self.rollouts:
            weight.add_metric([one.service], one.weight)
            for phase in PHASES:
                state.add_metric([one.service, phase], float(phase == one.phase))
        yield weight
        yield state

    def _rehearsed(self) -> Iterator[GaugeMetricFamily]:
        labels = ["service", "kind"]
        ok = GaugeMetricFamily("freezeline_rehearsal_ok", "Whether the newest rehearsal succeeded", labels=labels)
        last = GaugeMetricFamily(
            "freezeline_rehearsal_last_success_timestamp_seconds",
            "When a rehearsal last succeeded, in seconds since 1970",
            labels=labels,
        )
        took = GaugeMetricFamily(
            "freezeline_rehearsal_seconds",
            f"What the newest rehearsal measured: {', '.join(MEASURES)}",
            labels=[*labels, "measure"],
        )
        for (service, kind), one in newest(self.rehearsals).items():
            ok.add_metric([service, kind], float(one.ok))
            for measure, value in one.seconds().items():
                took.add_metric([service, kind, measure], value)
        for (service, kind), one in newest(one for one in self.rehearsals if one.ok).items():
            last.add_metric([service, kind], one.ended_at.timestamp())
        yield from (ok, last, took)


def frozen_services(standing: Standing) -> frozenset[str]:
    """Services that at least one episode means to keep frozen."""
    return frozenset(_service_of(standing).values())


def failing_services(standing: Standing) -> frozenset[str]:
    """Services that should be frozen and have a flag that is not on disk."""
    by_flag = _service_of(standing)
    return frozenset(by_flag[flag] for flag in standing.unmet & by_flag.keys())


def _service_of(standing: Standing) -> dict[str, str]:
    """The service of each flag that has a freeze reason."""
    return {
        freeze_reason.flag: service
        for freeze_reason in standing.freeze_reasons
        if (service := standing.service_of(freeze_reason)) is not None
    }


def state(
    standing: Standing,
    policies: Policies,
    *,
    now: datetime,
    version: str,
    faults: Mapping[str, str] = EMPTY,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """The body of GET /api/v1/state.

    `faults` says why a flag is not on disk as the journal wants, by flag. `problems` are the receiver's own.
    """
    names = {policy.service for policy in policies.in_force} | set(standing.flags.values())
    found = standing.by_service()
    return {
        "at": stamp_ms(now),
        "seq": standing.seq,
        "version": version,
        "problems": list(problems),
        "services": [
            _service(name, found.get(name, OfService()), standing, policies, faults)
            for name in sorted(names | set(found))
        ],
        "episodes_total": sum(number for _, _, number in standing.counts),
        "episodes": [_episode(episode) for episode in standing.live],
        "actions": [action_json(action) for action in _worth_showing(standing)],
        "dead_letters": [action_json(action) for action in standing.dead_letters],
        "policies": [
            {"name": policy.name, "service": policy.service, "sha256": policy.sha256, "spec": policy.spec}
            for policy in policies.in_force
        ],
    }


def _worth_showing(standing: Standing) -> Iterable[Action]:
    found = {action.id: action for action in (*standing.unfinished, *standing.recent)}
    return sorted(found.values(), key=lambda action: action.id)


def _service(
    name: str, found: OfService, standing: Standing, policies: Policies, faults: Mapping[str, str]
) -> dict[str, Any]:
    episodes, freeze_reasons = found.live, found.freeze_reasons
    oldest = episodes[0] if episodes else None
    flags = sorted({freeze_reason.flag for freeze_reason in freeze_reasons})
    return {
        "service": name,
        "frozen": bool(freeze_reasons),
        "on_disk": bool(flags) and standing.unmet.isdisjoint(flags),
        "problems": problems_of(name, standing, flags, faults),
        "since": stamp_ms(min(freeze_reason.since for freeze_reason in freeze_reasons)) if freeze_reasons else None,
        "flags": flags,
        "incident": oldest.incident if oldest else None,
        "acknowledged_by": (oldest.acked_by or None) if oldest else None,
        "episodes_total": found.open,
        "reasons_total": found.held,
        "hosts": hosts_json(standing.hosts.get(name, ()), standing.sharing),
        "reasons": [
            {
                "episode": freeze_reason.episode,
                "reason": freeze_reason.reason,
                "since": stamp_ms(freeze_reason.since),
                "written_at": stamp_ms(freeze_reason.written_at) if freeze_reason.written_at else None,
                **_end(standing.episodes.get(freeze_reason.episode), policies),
            }
            for freeze_reason in freeze_reasons
        ],
    }


def _end(episode: Episode | None, policies: Policies) -> dict[str, Any]:
    """What ends a freeze reason, and when. `ends_at` is the earliest time; None while the alert fires."""
    policy = policies.by_sha256.get(episode.policy_sha256) if episode else None
    rule = policy.rule(episode.rule) if policy and episode else None
    if episode is None or rule is None:
        return {"alert": "", "firing": None, "unfreeze_when": BY_OPERATOR, "ends_at": None, "review_at": None}
    resolving = episode.state is EpisodeState.RESOLVING and episode.resolved_at is not None
    ends_at = (episode.resolved_at or episode.opened_at) + seconds(rule.unfreeze.resolved_for_s)
    return {
        "alert": episode.alert,
        "firing": not resolving,
        "unfreeze_when": unfreeze_when(rule.unfreeze),
        "ends_at": stamp_ms(ends_at) if resolving else None,
        "review_at": stamp_ms(episode.review_at) if episode.review_at else None,
    }


def problems_of(name: str, standing: Standing, flags: Iterable[str], faults: Mapping[str, str]) -> list[str]:
    """What did not go as the policy wants for one service, in sentences for people."""
    of_hosts = []
    if standing.sharing is not None:
        of_hosts = problems_of_hosts(standing.hosts.get(name, ()), standing.held, standing.sharing)
    if not (standing.missing or faults or standing.skipped or standing.dead_letters):
        return of_hosts
    own = {*flags, *(flag for flag, service in standing.flags.items() if service == name)}
    said = [f"the flag {flag} is not on disk" for flag in sorted(standing.missing & own) if flag not in faults]
    said += [f"the flag is not as it should be: {faults[flag]}" for flag in sorted(own & faults.keys())]
    said += of_hosts
    skipped = [action for action in standing.skipped if action.service == name]
    said += dict.fromkeys(f"rollback {action.result.get('sentence', 'not started')}" for action in skipped)
    lost = Counter(letter.name for letter in standing.dead_letters if letter.service == name)
    said += [
        f"{count} {'notice' if count == 1 else 'notices'} to {channel} could not be delivered"
        for channel, count in sorted(lost.items())
    ]
    return said


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "id": episode.id,
        "service": episode.service,
        "policy": episode.policy,
        "rule": episode.rule,
        "alert": episode.alert,
        "severity": episode.severity,
        "state": episode.state.value,
        "reason": episode.reason,
        "incident": episode.incident,
        "opened_at": stamp_ms(episode.opened_at),
        "resolved_at": stamp_ms(episode.resolved_at) if episode.resolved_at else None,
        "review_at": stamp_ms(episode.review_at) if episode.review_at else None,
        "acknowledged_by": episode.acked_by or None,
        "trace_id": episode.trace.trace_id,
    }


def action_json(action: Action) -> dict[str, Any]:
    """An action as people and programs see it, without the internal fields."""
    return {
        "id": action.id,
        "type": action.type.value,
        "name": action.name,
        "service": action.service,
        "episode": action.episode,
        "state": action.state.value,
        "attempt": action.attempt,
        "created_at": stamp_ms(action.created_at),
        "due_at": stamp_ms(action.due_at) if action.due_at else None,
        "event": action.payload.get("event"),
        "release": action.payload.get("release"),
        "result": dict(action.result),
        "repeat": action.repeat,
    }


def decision_json(recorded: Recorded) -> dict[str, Any]:
    """A decision as people and programs see it."""
    return {
        "seq": recorded.seq,
        "at": stamp_ms(recorded.at),
        "kind": recorded.decision.kind,
        "sentence": recorded.decision.sentence,
        "delivery": recorded.decision.delivery or None,
        "episode": recorded.decision.episode or None,
        "action": recorded.decision.action or None,
        "trace_id": recorded.decision.trace_id or None,
        "hash": recorded.hash,
    }


__all__ = [
    "OfService",
    "Standing",
    "StandingCollector",
    "action_json",
    "decision_json",
    "failing_services",
    "frozen_services",
    "look",
    "problems_of",
    "state",
]
