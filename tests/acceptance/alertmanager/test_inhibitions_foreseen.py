"""What `merge` foresees of existing inhibitions is what a real Alertmanager does to our alerts."""

import re
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from freezeline.problems import Problems
from generator.existing import inhibitions, matchers, our_alerts
from generator.existing.document import Document, mappings
from generator.existing.matchers import Matchers, accept
from generator.existing.merge import users_part
from generator.existing.our_alerts import OurAlert
from tests.acceptance.alertmanager.firing import alert
from tests.tools import AlertmanagerServer, Generation, alertmanager_server
from tests.unit.generator.existing.test_judge import output_set
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

HEAD = "route: {receiver: me}\nreceivers: [{name: me}]\ninhibit_rules:\n"
# These two say in each configuration that Alertmanager has looked at the alerts.
WITNESS = "- {source_match: {alertname: Cause}, target_match: {alertname: Symptom}}\n"
MATCHERS = (
    "severity=critical", "severity=~crit.*", "severity!=critical", "severity=warning", "severity=~warning|info",
    "alertname=SLOBudgetBurn", "alertname=~SLO.+", "service=search", "service!=search", "tier=slow", "tier=~fast|slow",
    "tier!=fast", "slo=latency", "slo=", "team=checkout", "budget_consumed=100",
    "severity=~critic", "tier=~low|ast", "slo!~late",
)  # fmt: skip
EQUAL = ("alertname", "service", "slo", "severity", "team", "tier", "cluster", "scope")


def rule(random: Random) -> str:
    """One inhibition."""
    source, target = (", ".join(f"'{one}'" for one in random.sample(MATCHERS, random.randrange(1, 3))) for _ in "st")
    equal = ", ".join(random.sample(EQUAL, random.randrange(3)))
    return f"- {{source_matchers: [{source}], target_matchers: [{target}], equal: [{equal}]}}\n"


@pytest.fixture(scope="module")
def server(generation: Generation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    """An Alertmanager with all alerts of two services firing."""
    directory = tmp_path_factory.mktemp(f"alertmanager-{generation.label}")
    with alertmanager_server(generation, directory, HEAD + WITNESS) as running:
        firing = [one.labels for one in our_alerts.of(output_set())]
        running.post_alerts([alert(labels) for labels in (*firing, {"alertname": "Cause"}, {"alertname": "Symptom"})])
        yield running


def suppressed(server: AlertmanagerServer) -> set[frozenset[tuple[str, str]]]:
    """The labels of the alerts that Alertmanager hides."""
    return {frozenset(one["labels"].items()) for one in server.alerts() if one["status"]["inhibitedBy"]}


def hidden(server: AlertmanagerServer) -> set[frozenset[tuple[str, str]]]:
    """The alerts of Freezeline that Alertmanager hides."""
    return {labels for labels in suppressed(server) if labels not in (CAUSE, SYMPTOM)}


def sides(document: Document) -> list[tuple[Matchers, Matchers]]:
    """Source and target of each inhibition."""
    rules = mappings(document.data["inhibit_rules"])
    return [(matchers.of(rule, "source_"), matchers.of(rule, "target_")) for rule in rules]


def compared(server: AlertmanagerServer, text: str, ours: Sequence[OurAlert]) -> int:
    """The number of hidden alerts, after a comparison of what is foreseen with what Alertmanager hides."""
    document = users_part("alertmanager.yml", text, Problems())
    assert document is not None
    foreseen = {frozenset(one.labels.items()) for one in inhibitions.hidden(document, ours)}
    (server.directory / "alertmanager.yml").write_text(text)
    server.reload()
    wait_until(lambda: SYMPTOM in suppressed(server), 10, "Alertmanager has looked at the alerts")
    # Where one alert matches both sides, Alertmanager 0.29 and later keep one source of several, by chance.
    if any(accept(side[0], one.labels) and accept(side[1], one.labels) for side in sides(document) for one in ours):
        assert hidden(server) <= foreseen, text
        return 0
    wait_until(lambda: hidden(server) == foreseen, 10, f"as foreseen: {text}")
    return len(foreseen)


CAUSE, SYMPTOM = (frozenset({("alertname", name)}) for name in ("Cause", "Symptom"))


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_what_is_foreseen_happens(server: AlertmanagerServer, seed: int) -> None:
    """For generated inhibitions, the alerts that one of ours hides are those that Alertmanager hides."""
    random, ours = Random(seed), our_alerts.of(output_set())
    seen = 0
    for _ in range(150 if seed == 1 else 2000):
        seen += compared(server, HEAD + rule(random) + WITNESS, ours)
    assert seen > 40


def test_the_alerts_have_data_labels_that_no_rule_compares() -> None:
    """The comparison above holds for alerts with known labels only; grouped SLOs have more."""
    named = {re.split("[=!]", one)[0] for one in MATCHERS} | set(EQUAL)
    assert not named & {label for one in our_alerts.of(output_set()) for label in one.data_labels}
