"""For each alert of the five systems amtool names exactly the receivers that the user asked for."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from freezeline.cli import main
from generator import pipeline
from generator.model import alert_labels
from generator.render.alertmanager import alertmanager, places
from generator.text import yaml_text
from generator.write import files
from tests.acceptance.alertmanager.systems import specs, write_config
from tests.tools import ROOT, Generation
from tests.unit.generator.existing.test_merge import USERS
from tests.unit.generator.spec.loading import good

EMAIL_AND_SLACK = "infrastructure-email-slack"
SLACK = "infrastructure-slack"

# system → alert, with what tells it apart → who is told beside the receiver
PLAIN: Mapping[str, Mapping[str, str]] = {
    "failure-budget": {"FailureRateHigh": "gateway-email-slack"},
    "canary-medium": {
        "ShopErrorsHigh": "shop-email-slack",
        "ShopLatencyHigh": "shop-email-slack",
        "ShopDown": "shop-email-slack",
        "ShopSlowing": "shop-email-slack",
    },
    "day0-launch": {
        "SSEFirstEventSlow": "devops-slack-pagerduty",
        "Http5xxHigh": "devops-slack-pagerduty",
        "ReadinessFlapping": "devops-slack",
    },
    "generation-service": {
        "DLQEntriesIncreasing": EMAIL_AND_SLACK,
        "HighRAGFailureRate": EMAIL_AND_SLACK,
        "RateLimitingSpike": EMAIL_AND_SLACK,
        "HighMemoryTokenUsage": EMAIL_AND_SLACK,
        "RAGQueueLengthHigh": SLACK,
        "SlowRAGProcessing": SLACK,
        "SSEReconnectionSpike": SLACK,
        "DLQBacklogHigh": SLACK,
        "SSEStabilityLow": SLACK,
        "UIErrorPanelSpike": "ui-slack",
        "EmbeddingAPISlow": SLACK,
        "WorkerStalled": SLACK,
    },
    "assistant-phase4": {},
}
# system → severity of an SLO's alert → who is told
OF_SLOS: Mapping[str, Mapping[str, str]] = {
    "failure-budget": {"critical": "gateway-email-slack", "warning": "gateway-email-slack"},
    "canary-medium": {"critical": "shop-email-slack", "warning": "shop-email-slack"},
    "day0-launch": {"critical": "devops-slack-pagerduty", "warning": "devops-slack"},
    "generation-service": {"critical": EMAIL_AND_SLACK, "warning": SLACK},
    "assistant-phase4": {"critical": "assistant-email-slack", "warning": "assistant-slack"},
}


def routed_to(generation: Generation, config: Path, labels: Mapping[str, str]) -> str:
    """What `amtool config routes test` says: receivers, joined by commas."""
    words = [f"{name}={value}" for name, value in labels.items()]
    argv = [str(generation.amtool), "config", "routes", "test", f"--config.file={config}", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def expected(system: str, labels: Mapping[str, str]) -> str:
    """The receivers by the tables above."""
    person = OF_SLOS[system][labels["severity"]] if "slo" in labels else PLAIN[system][labels["alertname"]]
    return f"freezeline,{person}"


@pytest.mark.parametrize("system", PLAIN)
def test_every_alert_reaches_exactly_its_receivers(system: str, generation: Generation, tmp_path: Path) -> None:
    """The receiver always, and the people of systems.md's list."""
    config = tmp_path / "alertmanager.yml"
    config.write_text(write_config(tmp_path, specs()[system]))
    alerts = alert_labels.of(specs()[system])
    assert {labels["alertname"] for labels in alerts if "slo" not in labels} == set(PLAIN[system])
    found = {tuple(labels.items()): routed_to(generation, config, labels) for labels in alerts}
    assert found == {tuple(labels.items()): expected(system, labels) for labels in alerts}


def test_the_merged_configuration_routes_as_the_single_ones(generation: Generation, tmp_path: Path) -> None:
    """One Alertmanager for all five systems sends each alert where its own configuration would."""
    config = tmp_path / "alertmanager.yml"
    (tmp_path / places.TEMPLATE_FILE).write_text(alertmanager.template_text())
    config.write_text(yaml_text.document(alertmanager.render_merged(specs().values())))
    for system, spec in specs().items():
        labels = alert_labels.of(spec)[0]
        assert routed_to(generation, config, labels) == expected(system, labels)


def test_the_watchdog_reaches_the_receiver_alone(generation: Generation, tmp_path: Path) -> None:
    """Nobody is told every 30 s that all is well."""
    config = tmp_path / "alertmanager.yml"
    config.write_text(write_config(tmp_path, specs()["generation-service"]))
    labels = {"alertname": "FreezelineWatchdog", "severity": "none", "service": "freezeline", "team": "freezeline"}
    assert routed_to(generation, config, labels) == "freezeline"


def test_alerts_about_freezeline_reach_people(generation: Generation, tmp_path: Path) -> None:
    """When the receiver is ill, those who rely on it hear of it as of their own alerts."""
    config = tmp_path / "alertmanager.yml"
    config.write_text(write_config(tmp_path, specs()["generation-service"]))
    labels = {"alertname": "FreezelineWatchdogLost", "severity": "critical", "service": "freezeline"}
    assert routed_to(generation, config, labels) == f"freezeline,{EMAIL_AND_SLACK}"


def test_an_alert_can_be_kept_from_the_receiver(generation: Generation, tmp_path: Path) -> None:
    """freezeline_policy="off" is announced to people only."""
    config = tmp_path / "alertmanager.yml"
    config.write_text(write_config(tmp_path, specs()["failure-budget"]))
    labels = {"alertname": "FailureRateHigh", "service": "gateway", "freezeline_policy": "off"}
    assert routed_to(generation, config, labels) == "gateway-email-slack"


def test_mute_times_and_mail_settings_are_accepted(generation: Generation, tmp_path: Path) -> None:
    """What the five systems do not use: each form of mute time, and a mail server with a login."""
    spec = good("""\
        routing:
          teams: {a: {slack: "#a", email: a@example.org, pagerduty: a}}
          routes: [{match: {severity: [critical, warning]}, to: [a], repeat: 12h, mute: [nights], active: [year]}]
          mute_times:
            nights: [{times: ["22:00-24:00"], location: Europe/Berlin}, {weekdays: ["monday:friday", sunday]}]
            year: [{years: ["2026:2027"], months: [december, "1:3"], days_of_month: ["1:-1", "15"]}]
          smtp: {smarthost: "mail.example.org:587", from: alerts@example.org, username: alerts}
        """)
    config = tmp_path / "alertmanager.yml"
    config.write_text(write_config(tmp_path, spec))
    argv = [str(generation.amtool), "check-config", str(config)]
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")


def test_merged_into_a_users_file_both_keep_their_routes(generation: Generation, tmp_path: Path) -> None:
    """Our alerts reach our receivers, the user's the user's, and the receiver hears of all."""
    users = tmp_path / "alertmanager.yml"
    audit = "  - receiver: dba\n    matchers: [audit=yes]\n    continue: true\n\nreceivers:"
    users.write_text(USERS.replace("\nreceivers:", audit))
    of_theirs = ({"team": "dba"}, {"alertname": "Other"}, {"audit": "yes"}, {"audit": "yes", "team": "dba"})
    before = [routed_to(generation, users, labels) for labels in of_theirs]
    argv = ["alertmanager", "merge", "--write", str(users), str(ROOT / "slos")]
    assert main(argv) == 0
    check = [str(generation.amtool), "check-config", str(users)]
    assert subprocess.run(check, capture_output=True, text=True, check=False, timeout=30).returncode == 0
    after = [routed_to(generation, users, labels) for labels in of_theirs]
    assert before == ["dba", "platform", "dba", "dba"]
    assert after == ["freezeline,dba", "freezeline,platform", "freezeline,dba,freezeline-nobody", "freezeline,dba"]
    for system, spec in specs().items():
        of_ours = list(alert_labels.of(spec))
        assert of_ours, system
        for labels in of_ours:
            assert routed_to(generation, users, labels) == expected(system, labels)


def test_every_configuration_is_accepted(generation: Generation, tmp_path: Path) -> None:
    """`amtool check-config` takes the committed form of each, templates included."""
    loaded = pipeline.load_set(files.read(files.find([str(ROOT / "slos")])), "slos")
    rendered = pipeline.render_set(loaded.output_set, ["alertmanager"])
    for path, content in rendered.outputs.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    configs = sorted(map(str, tmp_path.rglob("*.yml")))
    assert len(configs) == len(specs()) + 1
    result = subprocess.run(
        [str(generation.amtool), "check-config", *configs], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("Found 1 template") + result.stdout.count(" - 1 templates") == len(configs)
