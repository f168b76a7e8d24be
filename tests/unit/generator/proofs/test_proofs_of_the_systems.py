"""Every alert of the five systems has all of its proofs. Which alerts there are is read from the shipped rule files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import pipeline
from generator.proofs import file as proofs
from generator.proofs.model import Test as Proof
from tests.tools import ROOT

SYSTEMS = sorted(path.stem for path in (ROOT / "slos").glob("*.yaml"))
BUDGET = "slo:error_budget"
# What each kind of alert must have been shown to do: levels at which it fires, and situations in which it is silent.
FIRES = {
    "SLOBudgetBurn": [r"1\.\d+ ×", "100 %"],
    "SLOBudgetConsumed": [r"1\.1 ×"],
    "SLONoData": ["everything gone"],
}
SILENT = {
    "SLOBudgetBurn": [r"at 0\.\d+ × the threshold.*", "on one bad (scrape|slice)"],
    "SLOBudgetConsumed": [r"at 0\.9 × the share"],
    "SLONoData": [],
}
# How many alerts of a system have a promise: `within:` in its spec.
PROMISES = {"canary-medium": 3, "day0-launch": 3, "failure-budget": 1}
PLAIN_FIRES = [r"1\.1 ×", "full breach"]
PLAIN_SILENT = [r"at 0\.9 × the threshold", r"on (one|\d+) bad (scrape|evaluations?)( in a row)?"]


def rule_file(path: Path) -> list[dict[str, Any]]:
    """The rules of a file."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def shipped_alerts(system: str) -> Iterator[str]:
    """`SLOBudgetBurn errors fast`, …: the system's own alerts, and those of the shared sets that its SLOs are in."""
    own = rule_file(ROOT / "rules" / f"{system}.rules.yml")
    yield from (rule["alert"] for rule in own if "alert" in rule)
    for slo, profile in {
        (rule["labels"]["slo"], rule["labels"]["profile"]) for rule in own if rule.get("record") == BUDGET
    }:
        for rule in rule_file(ROOT / "rules" / f"shared.{profile}.rules.yml"):
            if "alert" in rule:
                parts = [rule["alert"], slo, *(rule["labels"].get(name) for name in ("tier", "budget_consumed"))]
                yield " ".join(part for part in parts if part)


def made(system: str) -> proofs.Proofs:
    """The proofs of the system; that they are the committed ones, `generate --check` sees to."""
    name = f"slos/{system}.yaml"
    loaded = pipeline.load_set([(name, (ROOT / name).read_bytes())], "slos")
    return proofs.render(loaded.output_set.specs[0], "slos")


def all_tests(found: proofs.Proofs) -> list[Proof]:
    """Of all its files."""
    return [test for file in found.files for test in file.tests]


def lacking(wanted: list[str], shown: set[str]) -> list[str]:
    """The patterns that nothing matches."""
    return [pattern for pattern in wanted if not any(re.fullmatch(pattern, each) for each in shown)]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_alert_has_all_its_proofs(system: str) -> None:
    """Each fires within its promise just above its threshold and at a full breach, resets, and else is silent."""
    tests, missing, alerts = all_tests(made(system)), {}, sorted(shipped_alerts(system))
    for alert in alerts:
        kind = alert.split()[0]
        spans = [span for test in tests for span in test.spans if span.subject.title == alert]
        detected = {span.level for span in spans if span.what == "detected"}
        facts = {fact.text for test in tests for fact in test.facts if fact.subject.title == alert}
        lacks = lacking(FIRES.get(kind, PLAIN_FIRES), detected) + lacking(SILENT.get(kind, PLAIN_SILENT), facts)
        if not any(span.what == "reset" for span in spans):
            lacks.append("resets")
        if lacks:
            missing[alert] = lacks
    assert alerts
    assert missing == {}


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_is_left_unproven(system: str) -> None:
    """No gap, no warning, and no alert that is meant to fire at the first bad evaluation."""
    found = made(system)
    assert (found.gaps, found.intended, found.warnings()) == ((), (), [])


@pytest.mark.parametrize("system", SYSTEMS)
def test_promises_of_the_spec_are_what_is_proven(system: str) -> None:
    """An alert with `within:` fires by then after a full breach: the expectation stands at that time."""
    name = f"slos/{system}.yaml"
    spec = pipeline.load_set([(name, (ROOT / name).read_bytes())], "slos").output_set.specs[0]
    spans = [span for test in all_tests(made(system)) for span in test.spans if span.what == "detected"]
    promised = {alert.name: alert.within_ms for alert in spec.alerts if alert.within_ms is not None}
    assert len(promised) == PROMISES.get(system, 0)
    for name, within_ms in promised.items():
        (held,) = (span for span in spans if span.subject.title == name and span.level == "full breach")
        assert held.promised_ms == within_ms
        assert held.until_ms <= held.from_ms + within_ms
