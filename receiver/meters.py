"""Counters and histograms of what the receiver does. Dashboards and alerts rely on the fixed names of these metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from receiver.decide.model import Action

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Webhooks(Collector):
    """What came by POST /webhook, in plain numbers: only the event loop counts, and a `Counter` takes a lock each time.

    The locks of two counters took a twentieth of the event loop's time for a webhook (measured).
    """

    def __init__(self) -> None:
        self.answers: defaultdict[int, int] = defaultdict(int)
        self.alerts = 0
        self.quarantined = 0

    def collect(self) -> Iterator[Metric]:
        """Read the counters."""
        answers = CounterMetricFamily("freezeline_webhook_requests", "Webhook requests by HTTP status", labels=["code"])
        for status, count in sorted(self.answers.items()):
            answers.add_metric([str(status)], count)
        yield answers
        yield CounterMetricFamily("freezeline_alerts", "Alerts received", self.alerts)
        yield CounterMetricFamily("freezeline_alerts_quarantined", "Alerts that could not be read", self.quarantined)


class Meters:
    """Counters and histograms of one receiver, in the registry that the caller passes in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.webhooks = Webhooks()
        registry.register(self.webhooks)
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
        self.policies = Gauge("freezeline_policies", "Policies in force", registry=registry)
        self.loop_errors = Counter(
            "freezeline_loop_errors", "Errors that a loop of the receiver survived", ["loop"], registry=registry
        )
        self.component_ok = Gauge(
            "freezeline_component_ok",
            "Whether a component of the receiver works, as /health says",
            ["component"],
            registry=registry,
        )
        self.reconciled = Gauge(
            "freezeline_reconcile_last_success_timestamp_seconds",
            "When journal, Alertmanager and flags were last compared",
            registry=None,
        )
        self.watchdog = Gauge(
            "freezeline_watchdog_last_seen_timestamp_seconds",
            "When the watchdog alert last arrived, at any receiver that shares the journal",
            registry=registry,
        )

    def reconciles(self) -> None:
        """Export when the receiver last compared. A receiver that stands by compares nothing, and has no such time."""
        self.registry.register(self.reconciled)

    def ended(self, action: Action, now: datetime) -> None:
        """Count an action that has ended."""
        self.actions.labels(action.type.value, action.state.value.lower()).inc()
        self.action_duration.labels(action.type.value).observe((now - action.created_at).total_seconds())
