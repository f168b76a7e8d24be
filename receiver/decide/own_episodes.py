"""Episodes that no alert opens: an operator's freeze, a found flag, an aborted rollout. Only a person ends them."""

from __future__ import annotations

from datetime import datetime

from receiver.decide.model import Episode, EpisodeState, Trace
from receiver.decide.plan import OPERATOR_POLICY, Ids, Known
from receiver.policy.model import Policy


def own_episode(
    policy: Policy,
    *,
    rule: str,
    fingerprint: str,
    reason: str,
    generation: int,
    known: Known,
    now: datetime,
    ids: Ids,
    trace: Trace,
) -> Episode:
    """An open episode of the operator policy. `fingerprint` stands in the place of an alert's."""
    episode_id = ids(now)
    return Episode(
        id=episode_id,
        policy=OPERATOR_POLICY,
        rule=rule,
        fingerprint=fingerprint,
        service=policy.service,
        state=EpisodeState.OPEN,
        generation=generation,
        opened_at=now,
        policy_sha256=policy.sha256,
        incident=known.incident(policy.service) or episode_id,
        alert="",
        severity="",
        reason=reason,
        spec=policy.spec,
        labels={},
        starts_at=now,
        review_at=None,
        trace=trace,
    )
