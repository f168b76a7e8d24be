"""Merging never changes who hears of an alert of other rules, on real Alertmanagers of both generations."""

import re
from collections.abc import Iterator, Mapping
from random import Random

import pytest

from freezeline.problems import Problems
from generator.existing.merge import merge, remove
from generator.render.alertmanager import alertmanager, places
from generator.render.alertmanager.alertmanager import Parts
from tests.acceptance.alertmanager import users_configs
from tests.acceptance.alertmanager.firing import alert
from tests.tools import ROOT, AlertmanagerServer, Generation, alertmanager_server
from tests.unit.generator.existing.test_merge import parts
from tests.unit.generator.spec.loading import BASE

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

OURS = ("freezeline", "freezeline-nobody")
ROUTED = 'routing: {teams: {a: {slack: "#a", email: a@example.org}}, routes: [{to: [a]}]}\n'
PAGED = (
    {"alertname": "Paged", "page": "yes"},
    {"alertname": "Released", "version": "1.10"},
    {"alertname": "Shifted", "shift": "08:30", "code": "010"},
)
# Of the service that the spec is about, but of other rules.
SERVICES = tuple({"alertname": "Hot", "service": "checkout", "severity": level} for level in ("critical", "warning"))
DATA = ROOT / "tests" / "data" / "alertmanager-configs"
Heard = Mapping[frozenset[tuple[str, str]], list[str]]


@pytest.fixture(scope="module")
def server(generation: Generation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    """An Alertmanager with sixty firing alerts, for configurations that replace each other."""
    directory = tmp_path_factory.mktemp(f"alertmanager-{generation.label}")
    (directory / places.TEMPLATE_FILE).write_text(alertmanager.template_text())
    (directory / "freezeline-webhook").write_text("a-token")
    first = "route: {receiver: a}\nreceivers: [{name: a}]\n"
    with alertmanager_server(generation, directory, first) as running:
        running.post_alerts([alert(labels) for labels in (*users_configs.alerts(Random(4), 60), *PAGED, *SERVICES)])
        yield running


def our_parts() -> Parts:
    """Parts with routes to people of the service `checkout`, which some alerts of other rules have too."""
    added = parts(ROUTED, base=BASE.replace("service: gateway", "service: checkout"))
    assert {"freezeline", "a-email-slack"} <= {receiver["name"] for receiver in added.receivers}
    return added


def heard(server: AlertmanagerServer, config: str) -> Heard:
    """Who hears of each alert under a configuration. Raises HTTPError if Alertmanager refuses the configuration."""
    (server.directory / "alertmanager.yml").write_bytes(config.encode())
    server.reload()
    return {
        frozenset(found["labels"].items()): [receiver["name"] for receiver in found["receivers"]]
        for found in server.alerts()
    }


def check(server: AlertmanagerServer, text: str) -> Heard:
    """Who hears of each alert; the same before the merge and after the merge."""
    added = our_parts()
    problems = Problems()
    merged = merge("alertmanager.yml", text, added, problems)
    assert merged is not None, (list(problems), text)
    before, after = heard(server, text), heard(server, merged.text)
    assert len(before) == 60 + len(PAGED) + len(SERVICES)
    theirs = {labels: [name for name in names if name not in OURS] for labels, names in after.items()}
    assert theirs == before, merged.text
    assert all(names[0] == "freezeline" for names in after.values())
    again = merge("alertmanager.yml", merged.text, added, problems)
    assert again is not None
    assert again.text == merged.text
    assert same_but_brackets(remove("alertmanager.yml", merged.text, problems) or "", text)
    return before


def same_but_brackets(one: str, other: str) -> bool:
    """Equal texts, if empty lists count as no lists, and a line end may be added to the last line."""

    def plain(text: str) -> str:
        return re.sub(r": (\[\]|)(?=\r?\n|$)", ":", text).rstrip("\r\n")

    return plain(one) == plain(other)


@pytest.mark.parametrize("seed", [1, 2])
def test_who_hears_stays_the_same(server: AlertmanagerServer, seed: int) -> None:
    """Generated configurations, merged with routes to people: each alert reaches the receivers that it reached."""
    random = Random(seed)
    found = [check(server, users_configs.texts(random)) for _ in range(25)]
    routed = sum(names != ["default"] for heard_of in found for names in heard_of.values())
    assert routed > 25 * 5  # the configurations do route alerts


@pytest.mark.soak
def test_who_hears_stays_the_same_at_length(server: AlertmanagerServer) -> None:
    """The same with many more configurations."""
    random = Random(3)
    for _ in range(3000):
        check(server, users_configs.texts(random))


def test_a_value_stays_a_text(server: AlertmanagerServer) -> None:
    """Routes with `continue` whose values YAML 1.1 knows as booleans, numbers and times."""
    found = check(server, (DATA / "yaml-1.1-values.yml").read_text())
    assert [found[frozenset(labels.items())] for labels in PAGED] == [["pager"]] * 3


@pytest.mark.parametrize("name", ["kube-prometheus", "mixed-line-ends", "document-end", "impossible-date"])
def test_a_file_that_people_have_is_merged(server: AlertmanagerServer, name: str) -> None:
    """Shortened files of other people."""
    check(server, (DATA / f"{name}.yml").read_bytes().decode())
