"""What the page shows of the receiver's standing, and that all of it is escaped."""

import re
from typing import Any

import pytest

from receiver.decide.model import Action, ActionState, ActionType, Decision, Recorded
from receiver.http.page import session
from receiver.http.page.board import Board, board
from receiver.http.page.render import html
from receiver.http.tokens import Role
from receiver.report import Standing
from tests.unit.receiver.builders import NOW, at, episode, freeze_reason, policies, policy

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"


def standing(**changes: Any) -> Standing:
    """One frozen service with one episode."""
    values: dict[str, Any] = {
        "seq": 7,
        "live": (episode(),),
        "counts": (("gateway", "critical", 1),),
        "freeze_reasons": (freeze_reason(written_at=NOW),),
        "held": {"/var/lib/freezeline/gateway/FREEZE.FLAG": 1},
        "episodes": {"E1": episode()},
        "actions": (),
        "unfinished": (),
        "recent": (),
        "dead_letters": (),
        "flags": {"/var/lib/freezeline/gateway/FREEZE.FLAG": "gateway"},
    }
    return Standing(**{**values, **changes})


def action(**changes: Any) -> Action:
    """One action."""
    values: dict[str, Any] = {
        "id": "A1",
        "key": "k",
        "episode": "E1",
        "service": "gateway",
        "type": ActionType.ROLLBACK,
        "name": "rollback",
        "created_at": NOW,
    }
    return Action(**{**values, **changes})


def shown(looked: Standing, *decisions: Recorded, seconds: float = 90) -> Board:
    """The board, some seconds after NOW, with a second service that is not frozen."""
    second = policy(name="other", service="checkout")
    return board(looked, decisions, policies(policy(), second), now=at(seconds))


def page(made: Board, role: Role = Role.OPERATE) -> str:
    """The changing part of the page as HTML."""
    visitor = session.begin(name="Ana", role=role, nonce="n", now=NOW)
    text = html("board.html", root="./", board=made, visitor=visitor, csrf="token").text
    assert text is not None
    return text


def test_a_frozen_service_comes_first_with_reason_and_release() -> None:
    """Why, since when, until when, on which flag."""
    made = shown(standing())
    assert [(service.name, service.frozen) for service in made.services] == [("gateway", True), ("checkout", False)]
    (reason,) = made.services[0].reasons
    assert (reason.alert, reason.rule, reason.text, reason.unfreeze_when, reason.on_disk) == (
        "FailureRateHigh",
        "failure-budget/failure-rate-high",
        "failure rate 2.31 % > 0.5 %",
        "alert resolved for 5 min",
        True,
    )
    assert (reason.since.iso, reason.since.ago) == ("2026-11-21 08:20:00", "1 min")


def test_an_operators_freeze_says_so() -> None:
    """No alert, no rule: an operator unfreezes it."""
    by_hand = episode(policy="operator", rule="manual", alert="", policy_sha256="none")
    frozen = standing(
        live=(by_hand,),
        episodes={by_hand.id: by_hand},
        freeze_reasons=(freeze_reason(reason="deploy window (by Ana)"),),
    )
    (reason,) = shown(frozen).services[0].reasons
    assert (reason.alert, reason.text, reason.unfreeze_when) == (
        "frozen by hand",
        "deploy window (by Ana)",
        "an operator unfreezes the service",
    )


def test_a_hold_whose_episode_is_over_still_freezes() -> None:
    """The flag's own service is shown."""
    made = shown(standing(live=(), counts=(), episodes={}))
    assert [service.name for service in made.frozen] == ["gateway"]


def test_of_many_reasons_and_episodes_the_oldest_are_shown_with_a_number() -> None:
    """A page of ten thousand rows helps nobody."""
    flag = "/var/lib/freezeline/gateway/FREEZE.FLAG"
    made = shown(standing(counts=(("gateway", "critical", 9000), ("gateway", "", 1000)), held={flag: 10_000}))
    assert [(service.more_reasons, service.open) for service in made.frozen] == [(9999, 10_000)]
    assert made.more_episodes == 9999
    text = page(made)
    assert ("and 9999 more reasons" in text, "and 9999 more episodes" in text) == (True, True)


def test_a_flag_that_is_not_on_disk_yet_is_marked() -> None:
    """Decided is not done."""
    assert "flag not written yet" in page(shown(standing(freeze_reasons=(freeze_reason(),))))


@pytest.mark.parametrize(
    "kind, state, offered",
    [
        (ActionType.ROLLBACK, ActionState.PENDING, True),
        (ActionType.ROLLBACK, ActionState.RUNNING, True),
        (ActionType.ROLLBACK, ActionState.VERIFYING, False),
        (ActionType.NOTIFY, ActionState.RETRY_WAIT, True),
        (ActionType.NOTIFY, ActionState.RUNNING, False),
        (ActionType.SWITCH, ActionState.RETRY_WAIT, True),
        (ActionType.SWITCH, ActionState.PENDING, False),
        (ActionType.SWITCH_BACK, ActionState.RETRY_WAIT, True),
        (ActionType.FREEZE, ActionState.PENDING, False),
        (ActionType.UNFREEZE, ActionState.PENDING, False),
    ],
)
def test_cancel_is_offered_where_it_works(kind: ActionType, state: ActionState, offered: bool) -> None:  # noqa: FBT001
    """A button that is always refused is not shown; a reader gets none."""
    made = shown(standing(unfinished=(action(type=kind, state=state),)))
    assert [one.cancellable for one in made.running] == [offered]
    assert ('action="page/cancel"' in page(made)) == offered
    assert "<form" not in page(made, Role.READ)


def test_everything_from_outside_is_escaped() -> None:
    """Names, reasons, errors and sentences: no tag but our own."""
    looked = standing(
        live=(episode(alert=HOSTILE, reason=HOSTILE, severity=HOSTILE, acked_at=NOW, acked_by=HOSTILE),),
        freeze_reasons=(freeze_reason(reason=HOSTILE, written_at=NOW),),
        unfinished=(action(name=HOSTILE),),
        dead_letters=(
            action(name=HOSTILE, type=ActionType.NOTIFY, result={"error": HOSTILE}, payload={"event": HOSTILE}),
        ),
    )
    decision = Recorded(seq=7, at=NOW, decision=Decision(kind=HOSTILE, sentence=HOSTILE), prev_hash="", hash="")
    text = page(shown(looked, decision))
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;{{7*7}}") >= 9
    assert re.findall(r"<(?:script|img|svg|iframe|a|style)\b", text) == []


def test_newest_decisions_come_first() -> None:
    """And each says how long ago."""
    rows = [
        Recorded(seq=seq, at=at(seq), decision=Decision(kind="k", sentence=f"s{seq}"), prev_hash="", hash="")
        for seq in (1, 2)
    ]
    made = shown(standing(), *rows, seconds=30)
    assert [(one.seq, one.at.ago) for one in made.decided] == [(2, "28 s"), (1, "29 s")]


def test_nothing_to_show_is_said() -> None:
    """An empty page is not a broken page."""
    text = page(shown(standing(live=(), freeze_reasons=(), flags={})))
    assert "Nothing is frozen." in text
    assert text.count("None.") == 4


def test_a_freeze_that_is_only_meant_is_not_shown_as_frozen() -> None:
    """The card says that the flag is missing, and why."""
    flag = "/var/lib/freezeline/gateway/FREEZE.FLAG"
    made = shown(standing(missing=frozenset({flag}), freeze_reasons=(freeze_reason(),)))
    text = page(made)
    assert "must be frozen, and is not" in text
    assert f"the flag {flag} is not on disk" in text
    assert "❄" not in text.partition("</article>")[0]
    because = board(standing(missing=frozenset({flag})), (), policies(policy()), now=NOW, faults={flag: "disk is full"})
    assert "the flag is not as it should be: disk is full" in page(because)


def test_skipped_rollbacks_and_dead_letters_stand_on_the_card() -> None:
    """Also of a service that is not frozen."""
    skipped = action(state=ActionState.SKIPPED, result={"sentence": "not started: the cool-down is not over"})
    letter = action(id="A2", type=ActionType.NOTIFY, name="slack", state=ActionState.DEAD)
    card = page(shown(standing(skipped=(skipped,), dead_letters=(letter,)))).partition("</article>")[0]
    assert "rollback not started: the cool-down is not over" in card
    assert "1 notice to slack could not be delivered" in card
    free = page(shown(standing(freeze_reasons=(), dead_letters=(letter, letter)))).partition("</article>")[0]
    assert "2 notices to slack could not be delivered" in free
    assert "is not frozen" in free
