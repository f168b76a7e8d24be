"""A flag on disk that the journal does not explain: who made the flag, and what the receiver does about the flag. Pure.

Such a flag stays: the receiver holds the service frozen for a reason of its own, until a person unfreezes the service.
The flag is ours if another journal wrote the flag, and made by hand otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from receiver.decide.model import (
    Action,
    ActionState,
    ActionType,
    Episode,
    FreezeReason,
    Trace,
)
from receiver.decide.own_episodes import own_episode
from receiver.decide.plan import REASON_MAX, Ids, Known, Opened, freeze_of
from receiver.plaintext import plain
from receiver.policy.model import FreezeAction, Policy

FOUND_RULE = "found"
"""The rule of an episode that holds a found flag. Like an operator's freeze, only a person ends such an episode."""

OURS = "freezeline.flag/"
ROLLBACKS = "rollbacks"
"""The flag's key with the rollbacks that were begun during the freeze."""

FOUND = "found"
"""Marks the record of a rollback that a found flag names. The value is the flag's path."""


class FoundFlag(Struct, frozen=True, kw_only=True):
    """What a found flag says. `releases` are those that were rolled back; "" stands for an unknown one."""

    reason: str
    episodes: frozenset[str]
    releases: tuple[str, ...]


def read(text: str) -> FoundFlag:
    """Read a flag. Anything but our own format is a flag that a person made."""
    raw = _ours(text)
    if raw is None:
        words = plain(text.strip().partition("\n")[0], REASON_MAX // 2)
        return FoundFlag(reason=f"made by hand{f': {words}' if words else ''}", episodes=frozenset(), releases=())
    reasons = [reason for reason in _list(raw.get("reasons")) if isinstance(reason, Mapping)]
    said = "; ".join(dict.fromkeys(str(reason.get("reason", "")) for reason in reasons if reason.get("reason")))
    return FoundFlag(
        reason=plain(f"found at start{f': {said}' if said else ''}", REASON_MAX),
        episodes=frozenset(str(reason["episode"]) for reason in reasons if "episode" in reason),
        releases=_releases(raw),
    )


def _ours(text: str) -> Mapping[str, Any] | None:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(raw, dict) and str(raw.get("format", "")).startswith(OURS)
    return raw if ours else None


def _list(raw: Any) -> Sequence[Any]:
    return raw if isinstance(raw, list) else ()


def _releases(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The releases of the named rollbacks. Earlier versions named none, so one of an unknown release may have run."""
    if ROLLBACKS not in raw:
        return ("",)
    named = [rollback for rollback in _list(raw[ROLLBACKS]) if isinstance(rollback, Mapping)]
    return tuple(dict.fromkeys(plain(str(rollback.get("release") or ""), 200) for rollback in named))


def hold(
    flag: str, found: FoundFlag, *, policy: Policy, generation: int, known: Known, now: datetime, ids: Ids, trace: Trace
) -> Opened:
    """Hold a found flag: an episode with this one flag, and a record of each rollback that the flag names."""
    episode = own_episode(
        policy,
        rule=FOUND_RULE,
        fingerprint=fingerprint(flag),
        reason=found.reason,
        generation=generation,
        known=known,
        now=now,
        ids=ids,
        trace=trace,
    )
    name = next(
        one.name for one in policy.actions.values() if isinstance(one, FreezeAction) and one.flag == flag
    )  # The caller passes the policy of this flag.
    freeze = freeze_of(episode, flag, name, now=now, ids=ids)
    return Opened(
        episode=episode,
        freeze_reasons=(FreezeReason(flag=flag, episode=episode.id, reason=found.reason, since=now),),
        actions=(freeze, *_rolled_back(flag, found, episode, policy, now=now, ids=ids)),
        sentence=f"{flag} is on disk, and the journal does not know why ({found.reason}): {policy.service} is frozen",
    )


def fingerprint(flag: str) -> str:
    """The key under which the journal remembers a found flag, in place of an alert's fingerprint."""
    return f"flag:{flag}"


def _rolled_back(
    flag: str, found: FoundFlag, episode: Episode, policy: Policy, *, now: datetime, ids: Ids
) -> list[Action]:
    """Records of rollbacks that another journal knew. The receiver knows how none of them ended."""
    spec = next(iter(policy.rollbacks(policy.actions)), None)
    if spec is None:
        return []
    return [
        Action(
            id=ids(now),
            key=f"rollback:{policy.service}:{f'release:{release}' if release else episode.id}",
            episode=episode.id,
            service=policy.service,
            type=ActionType.ROLLBACK,
            name=spec.name,
            created_at=now,
            state=ActionState.DEAD,
            attempt=1,
            payload={"release": release, FOUND: flag},
            result={"sentence": f"begun before this journal, says {flag}; the end is unknown"},
            trace=episode.trace,
        )
        for release in found.releases
    ]
