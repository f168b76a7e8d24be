"""The configuration of a spec: the receiver first, then people, inhibitions and mute times."""

from typing import Any

from generator.render.alertmanager import alertmanager
from tests.unit.generator.spec.loading import ACTIONS, BASE, good

NOBODY = BASE.replace(', slack: "#payments"', "")


def config(text: str, *, base: str = BASE) -> dict[str, Any]:
    """The rendered configuration."""
    return dict(alertmanager.render(good(text, base=base)))


def routes(text: str, *, base: str = BASE) -> list[tuple[list[str], str, bool]]:
    """The routes to people as (matchers, receiver, continue)."""
    return [
        (route["matchers"], route["receiver"], route.get("continue", False))
        for route in config(text, base=base)["route"]["routes"][2:]
        if not any("freezeline" in matcher for matcher in route["matchers"])
    ]


# An alert of another rule keeps its way, also if the alert has the same service.
OURS = ['service="gateway"', 'alertname=~"FailureRateHigh|QueueLong|SLOBudgetBurn|SLOBudgetConsumed|SLONoData"']


def test_the_receivers_routes_come_first_as_the_contract_says() -> None:
    """The watchdog's route, then the route that matches every alert; no other route comes first."""
    first, second = config("")["route"]["routes"][:2]
    assert first == {
        "receiver": "freezeline",
        "matchers": ['alertname="FreezelineWatchdog"'],
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "10s",
        "repeat_interval": "30s",
    }
    assert second == {
        "receiver": "freezeline",
        "matchers": ['freezeline_policy != "off"'],
        "continue": True,
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "10s",
        "repeat_interval": "5m",
    }


def test_the_webhook_reads_its_token_from_a_file() -> None:
    """The configuration never holds a secret."""
    receivers = {receiver["name"]: receiver for receiver in config("")["receivers"]}
    (webhook,) = receivers["freezeline"]["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:9099/webhook"
    assert webhook["http_config"]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "/etc/alertmanager/secrets/freezeline-webhook",
    }


def test_without_routing_the_owner_is_told() -> None:
    """By all addresses of the owner; PagerDuty only for critical alerts."""
    owner = BASE.replace('slack: "#payments"', 'slack: "#payments", email: p@example.org, pagerduty: pay')
    assert routes("", base=owner) == [
        ([*OURS, 'severity="critical"'], "payments-email-slack-pagerduty", False),
        (OURS, "payments-email-slack", False),
    ]
    assert routes("") == [(OURS, "payments-slack", False)]


def test_an_owner_without_address_gets_no_route() -> None:
    """The user's own configuration decides who is told."""
    assert routes("", base=NOBODY) == []


def test_several_targets_become_routes_that_go_on() -> None:
    """All targets of a route are told. Alertmanager looks at the next route only with `continue`."""
    text = """\
        routing:
          teams: {a: {slack: "#a"}, b: {email: b@example.org, slack: "#b"}}
          routes:
            - {match: {severity: critical}, to: [a, {team: b, by: [email]}]}
            - {match: {severity: [critical, warning], alert: QueueLong}, to: [b], continue: true}
        """
    critical = [*OURS, 'severity="critical"']
    queue = ['service="gateway"', 'severity=~"critical|warning"', 'alertname="QueueLong"']
    assert routes(text, base=NOBODY) == [
        (critical, "a-slack", True),
        (critical, "b-email", False),
        (queue, "b-email-slack", True),
    ]


def test_a_route_can_say_how_often_and_when_not() -> None:
    """`repeat`, `group_by`, `mute` and `active`; the names of mute times contain the service."""
    text = """\
        routing:
          teams: {a: {slack: "#a"}}
          routes: [{to: [a], repeat: 12h, group_by: [route], mute: [nights], active: [year]}]
          mute_times:
            nights: [{times: ["22:00-24:00", "00:00-06:00"], location: Europe/Berlin}, {weekdays: [saturday]}]
            year: [{years: ["2026"], months: [december, "1:3"], days_of_month: ["1:-1"]}]
        """
    made = config(text, base=NOBODY)
    route = made["route"]["routes"][2]
    assert (route["repeat_interval"], route["group_by"]) == ("12h", ["route"])
    assert route["mute_time_intervals"] == ["gateway-nights"]
    assert route["active_time_intervals"] == ["gateway-year"]
    assert made["time_intervals"] == [
        {
            "name": "gateway-nights",
            "time_intervals": [
                {
                    "times": [
                        {"start_time": "22:00", "end_time": "24:00"},
                        {"start_time": "00:00", "end_time": "06:00"},
                    ],
                    "location": "Europe/Berlin",
                },
                {"weekdays": ["saturday"]},
            ],
        },
        {
            "name": "gateway-year",
            "time_intervals": [{"days_of_month": ["1:-1"], "months": ["december", "1:3"], "years": ["2026"]}],
        },
    ]


def test_mail_goes_through_the_server_that_is_named() -> None:
    """With a login and a password file; without `smtp`, through the machine's own server."""
    team = "teams: {a: {email: a@example.org}}\n  routes: [{to: [a]}]\n"
    smtp = "  smtp: {smarthost: 'mail.example.org:587', from: alerts@example.org, username: alerts}\n"
    (email,) = config(f"routing:\n  {team}{smtp}", base=NOBODY)["receivers"][2]["email_configs"]
    assert {key: email[key] for key in ("to", "from", "smarthost", "auth_username", "auth_password_file")} == {
        "to": "a@example.org",
        "from": "alerts@example.org",
        "smarthost": "mail.example.org:587",
        "auth_username": "alerts",
        "auth_password_file": "/etc/alertmanager/secrets/smtp-password",
    }
    own = config(f"routing:\n  {team}", base=NOBODY)
    assert own["global"] == {
        "smtp_smarthost": "localhost:25",
        "smtp_from": "alertmanager@example.org",
        "smtp_require_tls": False,
    }


def inhibited(text: str) -> dict[str, list[str]]:
    """Cause → symptoms, by the matcher that tells them apart."""
    found: dict[str, list[str]] = {}
    for rule in config(text).get("inhibit_rules", []):
        found.setdefault(rule["source_matchers"][-1], []).append(rule["target_matchers"][-1])
    return found


def test_faster_tiers_and_larger_shares_silence_the_others() -> None:
    """Only for the same SLO and the same group."""
    assert inhibited("") == {
        'tier="fast"': ['tier=~"medium|slow|trickle"'],
        'tier="medium"': ['tier=~"slow|trickle"'],
        'tier="slow"': ['tier="trickle"'],
        'budget_consumed="100"': ['budget_consumed="50"'],
    }
    assert {tuple(rule["equal"]) for rule in config("")["inhibit_rules"]} == {("service", "slo", "scope", "route")}


def test_slos_with_tiers_of_their_own_have_rules_of_their_own() -> None:
    """SLOs with different orders of tiers need separate rules."""
    base = BASE.replace("failures: {objective: 99.5,", "failures: {objective: 45,")
    made = config("", base=base)["inhibit_rules"]
    named = [[word for word in rule["source_matchers"] if word.startswith("slo=")] for rule in made]
    assert len(named) > 2
    assert [bool(words) for words in named] == [True] * (len(named) - 1) + [False]


def test_an_alert_that_a_policy_waits_for_is_not_hidden_from_it() -> None:
    """Alertmanager also hides inhibited alerts from the receiver, so a rule on `slow` keeps this alert visible."""
    rule = "policy: [{on: {alert: SLOBudgetBurn, tier: slow}, do: [freeze, rollback, tell]}]\n"
    assert inhibited(ACTIONS + rule) == {
        'tier="fast"': ['tier=~"medium|trickle"'],
        'tier="medium"': ['tier="trickle"'],
        'tier="slow"': ['tier="trickle"'],
        'budget_consumed="100"': ['budget_consumed="50"'],
    }


def test_a_rule_that_the_cause_begins_as_well_loses_nothing() -> None:
    """On severity critical, the fast tier starts the rule itself, and may silence the medium tier."""
    rule = "policy: [{on: {severity: critical}, do: [freeze, rollback, tell]}]\n"
    assert inhibited(ACTIONS + rule)['tier="fast"'] == ['tier=~"medium|slow|trickle"']


def test_causes_silence_symptoms_of_their_service() -> None:
    """The inhibitions of the spec, by alert names."""
    text = "routing:\n  inhibit: [{cause: FailureRateHigh, symptoms: [QueueLong]}]\n"
    assert config(text)["inhibit_rules"][-1] == {
        "source_matchers": ['service="gateway"', 'alertname="FailureRateHigh"'],
        "target_matchers": ['service="gateway"', 'alertname="QueueLong"'],
        "equal": ["service"],
    }


def test_two_services_may_have_teams_of_one_name() -> None:
    """If the teams have different addresses, the receiver's name contains the service."""
    one = good("", base=BASE)
    other = good("", base=BASE.replace("service: gateway", "service: shop").replace("#payments", "#shop-payments"))
    same = good("", base=BASE.replace("service: gateway", "service: cart"))
    merged: Any = alertmanager.render_merged([one, other])
    assert [receiver["name"] for receiver in merged["receivers"]] == [
        "nobody",
        "freezeline",
        "gateway.payments-slack",
        "shop.payments-slack",
    ]
    shared: Any = alertmanager.render_merged([one, same])
    assert [receiver["name"] for receiver in shared["receivers"]] == ["nobody", "freezeline", "payments-slack"]


def test_the_order_of_specs_does_not_matter() -> None:
    """The same specs give the same configuration."""
    one = good("", base=BASE)
    other = good("", base=BASE.replace("service: gateway", "service: shop"))
    assert alertmanager.render_merged([one, other]) == alertmanager.render_merged([other, one])
