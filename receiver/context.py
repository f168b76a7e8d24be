"""What the running receiver passes to its parts: journal, clock, policies, and paths."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field

from receiver.decide.hosts import Sharing
from receiver.decide.model import Episode
from receiver.decide.plan import Ids
from receiver.faults import Faults
from receiver.journal import Journal
from receiver.leading import Leading
from receiver.meters import Meters
from receiver.policy.model import NO_POLICIES, Policies, Policy
from receiver.rollouts import Rollouts
from receiver.run.run_environment import child_environment, labels_json
from receiver.steps import Reached


class PolicyBox(Struct):
    """The policies in force. A reload replaces all of them at once. `problem` says how they differ from the disk."""

    policies: Policies = field(default=NO_POLICIES)
    problem: str = ""
    unreadable: set[str] = field(default_factory=set)
    """Hashes of policies of other receivers that this version cannot read."""


class Context(Struct, frozen=True, kw_only=True):
    """Shared by the parts of one receiver. `jitter` draws from [0, 1). `owner` names this run of the receiver.

    `clock` is the journal's time, by which all receivers act. `host_clock` is this machine's, for times that programs
    of this machine write or compare: heartbeats and rollouts.
    """

    journal: Journal
    clock: Callable[[], datetime]
    host_clock: Callable[[], datetime]
    ids: Ids
    jitter: Callable[[], float]
    reached: Reached
    box: PolicyBox
    meters: Meters
    host: str
    owner: str
    runs_dir: Path
    rollouts: Rollouts
    faults: Faults
    leading: Leading = field(default_factory=Leading)
    flag_locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def flag_lock(self, flag: str) -> asyncio.Lock:
        """The lock of a flag: whoever writes the flag or removes the flag holds this lock meanwhile."""
        return self.flag_locks.setdefault(flag, asyncio.Lock())

    def sharing(self, now: datetime) -> Sharing:
        """How receivers that share the journal are judged."""
        return Sharing(lease_s=self.leading.lease_s, now=now)

    def shared(self) -> Sharing | None:
        """As `sharing`, for now; None if the journal has one receiver."""
        return self.sharing(self.clock()) if self.journal.several else None

    def policy_of(self, episode: Episode) -> Policy | None:
        """The policy that opened an episode."""
        return self.box.policies.by_sha256.get(episode.policy_sha256)


def command_environment(episode: Episode, env: Mapping[str, str], *, action: str, release: str = "") -> dict[str, str]:
    """The whole environment of a command for an episode: allowed variables, the policy's own variables, and facts."""
    facts = {
        "ALERT": episode.alert,
        "SERVICE": episode.service,
        "SEVERITY": episode.severity,
        "EPISODE": episode.id,
        "ACTION": action,
        "RELEASE": release,
        "TRACE_ID": episode.trace.trace_id,
        "REQUEST_ID": episode.trace.request_id,
        "SPEC": episode.spec,
        "LABELS_JSON": labels_json(episode.labels),
    }
    return child_environment(facts, env, own=os.environ)
