"""What one rollout may reach outside: the proxy, Prometheus, the receiver, commands, the gate, and people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from receiver.plaintext import plain
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus
from release.canary.state import AbJudged, State
from release.engine.paging import Paging
from release.engine.readings import Tracks
from release.engine.receiver import Receiver, ReceiverError
from release.gate.answer import Report, Verdict
from release.gate.frozen import check as ask_frozen
from release.gate.run import run as run_gate
from release.gate.world import EvidenceError, World
from release.policy.canary import Canary
from release.policy.gate import NotFrozen
from release.policy.read import ReleasePolicy
from release.traffic.adapter import Traffic

AskAb = Callable[[State], Awaitable[AbJudged | None]]
"""Judges the A/B test of the rollout's present stage; None while there is nothing new to say. Raises SourceError."""


class Outside(Struct, frozen=True, kw_only=True):
    """Everything is passed in. `ab` None: this engine judges no A/B tests."""

    policy: ReleasePolicy
    canary: Canary
    traffic: Traffic
    prometheus: Prometheus
    receiver: Receiver
    tracks: Tracks
    environment: Mapping[str, str]
    command_environment: Mapping[str, str]
    directory: Path
    rehearsals: Path | None
    host: str
    clock: Callable[[], float]
    paging: Paging
    ab: AskAb | None = None

    def world(self) -> World:
        """What the gate's checks may ask."""
        gate = self.policy.gate
        return World(
            policy=self.policy.policy,
            checks={check.id: check for check in gate.checks} if gate is not None else {},
            now=datetime.fromtimestamp(self.clock(), UTC),
            environment=self.environment,
            directory=self.directory,
            rehearsals=self.rehearsals,
            host=self.host,
            prometheus=self.prometheus,
            receiver=self._receiver_state,
        )

    async def _receiver_state(self) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = await self.receiver.get("/api/v1/state")
        except ReceiverError as error:
            raise EvidenceError(str(error)) from error
        return found

    async def frozen(self) -> tuple[bool | None, str]:
        """Whether the service is frozen, by its flags and by the receiver; None and why where nobody can tell."""
        finding = await ask_frozen(NotFrozen(id="not-frozen"), self.world())
        answer = {Verdict.GO: False, Verdict.NO_GO: True, Verdict.CANNOT_TELL: None}[finding.verdict]
        return answer, finding.reason

    async def may_shift(self) -> tuple[bool | None, str]:
        """As `frozen`, just before a weight is raised: None also where Prometheus could not judge what follows."""
        frozen, why = await self.frozen()
        if frozen is not False:
            return frozen, why
        try:
            await self.prometheus.samples("vector(1)")
        except SourceError as error:
            return None, str(error)
        return False, ""

    async def gate(self) -> tuple[bool, str]:
        """The go/no-go gate: whether it says GO, and the reasons where it does not."""
        if self.policy.gate is None:
            return False, "the policy has no gate"
        report = await run_gate(self.policy.gate, self.world())
        return report.verdict is Verdict.GO, "; ".join(_objections(report))

    async def firing(self, since: float | None) -> tuple[str, ...]:
        """Alerts of `abort_on` that fire. With `since`, only alerts that became active at or after this moment.

        Raises SourceError.
        """
        if not self.canary.abort_on:
            return ()
        found = {
            plain(alert.labels.get("alertname", "?"), 80)
            for alert in await self.prometheus.firing_alerts()
            if any(all(matcher.matches(alert.labels) for matcher in matchers) for matchers in self.canary.abort_on)
            and (since is None or _moment(alert.active_at) >= since)
        }
        return tuple(sorted(found))


def _moment(text: str) -> float:
    """The time that Prometheus writes. An alert without a readable time counts as new."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return float("inf")


def _objections(report: Report) -> list[str]:
    return [f"{one.id}: {one.reason}" for one in report.findings if one.verdict is not Verdict.GO]
