"""The page of all services: order, search, budgets, and that all of it is escaped."""

import re
from typing import Any

import pytest
from msgspec.structs import replace

from receiver.decide.model import ActionState, ActionType
from receiver.http.page.measures import Budget, Firing, Measured
from receiver.http.page.services import SHOWN_MAX, fleet, left_of
from tests.unit.receiver.builders import NOW, at, episode, freeze_reason, policies, policy
from tests.unit.receiver.http.page.shown import FLAG, HOSTILE, SAFE, action, facts, services_html, standing

DAY_S = 86400.0


def budget(**changes: Any) -> Budget:
    """An SLO with half its budget left, at twice the sustainable rate."""
    values: dict[str, Any] = {"slo": "failures", "left": 0.5, "ratio": 0.01, "allowed": 0.005, "window_s": 30 * DAY_S}
    return Budget(**{**values, **changes})


def measured(*budgets: Budget, **changes: Any) -> Measured:
    """Fresh answers about gateway."""
    return Measured(**{"asked": True, "at": NOW, "budgets": {"gateway": budgets}, **changes})


def test_a_frozen_service_comes_first_with_its_sentence() -> None:
    """Why, and since when."""
    made = fleet(facts(now=at(90)))
    assert [(row.name, row.state) for row in made.rows] == [("gateway", "frozen"), ("checkout", "free")]
    assert made.rows[0].sentence == "failure rate 2.31 % > 0.5 %"
    assert made.rows[0].since is not None
    assert (made.rows[0].since.iso, made.rows[0].since.ago) == ("2026-11-21 08:20:00", "1 min")


def test_the_worst_comes_first() -> None:
    """A flag that is missing, a freeze, a problem, an alert, little budget."""
    named = [policy(name=name, service=name) for name in ("a", "b", "c", "d", "e")]
    letter = action(service="c", type=ActionType.NOTIFY, name="slack", state=ActionState.DEAD)
    looked = standing(live=(), counts=(), freeze_reasons=(), episodes={}, flags={}, held={}, dead_letters=(letter,))
    seen = Measured(
        asked=True,
        at=NOW,
        budgets={"a": (budget(left=0.9),), "e": (budget(left=0.2),)},
        firing={"d": (Firing(alert="X", severity="", slo="", sentence=""),)},
    )
    made = fleet(facts(looked, policies=policies(*named), measured=seen))
    assert [row.name for row in made.rows] == ["c", "d", "e", "a", "b"]


def test_a_freeze_that_is_only_meant_is_said() -> None:
    """The row says that the flag is missing, and why."""
    meant = standing(missing=frozenset({FLAG}), freeze_reasons=(freeze_reason(),))
    text = services_html(facts(meant))
    assert "must be frozen, and is not" in text
    assert f"the flag {FLAG} is not on disk" in text
    because = services_html(facts(meant, faults={FLAG: "disk is full"}))
    assert "the flag is not as it should be: disk is full" in because


def test_skipped_rollbacks_and_dead_letters_stand_in_the_row() -> None:
    """Also of a service that is not frozen."""
    skipped = action(state=ActionState.SKIPPED, result={"sentence": "not started: the cool-down is not over"})
    letter = action(id="A2", type=ActionType.NOTIFY, name="slack", state=ActionState.DEAD)
    text = services_html(facts(standing(skipped=(skipped,), dead_letters=(letter,))))
    assert "rollback not started: the cool-down is not over" in text
    assert "1 notice to slack could not be delivered" in text
    free = fleet(facts(standing(freeze_reasons=(), dead_letters=(letter, letter))))
    assert [row.state for row in free.rows if row.name == "gateway"] == ["trouble"]


def test_a_budget_says_what_is_left_and_when_it_is_gone() -> None:
    """At twice the sustainable rate, half the budget of 30 days lasts 7.5 days."""
    left = left_of(budget(), measured())
    assert (left.text, left.width, left.level) == ("50 % left", 50.0, "good")
    assert left.runs_out == "at this pace gone in 7 d 12 h"


@pytest.mark.parametrize(
    "found, text, level",
    [
        (budget(left=0.1), "10 % left", "low"),
        (budget(left=-0.12), "overspent by 12 %", "spent"),
        (budget(left=None), "not measured", "unknown"),
    ],
)
def test_levels_of_a_budget(found: Budget, text: str, level: str) -> None:
    """Low, overspent, and unknown where Prometheus has no number."""
    left = left_of(found, measured())
    assert (left.text, left.level) == (text, level)


def test_a_sustainable_pace_has_no_end() -> None:
    """Nor has an SLO without errors, or with a calendar's window."""
    for found in (budget(ratio=0.005), budget(ratio=0.0), budget(window_s=None), budget(ratio=None)):
        assert left_of(found, measured()).runs_out == ""


def test_old_answers_are_shown_as_unknown_with_their_time() -> None:
    """The last number stays, and nobody takes the number for fresh."""
    away = measured(budget(), unknown_since=at(-300), why="Prometheus cannot be asked: TimeoutError")
    text = services_html(facts(measured=away))
    assert "unknown since 2026-11-21 08:15:00 UTC (5 min): Prometheus cannot be asked: TimeoutError" in text
    assert "last known: 50 % left" in text
    assert "gone in" not in text


def test_without_prometheus_the_page_says_so() -> None:
    """Nothing is pretended."""
    assert "receiver.yaml names no Prometheus" in services_html(facts())


def test_a_search_finds_services_alerts_and_slos() -> None:
    """All words must be found; the number of all services stays."""
    seen = measured(budget(), firing={"checkout": (Firing(alert="PaymentsFail", severity="", slo="", sentence=""),)})
    for search, names in (("gate", ["gateway"]), ("payments", ["checkout"]), ("FAILURES gate", ["gateway"]), ("x", [])):
        made = fleet(facts(measured=seen), search=search)
        assert ([row.name for row in made.rows], made.total) == (names, 2)


def test_of_very_many_services_the_worst_are_shown() -> None:
    """A link shows all of them."""
    named = [policy(name=f"p{number}", service=f"s{number:03}") for number in range(SHOWN_MAX + 20)]
    made = fleet(facts(policies=policies(*named)))
    assert (len(made.rows), made.found, made.rows[0].name) == (SHOWN_MAX, SHOWN_MAX + 21, "gateway")
    assert len(fleet(facts(policies=policies(*named)), everything=True).rows) == SHOWN_MAX + 21


def test_the_last_rollback_is_shown() -> None:
    """With its release, its end and its age."""
    failed = action(state=ActionState.DEAD, payload={"release": "v2"})
    made = fleet(facts(rollbacks={"gateway": (failed, at(-7200))}))
    assert (made.rows[0].rollback, made.rows[0].rollback_bad) == ("ROLLBACK FAILED v2, 2 h ago", True)


def test_everything_from_outside_is_escaped() -> None:
    """Names, reasons, alerts and SLOs: no tag but our own."""
    evil = episode(service=HOSTILE, alert=HOSTILE, acked_at=NOW, acked_by=HOSTILE)
    looked = standing(
        live=(evil,),
        episodes={"E1": evil},
        counts=((HOSTILE, "", 1),),
        freeze_reasons=(freeze_reason(reason=HOSTILE, written_at=NOW),),
    )
    seen = Measured(
        asked=True,
        at=NOW,
        budgets={HOSTILE: (budget(slo=HOSTILE),)},
        firing={HOSTILE: (Firing(alert=HOSTILE, severity=HOSTILE, slo="", sentence=HOSTILE),)},
    )
    text = services_html(facts(looked, measured=replace(seen, why=HOSTILE, unknown_since=NOW)), search="script")
    assert text.count(SAFE) >= 6
    assert re.findall(r"<(?:script|img|iframe|style)\b", text) == []
