"""The `routing` section: each problem is reported at its position."""

import pytest

from generator import pipeline
from generator.model import alert_labels
from generator.model.teams import channel_name
from generator.render.alertmanager import people
from generator.render.policy import policy
from tests.tools import ROOT
from tests.unit.generator.spec.loading import ACTIONS, BASE, found, good

TEAMS = '  teams: {a: {slack: "#a", email: a@example.org}}\n'
NOBODY = BASE.replace(', slack: "#payments"', "")


@pytest.mark.parametrize(
    "lines,code,place",
    [
        ('teams: {a: {slack: "a"}}', "routing/slack", '"a"'),
        ("teams: {a: {email: nobody}}", "routing/email", "nobody"),
        ("teams: {a: {sms: 123}}", "spec/unknown-key", "sms"),
        (f"{TEAMS.strip()}\n  routes: [{{match: {{severity: critical}}}}]", "routing/no-target", "{match"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [b]}}]", "routing/unknown-team", "{to: [b]}"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [{{team: a, by: [pigeon]}}]}}]", "routing/medium", "[pigeon]"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [{{team: a, by: [pagerduty]}}]}}]", "routing/no-address", "{to"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [a], match: {{service: x}}}}]", "routing/match", "x}"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [a], mute: [nights]}}]", "routing/unknown-mute-time", "{to"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [a], repeat: 5s}}]", "spec/type", "5s"),
        (f"{TEAMS.strip()}\n  routes: [{{to: [a], match: {{severity: info}}}}]", "routing/never", "{to"),
        ("inhibit: [{cause: FailureRateHigh, symptoms: []}]", "routing/inhibit", "[]"),
        ("inhibit: [{cause: Nothing, symptoms: [QueueLong]}]", "routing/unknown-alert", "{cause"),
        ("inhibit: [{cause: QueueLong, symptoms: [QueueLong]}]", "routing/inhibit-cycle", "{cause"),
        ("escalation: [{after: 0m, to: a}]", "routing/unknown-team", "{after"),
        (
            f"{TEAMS.strip()}\n  escalation: [{{after: 5m, to: a}}, {{after: 1m, to: a}}]",
            "routing/escalation",
            "{after: 1m",
        ),
        (f"{TEAMS.strip()}\n  escalation: [{{after: 5m, to: a, ask: freeze}}]", "spec/type", "freeze"),
        (f"{TEAMS.strip()}\n  escalation: [{{after: 5m, to: a, severity: [page]}}]", "routing/severity", "[page]"),
        ("smtp: {smarthost: mail.example.org}", "routing/smtp", "mail.example.org"),
        ('mute_times: {n: [{times: ["22:00-06:00"]}]}', "routing/mute", '["22:00'),
        ('mute_times: {n: [{times: ["25:00-26:00"]}]}', "routing/mute", '["25:00'),
        ("mute_times: {n: [{weekdays: [someday]}]}", "routing/mute", "[someday]"),
        ('mute_times: {n: [{weekdays: ["friday:monday"]}]}', "routing/mute", '["friday'),
        ("mute_times: {n: [{location: Nowhere/There}]}", "routing/mute", "Nowhere"),
        ("mute_times: {n: []}", "routing/mute", "[]"),
    ],
)
def test_a_mistake_is_reported_where_it_stands(lines: str, code: str, place: str) -> None:
    """Code and position of each mistake; an escalation without a policy gives a warning too."""
    problems = found(f"routing:\n  {lines}\n")
    assert (code, True) in [(problem[0], problem[1].startswith(place)) for problem in problems]
    assert {problem[0] for problem in problems} <= {code, "routing/escalation"}


def test_two_causes_of_each_other_are_a_cycle() -> None:
    """While both alerts fire, nobody would be told of either."""
    text = """\
        routing:
          inhibit:
            - {cause: FailureRateHigh, symptoms: [QueueLong]}
            - {cause: QueueLong, symptoms: [FailureRateHigh]}
        """
    assert [code for code, _ in found(text)] == ["routing/inhibit-cycle"] * 2


def test_an_inhibition_that_hides_an_alert_from_its_policy_is_worth_a_warning() -> None:
    """Alertmanager does not send inhibited alerts to the receiver."""
    text = """\
        policy: [{on: {alert: QueueLong}, do: [freeze, rollback, tell]}]
        routing:
          inhibit: [{cause: FailureRateHigh, symptoms: [QueueLong]}]
        """
    assert [code for code, _ in found(ACTIONS + "\n".join(line[8:] for line in text.splitlines()) + "\n")] == [
        "routing/hides-policy"
    ]


def test_alerts_that_nobody_hears_of_are_worth_a_warning() -> None:
    """Neither an address of the owner, nor a route, nor a notice reaches a person."""
    assert [code for code, _ in found(f"routing:\n{TEAMS}", base=NOBODY)] == ["routing/unheard"]


def test_a_spec_that_acts_is_told_that_nobody_hears_of_its_alerts_even_without_routing() -> None:
    """A spec that only generates rules gets no warning: the user's own configuration may route its alerts."""
    freezes = ACTIONS + "policy: [{on: {alert: QueueLong}, do: [freeze, rollback]}]\n"
    assert ("routing/unheard", "{team: payments}") in found(freezes, base=NOBODY)
    assert "routing/unheard" not in [code for code, _ in found(freezes)]
    assert found("", base=NOBODY) == []


def test_somebody_hears_of_every_alert_of_the_systems() -> None:
    """Alertmanager's routes reach a person for every alert, and the specs give no warning."""
    paths = sorted((ROOT / "slos").glob("*.yaml"))
    loaded = pipeline.load_set([(f"slos/{path.name}", path.read_bytes()) for path in paths], "slos")
    assert [str(problem) for problem in loaded.problems] == []
    unheard = [
        (spec.name, labels)
        for spec in loaded.output_set.specs
        for labels in alert_labels.of(spec)
        if not any(takes(route, labels) for route in people.plan(spec))
    ]
    assert len(loaded.output_set.specs) == 5
    assert unheard == []


def takes(route: people.PlannedRoute, labels: dict[str, str]) -> bool:
    """Whether an alert goes to the route's people."""
    return all(labels.get(label, "") in values for label, values in route.match)


def test_levels_that_no_policy_rule_can_reach_are_worth_a_warning() -> None:
    """A policy on critical alerts never opens an incident of severity warning."""
    text = """\
        policy: [{on: {severity: critical}, do: [freeze, rollback, tell]}]
        routing:
          teams: {a: {slack: "#a"}}
          escalation: [{after: 0m, to: a}, {after: 5m, to: a, severity: [warning, info]}]
        """
    problems = found(ACTIONS + "\n".join(line[8:] for line in text.splitlines()) + "\n")
    assert [(code, place[:9]) for code, place in problems] == [("routing/escalation", "{after: 5")]


def test_an_owner_with_another_address_than_the_team_is_reported() -> None:
    """One team cannot have two Slack channels."""
    text = 'routing:\n  teams: {payments: {slack: "#other"}}\n'
    assert [code for code, _ in found(text)] == ["routing/two-addresses"]


def test_escalation_is_compiled_for_the_receiver() -> None:
    """Levels name the receiver's channels: written channels, or channels named after the team's addresses."""
    text = """\
        routing:
          teams:
            devops: {slack: "#war-room", pagerduty: day0, email: on.call@example.org}
            leads:  {channels: [slack-leads]}
          routes: [{to: [devops]}]
          escalation:
            - {after: 0m, to: devops, severity: [warning, critical]}
            - {level: 3, after: 15m, to: leads, ask: rollback}
          status_every: 30m
        """
    rules = ACTIONS + "policy: [{on: {severity: critical}, do: [freeze, rollback, tell]}]\n"
    compiled = policy.render(good(rules + "\n".join(line[8:] for line in text.splitlines()) + "\n"))
    assert compiled["escalation"] == [
        {
            "after_s": 0,
            "level": 1,
            "to": "devops",
            "channels": ["email-on.call", "slack-war-room", "pagerduty-day0"],
            "severities": ["critical", "warning"],
        },
        {
            "after_s": 900,
            "level": 3,
            "to": "leads",
            "channels": ["slack-leads"],
            "severities": ["critical"],
            "ask": "rollback",
        },
    ]
    assert compiled["status_every_s"] == 1800


@pytest.mark.parametrize(
    "medium,address,name",
    [
        ("slack", "#day0-launch-war-room", "slack-day0-launch-war-room"),
        ("slack", "@ann", "slack-ann"),
        ("email", "oncall@example.org", "email-oncall"),
        ("email", "on call+x@example.org", "email-on-call-x"),
        ("pagerduty", "day0", "pagerduty-day0"),
    ],
)
def test_channels_are_named_after_addresses(medium: str, address: str, name: str) -> None:
    """A character that a name cannot hold becomes a dash."""
    assert channel_name(medium, address) == name
