"""The page of one service: why, what unfreezes and how far, graphs, links, and actions."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from receiver.decide.model import ActionState, ActionType, AlertStatus, EpisodeState, Seen
from receiver.http.page.graph import Mark, graph
from receiver.http.page.measures import Course, Firing, Line, Measured
from receiver.http.page.service import page
from receiver.http.page.words import percent
from receiver.http.tokens import Role
from tests.unit.receiver.builders import LABELS, NOW, STARTED, at, episode, freeze_reason, policies, policy, raw_policy
from tests.unit.receiver.http.page.shown import (
    FLAG,
    HOSTILE,
    SAFE,
    action,
    facts,
    gateway,
    own,
    service_html,
    standing,
)

SENTENCE = "5.6 % of HTTP requests failed over 5 min; the limit is 0.5 %"


def seen(**annotations: str) -> dict[str, Seen]:
    """The alert of the episode, as last heard."""
    one = Seen(
        fingerprint="b42cef305cefc9ab",
        status=AlertStatus.FIRING,
        starts_at=STARTED,
        ends_at=None,
        last_at=NOW,
        labels=LABELS,
        annotations=annotations,
    )
    return {one.fingerprint: one}


def test_why_now_and_what_unfreezes() -> None:
    """The sentence of the alert's start, the present one, and the distance to the end."""
    firing = (Firing(alert="FailureRateHigh", severity="critical", slo="", sentence=SENTENCE),)
    made = gateway(facts(measured=Measured(asked=True, at=NOW, firing={"gateway": firing})))
    (why,) = made.whys
    assert (why.sentence, why.now) == ("failure rate 2.31 % > 0.5 %", SENTENCE)
    (condition,) = why.conditions
    assert (condition.what, condition.state, condition.met) == (
        "The alert has been resolved for 5 min",
        "the alert still fires",
        False,
    )


@pytest.mark.parametrize(
    "seconds, state, met", [(60, "resolved 1 min ago; 4 min to go", False), (301, "resolved 5 min ago", True)]
)
def test_how_far_a_resolve_is(seconds: float, state: str, met: bool) -> None:  # noqa: FBT001
    """Counted from the receiver's clock."""
    ended = episode(state=EpisodeState.RESOLVING, resolved_at=NOW)
    made = gateway(facts(standing(live=(ended,), episodes={"E1": ended}), now=at(seconds)))
    (condition,) = made.whys[0].conditions
    assert (condition.state, condition.met) == (state, met)


def test_how_far_a_budget_is() -> None:
    """A condition that must hold for half an hour says how long it has held."""
    budget = {"id": "budget", "query": "x", "op": ">=", "value": "0.10", "held_for_s": 1800}
    rules = raw_policy()["rules"]
    rules[0]["unfreeze"]["all_of"] = [budget]
    own_policy = policy(rules=rules)
    ended = episode(state=EpisodeState.RESOLVING, resolved_at=NOW, policy_sha256=own_policy.sha256)
    found = facts(standing(live=(ended,), episodes={"E1": ended}), now=at(600), policies=policies(own_policy))
    held = {(own_policy.sha256, "failure-rate-high"): {"budget": (NOW, NOW)}}
    second = gateway(found, held=held).whys[0].conditions[1]
    assert (second.what, second.state) == (
        "At least 10 % of the budget left for 30 min",
        "true for 10 min; 20 min to go",
    )
    unknown = gateway(found).whys[0].conditions[1]
    assert (unknown.met, "not true" in unknown.state) == (False, True)
    for values, state in (
        ((Decimal("0.5"), Decimal("0.125")), "12.5 % now; true for 10 min; 20 min to go"),
        ((Decimal("NaN"), Decimal("0.125")), "not measured now; true for 10 min; 20 min to go"),
        ((), "not measured now; true for 10 min; 20 min to go"),
    ):
        assert gateway(found, held=held, values={"x": values}).whys[0].conditions[1].state == state
    low = gateway(found, values={"x": (Decimal("0.0751"),)}).whys[0].conditions[1]
    assert (low.state, low.met) == ("7.51 % now", False)


def test_links_lead_to_web_pages_only() -> None:
    """Runbook and dashboard of the alert, and its place in Alertmanager; no other scheme."""
    made = gateway(seen=seen(runbook_url="https://r.example.org/x", dashboard_url="javascript:alert(1)"))
    assert (made.whys[0].runbook, made.whys[0].dashboard) == ("https://r.example.org/x", "")
    linked = gateway(seen=seen(), alertmanager="http://am:9093/")
    assert linked.whys[0].silence_link.startswith("http://am:9093/#/silences/new?filter=%7Balertname%3D%22FailureRate")
    assert "javascript:" not in service_html(made)


def test_actions_say_their_consequences_before_the_click() -> None:
    """A reader gets none; what cannot be done is not offered."""
    text = service_html(gateway())
    for said in ("may run at once", "To undo, freeze by hand.", FLAG, "To undo, unfreeze.", "Escalation stops"):
        assert said in text
    assert "<form" not in service_html(gateway(), Role.READ)
    acknowledged = episode(acked_at=NOW, acked_by="Ben")
    looked = standing(live=(acknowledged,), episodes={"E1": acknowledged})
    assert 'action="./page/ack"' not in service_html(gateway(facts(looked)))
    free = page("checkout", facts(), own())
    assert (free.frozen, free.can_freeze) == (False, True)
    assert 'action="./page/unfreeze"' not in service_html(free)


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
    """A button that is always refused is not shown."""
    made = gateway(facts(standing(unfinished=(action(type=kind, state=state),))))
    assert [one.cancellable for one in made.running] == [offered]
    assert ('action="./page/cancel"' in service_html(made)) == offered


def test_a_rollback_can_be_undone_while_its_time_is_not_over() -> None:
    """Not once an undo is planned."""
    undo = {"within_s": 60, "command": ["/opt/gateway/redeploy.sh"]}
    raw = raw_policy()["actions"]
    raw["rollback"]["undo"] = undo
    own_policy = policy(actions=raw)
    done = action(
        state=ActionState.SUCCEEDED,
        payload={"policy": own_policy.sha256, "release": "v2"},
        result={"started_at": NOW.isoformat()},
    )
    undone = action(id="A2", type=ActionType.UNDO, payload={"of": "A1"})
    for seconds, actions, left in ((20, (done,), ["40 s"]), (61, (done,), []), (20, (done, undone), [])):
        made = gateway(facts(now=at(seconds), policies=policies(own_policy)), actions=actions)
        assert [one.left for one in made.undoable] == left


def test_an_operators_freeze_says_so() -> None:
    """No alert, no rule: an operator unfreezes it, and it cannot be frozen by hand twice."""
    by_hand = episode(policy="operator", rule="manual", alert="", policy_sha256="none", fingerprint="operator:gateway")
    reasons = (freeze_reason(reason="deploy window (by Ana)"),)
    made = gateway(facts(standing(live=(by_hand,), episodes={"E1": by_hand}, freeze_reasons=reasons)))
    (why,) = made.whys
    assert (why.alert, why.conditions[0].what) == ("frozen by hand", "an operator unfreezes the service")
    assert made.can_freeze is False


def test_a_freeze_whose_episode_is_over_still_freezes() -> None:
    """The flag's own service is shown."""
    assert gateway(facts(standing(live=(), counts=(), episodes={}))).frozen is True


def test_of_many_reasons_the_oldest_are_shown_with_a_number() -> None:
    """A page of ten thousand rows helps nobody."""
    counts = (("gateway", "critical", 9000), ("gateway", "", 1000))
    made = gateway(facts(standing(counts=counts, held={FLAG: 10_000})))
    text = service_html(made)
    assert ("and 9999 more reasons" in text, "and 9999 more episodes" in text) == (True, True)


def test_a_name_that_nobody_knows_is_no_service() -> None:
    """The page answers 404."""
    assert page("nothing", facts(), own()).known is False


def points(*values: str) -> tuple[tuple[float, Decimal], ...]:
    """One value a minute."""
    return tuple((60.0 * minute, Decimal(value)) for minute, value in enumerate(values))


def drawn(*values: str, **changes: Any) -> Any:
    """A graph of these values."""
    return graph("t", points(*values), start_s=0, end_s=60.0 * (len(values) - 1), shown=percent, **changes)


def test_a_graph_is_a_line_with_a_limit_and_marks() -> None:
    """Times from left to right, values from the bottom to the top."""
    mark = Mark(at=datetime.fromtimestamp(60, UTC), kind="freeze", text="frozen")
    made = drawn("0", "0.01", "0.02", limit=0.005, marks=[mark])
    assert made.path.startswith("M0 200L500 ")
    assert (made.top, made.bottom, made.now, made.limit) == ("2 %", "0 %", "2 %", "0.5 %")
    assert [(one.x, one.kind) for one in made.marks] == [(500.0, "freeze")]


def test_nan_and_gaps_break_the_line() -> None:
    """Nothing is drawn where nothing is known."""
    assert drawn("0.1", "0.2", "NaN", "0.2", "0.1").path.count("M") == 2
    assert drawn("NaN", "NaN", "Infinity").empty is True


def test_the_page_draws_courses_and_says_what_it_shows() -> None:
    """A screen reader hears the title, the present value and the limit."""
    line = Line(slo="failures", points=points("0.001", "0.06"))
    course = Course(at=NOW, start_s=0, end_s=60, budget_start_s=0, ratios=(line,), budgets=(line,))
    text = service_html(gateway(course=course))
    assert 'aria-label="failures: error ratio over 5 min: now 6 %, highest 6 %; from 00:00 to 00:01 UTC"' in text
    assert text.count('<path class="line"') == 2


def test_everything_from_outside_is_escaped() -> None:
    """Reasons, severities, errors, releases and annotations: no tag but our own."""
    evil = episode(alert=HOSTILE, reason=HOSTILE, severity=HOSTILE, acked_at=NOW, acked_by=HOSTILE)
    looked = standing(
        live=(evil,),
        episodes={"E1": evil},
        freeze_reasons=(freeze_reason(reason=HOSTILE, written_at=NOW),),
        unfinished=(action(name=HOSTILE),),
    )
    line = Line(slo=HOSTILE, points=points("0.001", "0.06"))
    course = Course(at=NOW, start_s=0, end_s=60, budget_start_s=0, ratios=(line,), budgets=())
    firing = {"gateway": (Firing(alert=HOSTILE, severity=HOSTILE, slo=HOSTILE, sentence=HOSTILE),)}
    found = facts(looked, measured=Measured(asked=True, at=NOW, firing=firing))
    text = service_html(gateway(found, course=course, seen=seen(runbook_url=f"https://x/{HOSTILE}")))
    assert text.count(SAFE) >= 9
    assert re.findall(r"<(?:script|img|iframe|style)\b", text) == []
