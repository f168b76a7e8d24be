"""The drill of the loop: an alert through the real Alertmanager, webhook, flag, notices, resolve, unfreeze.

The receiver's own decisions give the times. The flag lies in the drill directory, and the drill's service is a service
of its own, so that nothing real is frozen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec import Struct, field

from receiver.policy.model import Policy
from release.drill import policy as drill_policy
from release.drill.experiment import DrillError, Experiment, Step

POLL_S = 0.05
STEADY_LIMIT_S = 15.0
FAILURES = frozenset({"freeze_failed", "unfreeze_failed", "dead_letter"})
"""Decisions after which a leg of the loop cannot succeed."""

FIRES_FOR_S = 3600.0
"""If nothing resolves the alert, Alertmanager itself does so after this time."""


class Receiver(Protocol):
    """A running receiver, with the token `operate`. Every method raises DrillError."""

    async def get(self, path: str) -> Any:
        """The JSON body of a GET."""

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON body of a POST's answer."""


class Alertmanager(Protocol):
    """One Alertmanager, or several. Every method raises DrillError."""

    async def ready(self) -> None:
        """Raise DrillError unless each of them is ready."""

    async def send(self, alert: Mapping[str, Any]) -> None:
        """Send an alert to each of them, as Prometheus does."""


class Loop(Struct, kw_only=True):
    """One drill of the loop, and what is known of the drill so far. `limit_s` bounds the wait for one leg.

    `drill` names the drill, in a label of its alert. `channels` is the number of channels that must get each notice.
    `is_there` looks for a file, where the receiver's files are on this machine.
    """

    policy: Policy
    drill: str
    receiver: Receiver
    alertmanager: Alertmanager
    channels: int
    limit_s: float
    clock: Callable[[], float] = time.time
    is_there: Callable[[str], bool] | None = None
    flags: list[str] = field(default_factory=list)
    after: int = 0
    posted_at: float = 0.0
    resolved_at: float = 0.0
    episode: str = ""
    decisions: list[Mapping[str, Any]] = field(default_factory=list)

    def experiment(self) -> Experiment:
        """What is checked, done and put back."""
        return Experiment(
            steady_state=(
                Step(title="Alertmanager is ready", do=self.alertmanager.ready, limit_s=STEADY_LIMIT_S),
                Step(title="the receiver has the drill's policy, not frozen", do=self._at_rest, limit_s=STEADY_LIMIT_S),
                Step(title="no other policy answers the drill", do=self._alone, limit_s=STEADY_LIMIT_S),
            ),
            method=(
                self._step("alert to webhook", self._fire),
                self._step("webhook to flag", self._frozen),
                self._step("webhook to notice", self._told),
                self._step("resolve to webhook", self._resolve),
                self._step("resolved to flag removed", self._unfrozen),
                self._step("flag removed to notice", self._told_again),
            ),
            rollbacks=(
                Step(title="resolve the drill's alert", do=self._send_resolved, limit_s=STEADY_LIMIT_S),
                Step(title="unfreeze the drill's service", do=self._unfreeze, limit_s=STEADY_LIMIT_S),
            ),
        )

    def _step(self, title: str, do: Callable[[], Any]) -> Step:
        return Step(title=title, do=do, limit_s=self.limit_s)

    # The steady state

    async def _state(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self.receiver.get("/api/v1/state")
        return found

    async def _at_rest(self) -> None:
        state, service = await self._state(), drill_policy.service_of(self.policy)
        if not any(one["name"] == drill_policy.name_of(self.policy) for one in state["policies"]):
            raise DrillError(
                f"the receiver has no policy {drill_policy.name_of(self.policy)}: write one with `freezeline drill "
                "policy` into the receiver's policy directory, and reload the receiver"
            )
        frozen = next((one for one in state["services"] if one["service"] == service and one["frozen"]), None)
        if frozen is not None:
            raise DrillError(f"{service} is frozen: run `freezeline unfreeze {service} --reason …`")
        self.after = max(self.after, int(state["seq"]))

    async def _alone(self) -> None:
        """No policy of a real service answers alerts of drills: such a policy would freeze for real."""
        for one in (await self._state())["episodes"]:
            if one["alert"] == drill_policy.ALERT and one["policy"] != drill_policy.name_of(self.policy):
                raise DrillError(
                    f"the policy {one['policy']} answers {drill_policy.ALERT}: narrow its rule {one['rule']}"
                )

    # The method

    def _alert(self, ends_at: float) -> Mapping[str, Any]:
        return {
            "labels": {
                "alertname": drill_policy.ALERT,
                "service": drill_policy.service_of(self.policy),
                "severity": "info",
                drill_policy.LABEL: self.drill,
            },
            "annotations": {"summary": "A drill of the loop from alert to unfreeze. Nothing is wrong."},
            "startsAt": _stamp(self.posted_at),
            "endsAt": _stamp(ends_at),
        }

    async def _fire(self) -> float:
        self.posted_at = self.clock()
        await self.alertmanager.send(self._alert(self.posted_at + FIRES_FOR_S))
        opened = await self._opened()
        self.episode = str(opened["id"])
        return max(0.0, _seconds(opened["opened_at"]) - self.posted_at)

    async def _opened(self) -> Mapping[str, Any]:
        """The episode of the drill, as soon as the receiver has opened it."""
        name = drill_policy.name_of(self.policy)
        while True:
            for one in (await self._state())["episodes"]:
                if one["policy"] == name:
                    return dict(one)
            await asyncio.sleep(POLL_S)

    async def _frozen(self) -> float:
        took_s = await self._between("opened", "frozen")
        await self._look_for_flags(there=True)
        return took_s

    async def _told(self) -> float:
        return await self._between("opened", "told", count=self.channels)

    async def _resolve(self) -> float:
        self.resolved_at = self.clock()
        await self.alertmanager.send(self._alert(self.resolved_at))
        return max(0.0, await self._decided("resolving") - self.resolved_at)

    async def _unfrozen(self) -> float:
        took_s = await self._between("resolving", "flag_removed")
        await self._look_for_flags(there=False)
        return took_s

    async def _look_for_flags(self, *, there: bool) -> None:
        """Look at the flags with own eyes, where they are on this machine."""
        if self.is_there is None:
            return
        if there:
            self.flags = await self._named_flags()
        wrong = [flag for flag in self.flags if self.is_there(flag) is not there]
        if wrong:
            said = "is not on disk, although the receiver wrote it" if there else "is still on disk"
            raise DrillError(f"{wrong[0]} {said}")

    async def _named_flags(self) -> list[str]:
        service = drill_policy.service_of(self.policy)
        flags = [
            flag for one in (await self._state())["services"] if one["service"] == service for flag in one["flags"]
        ]
        if not flags:
            raise DrillError(f"the receiver names no flag of {service}")
        return flags

    async def _told_again(self) -> float:
        return await self._between("flag_removed", "told", count=2 * self.channels)

    async def _between(self, first: str, then: str, count: int = 1) -> float:
        """Seconds from one decision to the `count`th of another kind; without any to wait for, 0."""
        if count == 0:
            return 0.0
        begun = await self._decided(first)
        return max(0.0, await self._decided(then, count) - begun)

    async def _decided(self, kind: str, count: int = 1) -> float:
        """When the receiver made the `count`th decision of a kind about the drill's episode. Waits for the decision."""
        while True:
            answer = await self.receiver.get(f"/api/v1/decisions?after={self.after}")
            self.after = max([self.after, *(int(one["seq"]) for one in answer["decisions"])])
            self.decisions += [one for one in answer["decisions"] if one["episode"] == self.episode]
            found = [one for one in self.decisions if one["kind"] == kind]
            if len(found) >= count:
                return _seconds(found[count - 1]["at"])
            for one in self.decisions:
                if one["kind"] in FAILURES:
                    raise DrillError(str(one["sentence"]))
            await asyncio.sleep(POLL_S)

    # The rollbacks

    async def _send_resolved(self) -> None:
        if self.posted_at:
            await self.alertmanager.send(self._alert(self.resolved_at or self.clock()))

    async def _unfreeze(self) -> None:
        service = drill_policy.service_of(self.policy)
        if any(one["service"] == service and one["frozen"] for one in (await self._state())["services"]):
            await self.receiver.post("/api/v1/unfreeze", {"service": service, "reason": "the drill is over"})


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
