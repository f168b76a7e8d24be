"""Incidents: durations, mean times, the course of events, and the Markdown of a post-mortem."""

from typing import Any

from receiver.decide.model import ActionState, ActionType, Decision, Incident, Recorded
from receiver.decide.recovery import Lasted, mean_times
from receiver.http.page.board import decided_of
from receiver.http.page.incidents import Course, Known, course, history, inert, markdown
from tests.unit.receiver.builders import NOW, at, episode
from tests.unit.receiver.http.page.shown import HOSTILE, action, rendered


def incident(**changes: Any) -> Incident:
    """An incident of ten minutes, acknowledged after two."""
    values: dict[str, Any] = {
        "first": episode(),
        "opened_at": NOW,
        "ended_at": at(600),
        "episodes": 3,
        "live": 0,
        "acked_at": at(120),
        "acked_by": "Ben",
    }
    return Incident(**{**values, **changes})


TIMES = mean_times(
    [
        Lasted(service="gateway", opened_at=NOW, recovered_at=at(600), acked_at=at(120)),
        Lasted(service="gateway", opened_at=at(700), acked_at=at(1060)),
    ]
)


def recorded(seq: int, kind: str, sentence: str) -> Recorded:
    """One decision, a second after the one before."""
    return Recorded(seq=seq, at=at(seq), decision=Decision(kind=kind, sentence=sentence), prev_hash="", hash="")


def known(**changes: Any) -> Known:
    """An incident with a rollback and two notices."""
    values: dict[str, Any] = {
        "incident": incident(),
        "decisions": (recorded(1, "opened", "It fires"), recorded(2, "told", "log got the notice")),
        "episodes": (episode(),),
        "actions": (
            action(state=ActionState.SUCCEEDED, payload={"release": "v2"}),
            action(id="A2", type=ActionType.NOTIFY, name="log", state=ActionState.SUCCEEDED),
            action(id="A3", type=ActionType.NOTIFY, name="slack", state=ActionState.DEAD),
        ),
    }
    return Known(**{**values, **changes})


def test_the_history_has_durations_and_mean_times() -> None:
    """The mean times are in people's words."""
    still = incident(first=episode(id="E2", incident="E2"), opened_at=at(700), ended_at=None, live=1, acked_at=at(1060))
    deeds = {"E1": [("rollback", "SUCCEEDED", 1)]}
    made = history([still, incident()], deeds, TIMES, now=at(1300), spent=lambda _one: 0.123)
    assert [(one.duration, one.deeds) for one in made.entries] == [("10 min", ""), ("10 min", "rolled back")]
    assert (made.mttr, made.mtta, made.counted) == ("10 min", "4 min", 1)
    assert [one.ended is None for one in made.entries] == [True, False]
    assert made.entries[1].acknowledged == "Ben after 2 min"
    assert made.entries[1].spent == "12.3 %"


def test_without_an_ended_incident_there_is_no_mean() -> None:
    """The page then shows no time."""
    made = history([], {}, mean_times([]), now=at(0))
    assert (made.mttr, made.mtta, made.counted) == ("", "", 0)


def test_the_course_folds_what_only_the_machine_needs() -> None:
    """A person sees events first."""
    made = course(known(), now=at(700))
    assert [one.kind for one in made.events] == ["opened"]
    assert [one.kind for one in made.machine] == ["told"]
    assert (made.entry.deeds, made.notices) == ("rolled back", "1 to log; 1 not delivered")
    assert [(one.what, one.state) for one in made.deeds] == [("rollback of v2", "succeeded")]


def hostile() -> Course:
    """An incident whose texts are hostile."""
    evil = episode(alert=HOSTILE, reason=f"{HOSTILE} | # [x](javascript:1) `y`", service=HOSTILE)
    said = (recorded(1, HOSTILE, HOSTILE), recorded(2, "opened", "| a | b |"))
    return course(known(incident=incident(first=evil), decisions=said, episodes=(evil,)), now=at(700))


def test_markdown_is_inert_and_whole() -> None:
    """No text of an alert becomes a tag, a link, a heading or a cell."""
    text = markdown(hostile(), url="https://freezeline.example.org/page/incident?id=E1")
    assert "<script" not in text.replace("\\<", "")
    assert "[x](" not in text
    assert "\\| a \\| b \\|" in text
    assert text.startswith("# Incident of \\<script\\>")
    for said in ("- Lasted: 10 min", "- Acknowledged by: Ben after 2 min", "| 2026-11-21 08:20:02 | opened |"):
        assert said in text


def test_every_special_character_is_escaped() -> None:
    """The characters with which Markdown and GitHub begin something."""
    assert inert("a_b <@x> #1") == "a\\_b \\<\\@x\\> \\#1"


def test_pages_of_incidents_are_escaped() -> None:
    """The list and the course."""
    one = rendered("incident.html", course=hostile())
    evil = incident(first=episode(alert=HOSTILE, reason=HOSTILE, service=HOSTILE), acked_by=HOSTILE)
    many = rendered("incidents.html", history=history([evil], {}, TIMES, now=at(700), service=HOSTILE))
    for text in (one, many):
        assert "<script" not in text
        assert text.count("&lt;script&gt;") >= 4


def test_decisions_say_how_long_ago_and_whether_people_need_them() -> None:
    """For the list on the first page."""
    found = [decided_of(recorded(seq, kind, "s"), at(30)) for seq, kind in ((1, "opened"), (2, "told"))]
    assert [(one.at.ago, one.machine) for one in found] == [("29 s", False), ("28 s", True)]
