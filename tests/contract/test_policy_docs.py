"""The docs of policy, routing and Alertmanager say what the code does."""

import re
from pathlib import Path

import pytest

from generator.model import mute_times, teams
from generator.model.actions import RollbackAction
from generator.render.alertmanager import alertmanager, places
from generator.spec import gate
from generator.spec.actions import EVENTS
from tests.tools import ROOT
from tests.unit.generator.spec.loading import load

BASE = """\
apiVersion: freezeline/v1
service: gateway
owner: {team: ui, email: ui@example.org}
slos:
  failures: {objective: 99.5, sli: {bad: bad_total, total: all_total}}
alerts:
  FailureRateHigh: {when: 'failures > 1', severity: critical}
  WorkerStalled:   {when: 'stalled > 1', severity: warning}
  QueueLengthHigh: {when: 'queue > 50', severity: warning}
  JobsSlow:        {when: 'jobs > 50', severity: warning}
"""
ACTIONS = "actions: {tell: {channels: [log]}}\npolicy: [{on: {severity: critical}, do: [tell]}]\n"


def page(name: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / name).read_text()


def first_yaml(name: str) -> str:
    """The first example of a page."""
    found = re.search(r"```yaml\n(.*?)```", page(name), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name,also", [("policy.md", ""), ("routing.md", ACTIONS)])
def test_the_first_example_of_a_page_is_without_problems(name: str, also: str) -> None:
    """As a part of a whole spec; not even a warning."""
    _, problems = load(also + first_yaml(name), base=BASE)
    assert [problem.message for problem in problems] == []


def test_every_key_of_a_rollback_is_explained() -> None:
    """The page names what can be written."""
    keys = {field.removesuffix("_ms") for field in RollbackAction.__struct_fields__} - {"name", "position"}
    assert {"command", "verify", "release", "undo"} <= keys
    assert {key for key in keys if f"`{key}" not in page("policy.md")} == set()


@pytest.mark.parametrize("event", EVENTS)
def test_every_moment_is_named(event: str) -> None:
    """What can be told."""
    assert f"`{event}`" in page("policy.md")


def test_every_kind_of_check_is_explained() -> None:
    """The keys by which checks are known."""
    keys = ("none_firing", "remaining_at_least", "image", "trivy", "query", "flag_file", "rehearsal", *gate.SOURCES)
    assert {key for key in keys if f"{key}" not in page("policy.md")} == set()


def test_every_key_of_routing_is_explained() -> None:
    """Sections, keys of a route, keys of a mute time."""
    keys = set(mute_times.MuteInterval.__struct_fields__) | {
        "repeat",
        "group_by",
        "mute",
        "active",
    }
    keys |= {"teams", "routes", "inhibit", "escalation", "status_every", "mute_times", "smtp", *teams.MEDIA}
    assert {key for key in keys if key not in page("routing.md")} == set()


def test_the_page_names_files_and_defaults() -> None:
    """Where secrets are looked for, what the template is called, where the webhook is."""
    text = page("alertmanager.md")
    for word in (places.DEFAULTS.secrets, places.TEMPLATE_FILE, alertmanager.ALL_FILE, *places.DEFAULTS.webhook_urls):
        assert f"`{word}`" in text or f"/{word}`" in text


@pytest.mark.parametrize("name", ["policy.md", "routing.md", "alertmanager.md", "adoption.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a page is a file."""
    links = re.findall(r"\]\(([^)#]+)", page(name))
    assert [link for link in links if not (ROOT / "docs" / Path(link)).exists()] == []
