"""What the receiver shows: metrics (with fixed names, which are contracts), and its state as plain data for JSON."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from receiver.decide.model import Action, Episode, FreezeReason, Recorded, stamp_ms
from receiver.journal import View
from receiver.policy.model import Policies
from receiver.rollouts import PHASES, Rollout

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Meters:
    """Counters and histograms of one receiver, in the registry that the caller passes in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "freezeline_webhook_requests", "Webhook requests by HTTP status", ["code"], registry=registry
        )
        self.alerts = Counter("freezeline_alerts", "Alerts received", registry=registry)
        self.quarantined = Counter("freezeline_alerts_quarantined", "Alerts that could not be read", registry=registry)
        self.actions = Counter(
            "freezeline_actions", "Actions that ended, by outcome", ["type", "outcome"], registry=registry
        )
        self.action_duration = Histogram(
            "freezeline_action_duration_seconds",
            "Time from planning an action to its end",
            ["type"],
            buckets=SECONDS,
            registry=registry,
        )
        self.to_flag = Histogram(
            "freezeline_webhook_to_flag_seconds",
            "Time from the webhook to the flag on disk",
            buckets=SECONDS,
            registry=registry,
        )
        self.to_notice = Histogram(
            "freezeline_webhook_to_notice_seconds",
            "Time from the webhook to the first delivered notice",
            ["channel"],
            buckets=SECONDS,
            registry=registry,
        )
        self.policy_load_ok = Gauge(
            "freezeline_policy_load_ok", "Whether the policies on disk are in force", registry=registry
        )
        self.reconciled = Gauge(
            "freezeline_reconcile_last_success_timestamp_seconds",
            "When journal, Alertmanager and flags were last compared",
            registry=registry,
        )
        self.watchdog = Gauge(
            "freezeline_watchdog_last_seen_timestamp_seconds",
            "When the watchdog alert last arrived",
            registry=registry,
        )

    def ended(self, action: Action, now: datetime) -> None:
        """Count an action that has ended."""
        self.actions.labels(action.type.value, action.state.value.lower()).inc()
        self.action_duration.labels(action.type.value).observe((now - action.created_at).total_seconds())


class Standing(Struct, frozen=True, kw_only=True):
    """The journal's content at one point in time, for gauges and for the state."""

    seq: int
    live: tuple[Episode, ...]
    freeze_reasons: tuple[FreezeReason, ...]
    actions: tuple[tuple[str, str, str, int], ...]
    unfinished: tuple[Action, ...]
    recent: tuple[Action, ...]
    dead_letters: tuple[Action, ...]
    flags: dict[str, str]


def look(view: View) -> Standing:
    """Read the standing."""
    return Standing(
        seq=view.head()[0],
        live=tuple(view.live_episodes()),
        freeze_reasons=tuple(view.freeze_reasons(held=True)),
        actions=tuple(view.count_actions()),
        unfinished=tuple(view.unfinished_actions()),
        recent=tuple(view.actions(limit=20)),
        dead_letters=tuple(view.dead_letters(100)),
        flags=view.flags(),
    )


class StandingCollector(Collector):
    """Gauges over the standing. Each scrape sets the standing first."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.services: tuple[str, ...] = ()
        self.rollouts: tuple[Rollout, ...] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges."""
        frozen = GaugeMetricFamily("freezeline_frozen", "Whether the service is frozen", labels=["service"])
        episodes = GaugeMetricFamily("freezeline_episodes_open", "Open episodes", labels=["service", "severity"])
        actions = GaugeMetricFamily("freezeline_action_state", "Actions by state", labels=["service", "type", "state"])
        dead = GaugeMetricFamily(
            "freezeline_dead_letters", "Notices that could not be delivered (dead letters)", labels=["channel"]
        )
        if self.standing is not None:
            held = frozen_services(self.standing)
            for service in sorted({*self.services, *self.standing.flags.values(), *held}):
                frozen.add_metric([service], float(service in held))
            tally = Tally((episode.service, episode.severity) for episode in self.standing.live)
            for (service, severity), count in sorted(tally.items()):
                episodes.add_metric([service, severity], count)
            for service, kind, state, count in self.standing.actions:
                actions.add_metric([service, kind, state], count)
            letters = Tally(action.name for action in self.standing.dead_letters)
            for channel, count in sorted(letters.items()):
                dead.add_metric([channel], count)
        yield from (frozen, episodes, actions, dead, *self._canaries())

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


def frozen_services(standing: Standing) -> frozenset[str]:
    """Services that at least one episode keeps frozen."""
    by_id = {episode.id: episode.service for episode in standing.live}
    return frozenset(
        service
        for freeze_reason in standing.freeze_reasons
        if (service := by_id.get(freeze_reason.episode) or standing.flags.get(freeze_reason.flag)) is not None
    )


def state(standing: Standing, policies: Policies, *, now: datetime, version: str) -> dict[str, Any]:
    """The body of GET /api/v1/state."""
    names = {policy.service for policy in policies.in_force} | set(standing.flags.values())
    names |= {episode.service for episode in standing.live}
    return {
        "at": stamp_ms(now),
        "seq": standing.seq,
        "version": version,
        "services": [_service(name, standing) for name in sorted(names)],
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


def _service(name: str, standing: Standing) -> dict[str, Any]:
    episodes = [episode for episode in standing.live if episode.service == name]
    by_id = {episode.id: episode for episode in episodes}
    freeze_reasons = [
        freeze_reason
        for freeze_reason in standing.freeze_reasons
        if freeze_reason.episode in by_id
        or (standing.flags.get(freeze_reason.flag) == name and freeze_reason.episode not in by_id)
    ]
    oldest = episodes[0] if episodes else None
    return {
        "service": name,
        "frozen": bool(freeze_reasons),
        "since": stamp_ms(min(freeze_reason.since for freeze_reason in freeze_reasons)) if freeze_reasons else None,
        "flags": sorted({freeze_reason.flag for freeze_reason in freeze_reasons}),
        "incident": oldest.incident if oldest else None,
        "acknowledged_by": (oldest.acked_by or None) if oldest else None,
        "reasons": [
            {
                "episode": freeze_reason.episode,
                "reason": freeze_reason.reason,
                "since": stamp_ms(freeze_reason.since),
                "written_at": stamp_ms(freeze_reason.written_at) if freeze_reason.written_at else None,
            }
            for freeze_reason in freeze_reasons
        ],
    }


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
    "Meters",
    "Standing",
    "StandingCollector",
    "action_json",
    "decision_json",
    "frozen_services",
    "look",
    "state",
]
