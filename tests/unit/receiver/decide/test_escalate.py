"""Escalation until somebody acknowledges, and status updates: what is due when."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from receiver.decide.escalate import Incident, due, group, next_due, open_for, summary
from receiver.decide.model import Episode, EpisodeState
from receiver.policy.model import Escalation, NotifyAction, Policy, Rule, Unfreeze

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CRITICAL = frozenset({"critical"})
LEVELS = (
    Escalation(level=1, after_s=0, channels=("toast",), severities=CRITICAL, to="devops", ask=""),
    Escalation(level=2, after_s=300, channels=("slack", "pagerduty"), severities=CRITICAL, to="tech-lead", ask=""),
    Escalation(level=3, after_s=900, channels=("slack",), severities=CRITICAL, to="everyone", ask="rollback"),
)


def policy(
    *, name: str = "day0", levels: tuple[Escalation, ...] = LEVELS, status_every_s: float | None = None
) -> Policy:
    """A policy that tells Slack, and the log where Slack fails."""
    tell = NotifyAction(name="tell", channels=("slack",), fallback=("log",), events=frozenset({"frozen"}))
    rule = Rule(id="r", match=(), do=("tell",), unfreeze=Unfreeze(resolved_for_s=300, all_of=(), review_after_s=86400))
    return Policy(
        name=name,
        service="scripts",
        spec="",
        sha256=f"sha-{name}",
        rules=(rule,),
        actions={"tell": tell},
        escalation=levels,
        status_every_s=status_every_s,
    )


def episode(
    number: int = 1,
    *,
    state: EpisodeState = EpisodeState.OPEN,
    incident: str = "E1",
    policy_name: str = "day0",
    acked_by: str = "",
    service: str = "scripts",
    severity: str = "critical",
    alert: str | None = None,
) -> Episode:
    """The episode E<number>, opened <number> - 1 minutes after START."""
    opened_at = START + (number - 1) * MINUTE
    return Episode(
        id=f"E{number}",
        policy=policy_name,
        rule="r",
        fingerprint=f"f{number}",
        service=service,
        state=state,
        generation=1,
        opened_at=opened_at,
        policy_sha256=f"sha-{policy_name}",
        incident=incident,
        alert=f"Alert{number}" if alert is None else alert,
        severity=severity,
        reason="5xx > 1 %",
        spec="",
        labels={},
        starts_at=opened_at,
        review_at=None,
        acked_at=opened_at if acked_by else None,
        acked_by=acked_by,
    )


def incident(*episodes: Episode, policies: tuple[Policy, ...] = (policy(),), first: Episode | None = None) -> Incident:
    """One incident of those episodes. It began with `first`: a critical one at START, unless another is given."""
    by_sha = {one.sha256: one for one in policies}
    (found,) = group(episodes or (episode(),), {"E1": first or episode()}, by_sha)
    return found


def keys(one: Incident, at: datetime) -> list[str]:
    """Keys of what is due."""
    return [action.key.removeprefix("notice:") for action in due(one, now=at, ids=lambda _: "id")]


@pytest.mark.parametrize(
    "minutes, levels",
    [(0, {"1": 1}), (4.99, {"1": 1}), (5, {"1": 1, "2": 2}), (14.99, {"1": 1, "2": 2}), (15, {"1": 1, "2": 2, "3": 1})],
)
def test_levels_are_due_at_their_time(minutes: float, levels: dict[str, int]) -> None:
    """0, 5 and 15 minutes into the incident, to each of a level's channels."""
    found = Counter(key.rpartition(":")[2] for key in keys(incident(), START + minutes * MINUTE))
    assert found == levels


def test_a_level_is_named_once_whenever_it_is_asked_for() -> None:
    """The same keys at every look: the journal keeps the first."""
    early = keys(incident(), START + 6 * MINUTE)
    late = keys(incident(), START + 7 * MINUTE)
    assert (
        early
        == late
        == [
            "toast:scripts:E1:escalation:1",
            "slack:scripts:E1:escalation:2",
            "pagerduty:scripts:E1:escalation:2",
        ]
    )


def test_an_acknowledgement_stops_escalation() -> None:
    """Of any episode of the incident: somebody sees to it."""
    acknowledged = incident(episode(1), episode(2, acked_by="ana"))
    assert keys(acknowledged, START + 60 * MINUTE) == []
    assert next_due(acknowledged, now=START) is None


def test_a_resolved_incident_does_not_escalate_further() -> None:
    """While every alert is resolved nobody else is called; if one fires again, it goes on."""
    resolving = incident(episode(1, state=EpisodeState.RESOLVING))
    again = incident(episode(1, state=EpisodeState.RESOLVING), episode(2))
    assert keys(resolving, START + 60 * MINUTE) == []
    assert len(keys(again, START + 60 * MINUTE)) == 4


def test_time_runs_from_the_beginning_of_the_incident() -> None:
    """Also where its first episode is over already."""
    later = incident(episode(10))
    assert len(keys(later, START + 15 * MINUTE)) == 4


def test_five_alerts_escalate_once() -> None:
    """One incident, one call a level."""
    many = incident(*(episode(number) for number in range(1, 6)))
    assert keys(many, START + 15 * MINUTE) == keys(incident(), START + 15 * MINUTE)


def test_a_warning_does_not_escalate() -> None:
    """Levels are for critical alerts unless they say otherwise; status updates come all the same."""
    old = episode(1, severity="warning")
    warned = incident(old, policies=(policy(status_every_s=1800),), first=old)
    assert keys(warned, START + 60 * MINUTE) == ["slack:scripts:E1:status:day0:2"]
    assert next_due(warned, now=START) == START + 30 * MINUTE


def test_a_level_that_asks_for_warnings_is_told_of_them() -> None:
    """Level 1 hears of both, level 2 of critical alerts."""
    low = frozenset({"warning", "critical"})
    levels = (replace(LEVELS[0], severities=low), LEVELS[1])
    warned = incident(episode(1, severity="warning"), policies=(policy(levels=levels),))
    assert keys(warned, START + 60 * MINUTE) == ["toast:scripts:E1:escalation:1"]


def test_the_time_of_a_level_runs_from_what_counts_for_it() -> None:
    """A warning for an hour, then a critical alert: the five minutes begin with that, and the notice is about it."""
    old = episode(1, severity="warning")
    worse = incident(old, episode(61), first=old)
    at = START + 60 * MINUTE
    assert keys(worse, at) == ["toast:scripts:E1:escalation:1"]
    assert next_due(worse, now=at) == at + 5 * MINUTE
    (told,) = due(worse, now=at, ids=lambda _: "id")
    assert json.loads(told.payload["facts"])["alert"] == "Alert61"


def test_a_warning_does_not_keep_a_resolved_critical_alert_escalating() -> None:
    """What should wake people is over."""
    over = incident(episode(1, state=EpisodeState.RESOLVING), episode(2, severity="warning"))
    assert keys(over, START + 60 * MINUTE) == []


def test_an_alert_without_a_severity_counts_as_critical() -> None:
    """Nobody has said that it can wait."""
    assert len(keys(incident(episode(1, severity="")), START + 15 * MINUTE)) == 4


def test_what_an_operator_froze_does_not_escalate() -> None:
    """There is no alert, and somebody knows."""
    by_hand = episode(1, severity="", alert="")
    assert keys(incident(by_hand, first=by_hand), START + 60 * MINUTE) == []


def test_a_policy_that_changed_meanwhile_still_escalates() -> None:
    """The alert came after the change, the incident before: its policy is the same by name."""
    changed = replace(episode(2), policy_sha256="sha-new")
    old = episode(1, severity="warning")
    found = incident(old, changed, policies=(policy(), replace(policy(), sha256="sha-new")), first=old)
    assert len(keys(found, START + 60 * MINUTE)) == 4


def test_the_facts_say_level_team_question_and_time() -> None:
    """Level 3 offers the rollback decision."""
    last = due(incident(), now=START + 16 * MINUTE, ids=lambda _: "id")[-1]
    facts = json.loads(last.payload["facts"])
    assert {key: facts[key] for key in ("level", "to", "ask", "open_for", "alert")} == {
        "level": "3",
        "to": "everyone",
        "ask": "rollback",
        "open_for": "16 min",
        "alert": "Alert1",
    }
    assert (last.payload["event"], json.loads(last.payload["fallback"])) == ("escalation", ["log"])


@pytest.mark.parametrize(
    "minutes, expected",
    [
        (0, []),
        (29, []),
        (30, ["slack:scripts:E1:status:day0:1"]),
        (59, ["slack:scripts:E1:status:day0:1"]),
        (200, ["slack:scripts:E1:status:day0:6"]),
    ],
)
def test_status_updates_come_on_time_and_only_the_latest(minutes: int, expected: list[str]) -> None:
    """Every 30 minutes; those missed while the receiver was away are not made up for."""
    quiet = incident(policies=(policy(levels=(), status_every_s=1800),))
    assert keys(quiet, START + minutes * MINUTE) == expected


def test_status_goes_on_after_acknowledgement_and_resolve() -> None:
    """People are kept posted while anything is open."""
    waiting = incident(
        episode(1, state=EpisodeState.RESOLVING, acked_by="ana"), policies=(policy(levels=(), status_every_s=1800),)
    )
    (update,) = due(waiting, now=START + 30 * MINUTE, ids=lambda _: "id")
    assert json.loads(update.payload["facts"])["summary"] == "Alert1 (resolving); acknowledged by ana"


def test_two_policies_of_a_service_both_count() -> None:
    """Each policy's status interval is its own; equal levels to one channel are told once."""
    both = incident(
        episode(1),
        episode(2, policy_name="slo"),
        policies=(policy(status_every_s=600), policy(name="slo", status_every_s=1200)),
    )
    found = keys(both, START + 20 * MINUTE)
    assert [key for key in found if "status" in key] == [
        "slack:scripts:E1:status:day0:2",
        "slack:scripts:E1:status:slo:1",
    ]
    assert len({key for key in found if "escalation" in key}) == 4


@pytest.mark.parametrize("minutes, next_minutes", [(-1, 0), (0, 5), (5, 15), (15, 30), (30, 60), (61, 90)])
def test_the_next_look_is_known(minutes: int, next_minutes: int) -> None:
    """Nothing is polled: levels, then status updates."""
    one = incident(policies=(policy(status_every_s=1800),))
    assert next_due(one, now=START + minutes * MINUTE) == START + next_minutes * MINUTE


def test_incidents_of_services_are_apart() -> None:
    """Each with its own episodes and beginning."""
    found = group(
        [episode(1), episode(2), episode(3, service="other", incident="E3")], {"E1": episode(0)}, {"x": policy()}
    )
    assert [(one.service, one.id, one.since, len(one.episodes)) for one in found] == [
        ("scripts", "E1", START - MINUTE, 2),
        ("other", "E3", START + 2 * MINUTE, 1),
    ]


def test_an_incident_begins_with_its_oldest_episode() -> None:
    """Whatever the order in which episodes are read; of two that opened at one time, the lower identifier."""
    same_time = replace(episode(2), id="E0", opened_at=START)
    for order in ([episode(3), episode(1), same_time], [same_time, episode(1), episode(3)]):
        (found,) = group(order, {}, {})
        assert [one.id for one in found.episodes] == ["E0", "E1", "E3"]
        assert found.first.id == "E0"


def test_an_episode_whose_policy_is_gone_is_left_out() -> None:
    """Nothing is guessed where the policy text is unknown."""
    assert keys(incident(policies=()), START + 60 * MINUTE) == []


@pytest.mark.parametrize(
    "span, text",
    [
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=49), "2 d 1 h"),
    ],
)
def test_spans_are_said_as_people_do(span: timedelta, text: str) -> None:
    """Coarse on purpose."""
    assert open_for(span) == text


def test_the_summary_is_short() -> None:
    """Three alerts by name, the rest by number."""
    many = incident(*(episode(number) for number in range(1, 6)))
    assert summary(many) == "Alert1 (open), Alert2 (open), Alert3 (open) and 2 more; not acknowledged"
