"""Rules that forbid the start of a rollback: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from receiver.decide.by_hand import DECIDED
from receiver.decide.found_flag import FOUND
from receiver.decide.model import FINAL_STATES, Action, FreezeReason, seconds
from receiver.decide.plan import span
from receiver.policy.model import RollbackAction

DAY = timedelta(days=1)


class Skip(Struct, frozen=True, kw_only=True):
    """Why a rollback is not started."""

    why: str


def release_key(service: str, release: str, *, again: str = "") -> str:
    """The key by which the receiver rolls a release back at most once.

    `again` names the rollout that shipped the same release once more, because a person said so.
    """
    return f"rollback:{service}:release:{release}{f'#{again}' if again else ''}"


def lookback(spec: RollbackAction) -> timedelta:
    """How far back in time earlier rollbacks count."""
    return max(DAY, seconds(spec.cooldown_s))


def frozen(freeze_reasons: Sequence[FreezeReason]) -> bool:
    """Whether every flag of an episode is durable on disk. A rollback starts only then."""
    return all(
        freeze_reason.written_at is not None or freeze_reason.ended_at is not None for freeze_reason in freeze_reasons
    )


def objection(
    action: Action,
    spec: RollbackAction,
    *,
    release: str,
    same_release: Action | None,
    earlier: Sequence[tuple[Action, datetime]],
    now: datetime,
) -> Skip | None:
    """Why a rollback must not start; None if it may. `earlier` holds started rollbacks and their last changes.

    The last rollback may have cured an alert that came before this rollback ended. The present release may then be the
    good release, so no second rollback starts. A canary's abort names the bad release, and a person has looked. Only an
    earlier rollback of the same release, or a running rollback, then objects.
    """
    named = DECIDED in action.payload or (bool(action.payload.get("rollout")) and bool(release))
    others = [(other, at) for other, at in earlier if other.id != action.id]
    if same_release is not None and same_release.id != action.id and spec.once_per == "release":
        return Skip(why=f"release {release} was rolled back before (action {same_release.id})")
    for other, at in others:
        if FOUND in other.payload and not (release and other.payload.get("release")):
            return Skip(why=f"a rollback that {other.payload[FOUND]} names may have been of this release")
        if other.state not in FINAL_STATES:
            return Skip(why=f"another rollback is under way (action {other.id})")
        if named:
            continue
        if action.created_at <= at:
            return Skip(why=f"the alert began before the last rollback ended (action {other.id})")
        if now < at + seconds(spec.cooldown_s):
            return Skip(why=f"the last rollback ended less than {span(spec.cooldown_s)} ago (action {other.id})")
    if named:
        return None
    today = sum(1 for _, at in others if at > now - DAY)
    if spec.max_per_day is not None and today >= spec.max_per_day:
        return Skip(why=f"{today} rollbacks within a day, which is the policy's maximum")
    return None
