"""Values for the receiver's unit tests: alerts, policies, episodes, times."""

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from freezeline.problems import Problems
from receiver.decide.model import Alert, AlertStatus, Episode, EpisodeState, FreezeReason
from receiver.policy.model import Policies, Policy
from receiver.policy.read import parse_policy

NOW = datetime(2026, 11, 21, 8, 20, tzinfo=UTC)
STARTED = datetime(2026, 11, 21, 8, 17, 42, tzinfo=UTC)
LABELS = {"alertname": "FailureRateHigh", "service": "gateway", "severity": "critical"}
CHANNELS = ("log", "toast", "slack")


def at(seconds: float) -> datetime:
    """NOW and some seconds."""
    return NOW + timedelta(seconds=seconds)


def counting_ids() -> Callable[[datetime], str]:
    """Count: 1, 2, 3 and so on."""
    numbers = itertools.count(1)
    return lambda _now: str(next(numbers))


def alert(
    *,
    status: AlertStatus = AlertStatus.FIRING,
    labels: Mapping[str, str] | None = None,
    starts_at: datetime = STARTED,
    ends_at: datetime | None = None,
    fingerprint: str = "b42cef305cefc9ab",
) -> Alert:
    """One alert."""
    return Alert(
        fingerprint=fingerprint,
        status=status,
        labels=LABELS if labels is None else labels,
        annotations={"summary": "failure rate 2.31 % > 0.5 %"},
        starts_at=starts_at,
        ends_at=ends_at,
    )


def raw_policy(**changes: Any) -> dict[str, Any]:
    """The policy of the contract, on paths that need not exist."""
    raw: dict[str, Any] = {
        "format": "freezeline.policy/2",
        "name": "failure-budget",
        "service": "gateway",
        "spec": "failure-budget@sha256:9f2c0d",
        "rules": [
            {
                "id": "failure-rate-high",
                "match": [
                    {"label": "alertname", "op": "=", "value": "FailureRateHigh"},
                    {"label": "service", "op": "=", "value": "gateway"},
                ],
                "do": ["freeze", "rollback", "tell"],
                "unfreeze": {"resolved_for_s": 300, "all_of": [], "review_after_s": 86400},
            }
        ],
        "actions": {
            "freeze": {"type": "freeze", "flag": "/var/lib/freezeline/gateway/FREEZE.FLAG"},
            "rollback": {
                "type": "rollback",
                "command": ["/opt/gateway/rollback.sh"],
                "timeout_s": 300,
                "verify": {"command": ["/opt/gateway/is-rolled-back.sh"]},
                "release": {"command": ["/opt/gateway/current-release.sh"]},
                "cooldown_s": 3600,
                "max_per_day": 3,
            },
            "tell": {"type": "notify", "channels": ["toast", "log"], "fallback": ["log"]},
        },
    }
    return {**raw, **changes}


def policy(**changes: Any) -> Policy:
    """A parsed policy."""
    problems = Problems()
    found = parse_policy(json.dumps(raw_policy(**changes)), file="x.json", channels=CHANNELS, problems=problems)
    assert found is not None, [problem.message for problem in problems]
    return found


def policies(*found: Policy) -> Policies:
    """Policies in force."""
    return Policies(in_force=found, by_sha256={one.sha256: one for one in found})


def episode(**changes: Any) -> Episode:
    """An open episode of the policy's only rule."""
    values: dict[str, Any] = {
        "id": "E1",
        "policy": "failure-budget",
        "rule": "failure-rate-high",
        "fingerprint": "b42cef305cefc9ab",
        "service": "gateway",
        "state": EpisodeState.OPEN,
        "generation": 1,
        "opened_at": NOW,
        "policy_sha256": policy().sha256,
        "incident": "E1",
        "alert": "FailureRateHigh",
        "severity": "critical",
        "reason": "failure rate 2.31 % > 0.5 %",
        "spec": "failure-budget@sha256:9f2c0d",
        "labels": LABELS,
        "starts_at": STARTED,
        "review_at": at(86400),
    }
    return Episode(**{**values, **changes})


def freeze_reason(**changes: Any) -> FreezeReason:
    """A freeze reason of that episode."""
    values: dict[str, Any] = {
        "flag": "/var/lib/freezeline/gateway/FREEZE.FLAG",
        "episode": "E1",
        "reason": "failure rate 2.31 % > 0.5 %",
        "since": NOW,
    }
    return FreezeReason(**{**values, **changes})
