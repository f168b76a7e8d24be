"""Merging into an existing configuration adds Freezeline's parts and changes no other byte."""

from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from freezeline.problems import Problem, Problems
from generator.existing import merge as alertmanager_merge
from generator.render.alertmanager import alertmanager
from generator.render.alertmanager.alertmanager import Parts
from tests.unit.generator.spec.loading import BASE, good

USERS = """\
# The platform team's Alertmanager. Ask before you change it.
global:
  # our relay
  smtp_smarthost: relay.example.org:25
  resolve_timeout: 5m          # the default
templates: ['/etc/alertmanager/*.tmpl']

route:
  # everything ends here
  receiver: "platform"
  group_by: [alertname, cluster]
  routes:
  # databases first, they wake the DBA
  - receiver: dba
    matchers: [ team = "dba" ]
    continue: false
  - {receiver: platform, matchers: ['severity="none"']}   # quiet

receivers:
    - name: platform
      slack_configs:
        - channel: '#platform'
          api_url: &hook https://hooks.example.org/x
    # the DBA's own
    - name: dba
      slack_configs: [{channel: '#dba', api_url: *hook}]
inhibit_rules: []
# the end
"""


def parts(text: str = "", *, base: str = BASE) -> Parts:
    """The parts that a spec adds."""
    return alertmanager.parts([good(text, base=base)])


def merged(text: str, added: Parts | None = None) -> str:
    """The merged text, without any problem."""
    problems = Problems()
    found = alertmanager_merge.merge("alertmanager.yml", text, added or parts(), problems)
    assert list(problems) == []
    assert found is not None
    return found.text


def refused(text: str, added: Parts | None = None) -> list[Problem]:
    """The reasons why a text cannot be merged."""
    problems = Problems()
    assert alertmanager_merge.merge("alertmanager.yml", text, added or parts(), problems) is None
    return list(problems)


def removed(text: str) -> str:
    """The text without Freezeline's parts."""
    problems = Problems()
    found = alertmanager_merge.remove("alertmanager.yml", text, problems)
    assert (list(problems), found is None) == ([], False)
    return found or ""


def test_every_line_of_the_user_stays_in_its_order() -> None:
    """Comments, quotes, indents, anchors and blank lines; a list in brackets gets an item, an empty one is opened."""
    lines = iter(merged(USERS).split("\n"))
    users = USERS.replace("inhibit_rules: []", "inhibit_rules:").replace(
        "['/etc/alertmanager/*.tmpl']",
        "['freezeline.tmpl', '/etc/alertmanager/*.tmpl']  # freezeline: the first template is ours: 'freezeline.tmpl'",
    )
    assert [line for line in users.split("\n") if not any(line == other for other in lines)] == []


def test_our_routes_come_first_and_the_users_follow() -> None:
    """As data: Freezeline's items come first in the user's lists, everything else is unchanged."""
    added = parts()
    after: Any = yaml.safe_load(merged(USERS, added))
    before: Any = yaml.safe_load(USERS)
    assert after["route"]["routes"] == [*added.routes, *before["route"]["routes"], {"receiver": "platform"}]
    assert after["receivers"] == [*added.receivers, *before["receivers"]]
    assert after["templates"] == ["freezeline.tmpl", "/etc/alertmanager/*.tmpl"]
    assert after["inhibit_rules"] == list(added.inhibit_rules)
    assert after["route"]["receiver"] == "platform"
    assert after["global"] == before["global"]


def test_removing_gives_back_what_was_there() -> None:
    """The same bytes, unless an empty list was opened."""
    users = USERS.replace("inhibit_rules: []\n", "")
    assert removed(merged(users)) == users


def test_merging_twice_changes_nothing() -> None:
    """A second merge changes nothing; a merge of a changed spec replaces the earlier parts."""
    users = USERS
    once = merged(users)
    assert merged(once) == once
    other = parts(base=BASE.replace("#payments", "#billing"))
    assert merged(once, other) == merged(users, other)


def test_what_is_missing_is_made() -> None:
    """A bare configuration gets the lists that it lacks, and the mail settings that Freezeline's receivers need."""
    bare = "route:\n  receiver: me\nreceivers:\n- name: me"
    mail = parts("routing:\n  teams: {a: {email: a@example.org}}\n  routes: [{to: [a]}]\n")
    after: Any = yaml.safe_load(merged(bare, mail))
    assert after["global"] == dict(mail.mail)
    assert after["route"]["routes"] == [*mail.routes, {"receiver": "me"}]
    assert removed(merged(bare, mail)) == bare + "\n"


def test_a_mail_server_that_is_there_is_used() -> None:
    """Only the sender is added, because the user has none."""
    mail = parts("routing:\n  teams: {a: {email: a@example.org}}\n  routes: [{to: [a]}]\n")
    after: Any = yaml.safe_load(merged(USERS, mail))
    assert after["global"] == {
        "smtp_from": "alertmanager@example.org",
        "smtp_smarthost": "relay.example.org:25",
        "resolve_timeout": "5m",
    }


def last_routes(routes: str) -> list[dict[str, Any]]:
    """The routes after the user's routes in a merged file."""
    text = f"route:\n  receiver: me\n  routes:\n{routes}receivers: [{{name: me}}]\n".replace(
        "[{name: me}]", "\n- name: me"
    )
    after: Any = yaml.safe_load(merged(text))
    before: Any = yaml.safe_load(text)
    return list(after["route"]["routes"][len(parts().routes) + len(before["route"]["routes"]) :])


def test_what_the_root_took_is_still_taken() -> None:
    """Freezeline's route matches every alert, so the root's receiver gets a last route of its own."""
    assert last_routes("  - {receiver: me, match: {a: b}}\n") == [{"receiver": "me"}]


def test_a_last_route_of_the_users_own_is_enough() -> None:
    """A last route that matches every alert and does not continue."""
    assert last_routes("  - {receiver: me, match: {a: b}, continue: true}\n  - receiver: me\n") == []


def test_an_alert_that_routes_passed_on_does_not_reach_the_root() -> None:
    """Alertmanager's root gets only alerts that no route matched: routes with the same matchers stop the others."""
    routes = "  - receiver: me\n    match_re: {a: b|c}\n    continue: true\n    # the end of it\n"
    assert last_routes(routes) == [
        {"receiver": "freezeline-nobody", "match_re": {"a": "b|c"}},
        {"receiver": "me"},
    ]


def test_ours_follow_a_text_of_several_lines() -> None:
    """The user's last route may end in a block of text."""
    routes = "  - receiver: me\n    matchers:\n    - >-\n      a =\n      b\n"
    assert last_routes(routes) == [{"receiver": "me"}]


def test_windows_line_ends_stay() -> None:
    """A file with CRLF keeps CRLF."""
    text = USERS.replace("\n", "\r\n")
    found = merged(text)
    assert found.replace("\r\n", "").count("\n") == 0
    assert removed(merged(text)).replace("inhibit_rules:\r\n", "inhibit_rules: []\r\n") == text


@pytest.mark.parametrize(
    "old,new,code,line",
    [
        ("name: dba", "name: freezeline", "merge/name", 25),
        ("name: dba", "name: payments-slack", "merge/name", 25),
        ("inhibit_rules: []", "inhibit_rules: [{equal: [a]}]", "merge/flow", 27),
        ("inhibit_rules: []", "inhibit_rules: 5", "merge/type", 27),
        ("# the end", "# >>> freezeline", "merge/marks", 28),
        ("# the end", "# <<< freezeline", "merge/marks", 28),
        ("# the end", "]", "merge/yaml", 28),
    ],
)
def test_what_cannot_be_merged_is_said_where_it_stands(old: str, new: str, code: str, line: int) -> None:
    """The problem has a position, and no text is guessed."""
    users = USERS.replace(old, new)
    assert [(problem.code, problem.position.line) for problem in refused(users)] == [(code, line)]


@pytest.mark.parametrize(
    "text,code",
    [
        ("", "merge/type"),
        ("- a\n", "merge/type"),
        ("receivers: []\n", "merge/no-route"),
        ("route:\n  group_by: [a]\nreceivers: []\n", "merge/no-route"),
        ("route: {receiver: me}\nreceivers: []\n", "merge/flow"),
        ("x: &shared\n- name: me\nroute:\n  receiver: me\nreceivers: *shared\n", "merge/failed"),
    ],
)
def test_what_is_no_configuration_or_too_clever_is_refused(text: str, code: str) -> None:
    """Empty, a list, without route or receiver, with a route in braces, with a list in another place."""
    assert [problem.code for problem in refused(text)] == [code]


DEFAULT_PARTS = parts()
WORDS = st.text("ab:#-'\"[]{}|>&*!%@ \n", max_size=12)


def test_strange_texts_are_merged_rightly_or_refused() -> None:
    """For any text of the user, the result has the expected meaning, or there is no result."""
    merged = []

    @settings(deadline=None, derandomize=True)  # a slow machine is no finding here
    @given(comment=WORDS, value=WORDS, indent=st.integers(0, 4))
    def each(comment: str, value: str, indent: int) -> None:
        merged.append(is_merged(comment, value, indent))

    each()
    assert len(merged) / 3 < sum(merged)


def is_merged(comment: str, value: str, indent: int) -> bool:
    """Whether a configuration with such texts is merged; then the result must mean what it should."""
    pad = " " * indent
    body = dedent(f"""\
        route:
          receiver: me
          x: {value!r}
          routes:
        {pad}  - receiver: me   # {comment.replace(chr(10), " ")}
        receivers:
        - name: me
        """)
    problems = Problems()
    found = alertmanager_merge.merge("alertmanager.yml", body, DEFAULT_PARTS, problems)
    if found is None:
        assert len(problems) > 0
        return False
    after: Any = yaml.safe_load(found.text)
    assert after["route"]["routes"][-1] == {"receiver": "me"}
    assert removed(found.text) == body
    return True
