"""On a real Alertmanager each cause silences its symptoms, and only those of the same service."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.alertmanager.firing import alert, fingerprint, state
from tests.acceptance.alertmanager.systems import specs, write_config
from tests.tools import AlertmanagerServer, Generation, alertmanager_server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

CAUSES = (
    ("WorkerStalled", "RAGQueueLengthHigh"),
    ("WorkerStalled", "SlowRAGProcessing"),
    ("EmbeddingAPISlow", "SlowRAGProcessing"),
    ("RateLimitingSpike", "EmbeddingAPISlow"),
    ("RateLimitingSpike", "SlowRAGProcessing"),
    ("DLQEntriesIncreasing", "DLQBacklogHigh"),
    ("SSEStabilityLow", "SSEReconnectionSpike"),
    ("SSEStabilityLow", "UIErrorPanelSpike"),
)
TIERS = (("fast", "medium"), ("fast", "slow"), ("fast", "trickle"), ("medium", "slow"), ("slow", "trickle"))


@pytest.fixture(scope="module")
def server(generation: Generation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    """An Alertmanager with system D's configuration; tests leave no firing alert behind."""
    directory: Path = tmp_path_factory.mktemp(f"alertmanager-{generation.label}")
    with alertmanager_server(generation, directory, write_config(directory, specs()["generation-service"])) as running:
        yield running


def plain(name: str, service: str = "generation") -> dict[str, str]:
    """The labels of a plain alert; those that do not matter to inhibition are left out."""
    return {"alertname": name, "service": service}


def burning(tier: str, slo: str = "availability") -> dict[str, str]:
    """The labels of a burn-rate alert."""
    return {"alertname": "SLOBudgetBurn", "service": "generation", "slo": slo, "scope": "slos", "tier": tier}


def spent(share: str) -> dict[str, str]:
    """The labels of a budget alert."""
    labels = {"alertname": "SLOBudgetConsumed", "service": "generation", "slo": "availability", "scope": "slos"}
    return {**labels, "budget_consumed": share}


def fire_and_observe(server: AlertmanagerServer, cause: Mapping[str, str], symptom: Mapping[str, str]) -> list[str]:
    """The symptom's state: alone, with the cause, and after the cause; each is awaited."""
    seen = []
    try:
        server.post_alerts([alert(symptom)])
        seen.append(wait_until(lambda: known(server, symptom), 15, "the symptom is known")[0])
        server.post_alerts([alert(cause)])
        by = wait_until(lambda: state(server, symptom)[1], 15, "the cause silences the symptom")
        assert by == [fingerprint(server, cause)]
        seen.append(state(server, symptom)[0])
        server.post_alerts([alert(cause, resolved=True)])
        seen.append(wait_until(lambda: active(server, symptom), 15, "the symptom is heard again")[0])
    finally:
        server.post_alerts([alert(symptom, resolved=True), alert(cause, resolved=True)])
        wait_until(lambda: state(server, symptom)[0] == "absent", 15, "the symptom is gone")
        wait_until(lambda: state(server, cause)[0] == "absent", 15, "the cause is gone")
    return seen


def known(server: AlertmanagerServer, labels: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """The alert's state once Alertmanager has looked at it."""
    found = state(server, labels)
    return None if found[0] in {"absent", "unprocessed"} else found


def active(server: AlertmanagerServer, labels: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """The alert's state once it is announced."""
    found = state(server, labels)
    return found if found[0] == "active" else None


@pytest.mark.parametrize("cause,symptom", CAUSES)
def test_a_cause_silences_its_symptom(server: AlertmanagerServer, cause: str, symptom: str) -> None:
    """While the cause fires the symptom is suppressed by it, and not before nor after."""
    assert fire_and_observe(server, plain(cause), plain(symptom)) == ["active", "suppressed", "active"]


@pytest.mark.parametrize("faster,slower", TIERS)
def test_a_faster_tier_silences_the_slower_ones(server: AlertmanagerServer, faster: str, slower: str) -> None:
    """Of one SLO only the fastest burn is announced."""
    assert fire_and_observe(server, burning(faster), burning(slower)) == ["active", "suppressed", "active"]


def test_a_spent_budget_silences_half_a_budget(server: AlertmanagerServer) -> None:
    """100 % consumed says all that 50 % consumed could."""
    assert fire_and_observe(server, spent("100"), spent("50")) == ["active", "suppressed", "active"]


@pytest.mark.parametrize(
    "cause,other",
    [
        (plain("WorkerStalled"), plain("SlowRAGProcessing", "another-service")),
        (plain("SlowRAGProcessing"), plain("WorkerStalled")),
        (burning("fast"), burning("slow", slo="embedding")),
        (burning("slow"), burning("fast")),
    ],
    ids=["other service", "symptom over cause", "other SLO", "slower over faster"],
)
def test_nothing_else_is_silenced(
    server: AlertmanagerServer, cause: Mapping[str, str], other: Mapping[str, str]
) -> None:
    """The other alert stays active while the cause fires; a real symptom of it shows that inhibition was at work."""
    witness = plain("RAGQueueLengthHigh") if cause["alertname"] == "WorkerStalled" else burning("trickle")
    try:
        server.post_alerts([alert(other), alert(witness), alert(cause)])
        wait_until(lambda: known(server, other), 15, "the other alert is known")
        if cause["alertname"] != "SlowRAGProcessing":
            wait_until(lambda: state(server, witness)[1], 15, "the cause silences its symptom")
        wait_until(lambda: known(server, cause), 15, "the cause is known")
        assert state(server, other) == ("active", [])
    finally:
        server.post_alerts([alert(labels, resolved=True) for labels in (other, witness, cause)])
        wait_until(lambda: not server.alerts(), 15, "nothing fires any more")
