"""What the pages are made from: the journal's standing, policies, rollouts and Prometheus' answers, at one time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from receiver.decide.model import EMPTY, Action
from receiver.http.page.measures import Measured
from receiver.policy.model import Policies
from receiver.report import Standing
from receiver.rollouts import Rollout


class Facts(Struct, frozen=True, kw_only=True):
    """Everything known now. `faults` says why a flag is not on disk as the journal wants, by flag.

    `rollbacks` holds the newest rollback of each service, with the time of its last change. `host_now` is the time by
    this machine's clock, by which rollouts go.
    """

    now: datetime
    host_now: datetime
    standing: Standing
    policies: Policies
    measured: Measured
    rollouts: tuple[Rollout, ...] = ()
    free_since: Mapping[str, datetime] = field(default_factory=dict)
    rollbacks: Mapping[str, tuple[Action, datetime]] = field(default_factory=dict)
    faults: Mapping[str, str] = EMPTY

    def services(self) -> set[str]:
        """Every service with a policy, a flag, an episode or a running rollout."""
        named = {policy.service for policy in self.policies.in_force} | set(self.standing.flags.values())
        return named | set(self.standing.by_service()) | {one.service for one in self.rollouts if one.runs}
