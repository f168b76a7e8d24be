"""What speaks against starting a rollback."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from receiver.act import rollback_rules as rules
from receiver.decide.by_hand import DECIDED
from receiver.decide.model import Action, ActionState, ActionType
from tests.unit.receiver.builders import NOW, at, freeze_reason, policy

(SPEC,) = policy().rollbacks(["rollback"])


def rollback(name: str, state: ActionState = ActionState.PENDING, created_at: datetime = NOW) -> Action:
    """A rollback of gateway."""
    return Action(
        id=name,
        key=name,
        episode="E1",
        service="gateway",
        type=ActionType.ROLLBACK,
        name="rollback",
        created_at=created_at,
        state=state,
    )


def test_a_person_is_not_held_up_by_cool_down_or_maximum() -> None:
    """A person has looked; a rollback of the same release or a running rollback still objects."""
    mine = replace(rollback("me"), payload={DECIDED: "Ana"})
    done = [(rollback(f"r{number}", ActionState.SUCCEEDED), at(-10 - number)) for number in range(5)]

    def objection(*earlier: tuple[Action, datetime], same: Action | None = None) -> rules.Skip | None:
        return rules.objection(mine, SPEC, release="v2", same_release=same, earlier=earlier, now=NOW)

    assert objection(*done) is None
    assert rules.objection(rollback("me"), SPEC, release="v2", same_release=None, earlier=done, now=NOW) is not None
    assert objection(same=rollback("first", ActionState.SUCCEEDED)) is not None
    assert objection((rollback("running", ActionState.RUNNING), at(-1))) is not None


def why(
    *earlier: tuple[Action, datetime],
    same_release: Action | None = None,
    release: str = "v2",
    created_at: datetime = NOW,
    now: datetime = NOW,
) -> str | None:
    """The objection's reason."""
    found = rules.objection(
        rollback("me", created_at=created_at),
        SPEC,
        release=release,
        same_release=same_release,
        earlier=earlier,
        now=now,
    )
    return found.why if found else None


def test_nothing_speaks_against_the_first() -> None:
    """No rollback before."""
    assert why() is None


def test_a_release_is_rolled_back_once() -> None:
    """Whatever became of the first time."""
    first = rollback("first", ActionState.DEAD)
    assert why(same_release=first) == "release v2 was rolled back before (action first)"


def test_five_alerts_about_one_release_make_one_rollback() -> None:
    """An alert from before the end of the last rollback is about what that one removed, whatever is read now."""
    done = (rollback("first", ActionState.SUCCEEDED), at(10))
    assert why(done, release="v1", created_at=at(5), now=at(11)) == (
        "the alert began before the last rollback ended (action first)"
    )


def test_an_alert_at_the_very_end_of_a_rollback_is_about_what_it_removed() -> None:
    """Two events with one time: the rollback may have ended after the alert."""
    done = (rollback("first", ActionState.SUCCEEDED), at(0))
    assert why(done, created_at=at(0), now=at(10**6)) == "the alert began before the last rollback ended (action first)"


def test_the_same_holds_where_no_release_can_be_read() -> None:
    """Keys differ then; time does not."""
    done = (rollback("first", ActionState.SUCCEEDED), at(10))
    assert why(done, release="", created_at=at(5), now=at(11)) == (
        "the alert began before the last rollback ended (action first)"
    )


def test_two_never_run_at_once() -> None:
    """One under way stops the next."""
    running = (rollback("first", ActionState.RUNNING), at(1))
    assert why(running, created_at=at(2), now=at(3)) == "another rollback is under way (action first)"


@pytest.mark.parametrize("later_s,expected", [(3599, False), (3600, True)])
def test_the_cool_down_counts_from_the_last_end(later_s: float, *, expected: bool) -> None:
    """An hour in the policy."""
    done = (rollback("first", ActionState.SUCCEEDED), at(0))
    assert (why(done, created_at=at(later_s), now=at(later_s)) is None) is expected


def test_the_daily_maximum() -> None:
    """Three a day, counted over the last 24 hours."""
    done = [(rollback(f"r{n}", ActionState.SUCCEEDED), at(n * 3700)) for n in range(3)]
    now = at(3 * 3700)
    assert why(*done, created_at=now, now=now) == "3 rollbacks within a day, which is the policy's maximum"
    tomorrow = at(86401)
    assert why(*done, created_at=tomorrow, now=tomorrow) is None


def test_a_policy_without_a_daily_maximum_has_none() -> None:
    """However many there were."""
    done = [(rollback(f"r{n}", ActionState.SUCCEEDED), at(n)) for n in range(9)]
    spec = replace(SPEC, max_per_day=None, cooldown_s=0.0)
    now = at(100)
    me = rollback("me", created_at=now)
    assert rules.objection(me, spec, release="v2", same_release=None, earlier=done, now=now) is None


def test_earlier_rollbacks_matter_for_a_day_or_the_cool_down() -> None:
    """The daily maximum needs a day; a longer cool-down needs more."""
    assert rules.lookback(replace(SPEC, cooldown_s=60.0)) == timedelta(days=1)
    assert rules.lookback(replace(SPEC, cooldown_s=3 * 86400.0)) == timedelta(days=3)


def test_once_per_episode_rolls_the_same_release_back_again() -> None:
    """Where the policy says so."""
    spec = replace(SPEC, once_per="episode", cooldown_s=0.0)
    first = rollback("first", ActionState.SUCCEEDED)
    found = rules.objection(
        rollback("me", created_at=at(20)),
        spec,
        release="v2",
        same_release=first,
        earlier=[(first, at(10))],
        now=at(20),
    )
    assert found is None


def test_a_rollback_waits_for_every_flag() -> None:
    """Durable on disk, or released meanwhile."""
    assert not rules.frozen([freeze_reason(written_at=NOW), freeze_reason(flag="/other")])
    assert rules.frozen([freeze_reason(written_at=NOW), freeze_reason(flag="/other", ended_at=NOW)])
    assert rules.frozen([])
