"""`freezeline gate` as a pipeline calls it: shipped specs, real Prometheus, files, exit codes and reports."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools import ROOT, Generation, PrometheusServer, prometheus_server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

SERVICE = "gateway"
SPEC = """\
apiVersion: freezeline/v1
service: gateway
owner: {team: edge}
slos:
  failures: {objective: 99.5, sli: {bad: 'requests_total{code="500"}', total: requests_total}}
alerts:
  Broken: {when: 'broken == 1', severity: critical}
  Slow: {when: 'slow == 1', severity: warning}
policy: [{on: {severity: critical}, do: [freeze]}]
actions: {freeze: {flag: FLAG}}
gate:
  checks:
    - {id: not-frozen}
    - {id: rules-loaded}
    - {id: no-critical, none_firing: {severity: critical}}
    - {id: budget, slo: failures, remaining_at_least: 10%}
    - {id: fast, query: 'min(speed)', min: 10}
    - {id: pinned, image: "${IMAGE}"}
"""
RULES = """\
groups:
  - name: stand-in
    interval: 1s
    rules:
      - {record: speed, expr: 'vector(VALUE)', labels: {pod: "a"}}
      - {record: broken, expr: 'vector(BROKEN)'}
      - {record: 'slo:error_budget_remaining', expr: 'vector(BUDGET)', labels: {service: gateway, slo: failures}}
"""
IMAGE = f"app@sha256:{'0123456789abcdef' * 4}"


class Pipeline:
    """A directory with the spec's artefacts, a flag directory, and a Prometheus that runs the rules."""

    def __init__(self, directory: Path) -> None:
        """Generate the artefacts."""
        self.directory = directory
        self.flag = directory / "flags" / "FREEZE.FLAG"
        self.flag.parent.mkdir()
        (directory / "slos").mkdir()
        (directory / "slos" / "gateway.yaml").write_text(SPEC.replace("FLAG", str(self.flag)))
        made = self.freezeline("generate", "slos")
        assert made.returncode == 0, made.stderr
        self.beat()

    def freezeline(self, *words: str, image: str = IMAGE) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        return subprocess.run(
            [sys.executable, "-m", "freezeline", *words],
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "IMAGE": image},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def beat(self) -> None:
        """A heartbeat of this moment."""
        content = {"at": datetime.now(UTC).isoformat(), "policies": {"gateway": "sha256:00"}}
        (self.flag.parent / "FREEZE.HEARTBEAT").write_text(json.dumps(content))

    def rules(self, *, speed: int = 50, broken: int = 0, budget: str = "0.5", leave_out: str = "") -> None:
        """The rule files for Prometheus: those generated (evaluated each second), and series to judge."""
        target = self.directory / "loaded"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        text = RULES.replace("VALUE", str(speed)).replace("BROKEN", str(broken)).replace("BUDGET", budget)
        (target / "stand-in.yml").write_text(text)
        for path in (self.directory / "rules").glob("*.yml"):
            groups = yaml.safe_load(path.read_text())["groups"]
            for group in groups:
                group["interval"] = "1s"
                group["rules"] = [one for one in group["rules"] if one.get("alert", "") != leave_out or not leave_out]
            (target / path.name).write_text(yaml.safe_dump({"groups": groups}))

    def gate(self, server: PrometheusServer, *words: str, image: str = IMAGE) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON report."""
        self.beat()
        ran = self.freezeline(
            "gate", "rules/policy/gateway.policy.json", "--prometheus", server.url, "--json", *words, image=image
        )
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """A pipeline."""
    return Pipeline(tmp_path)


CONFIG = "rule_files: [loaded/*.yml]\nglobal: {evaluation_interval: 1s}\n"


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    """Each check's verdict."""
    return {one["id"]: one["verdict"] for one in report["checks"]}


def reasons(report: dict[str, Any]) -> dict[str, str]:
    """Each check's reason."""
    return {one["id"]: one["reason"] for one in report["checks"]}


def settled(server: PrometheusServer, query: str) -> None:
    """Wait until a query has a result."""
    wait_until(lambda: server.query(query) or None, 30, query)


def test_every_check_that_asks_prometheus(pipeline: Pipeline, generation: Generation) -> None:
    """GO; then each check by itself is a NO, and the reasons are in the report."""
    pipeline.rules()
    with prometheus_server(generation, pipeline.directory, CONFIG) as server:
        settled(server, "speed == 50 and on() slo:error_budget_remaining")
        code, report = pipeline.gate(server, "--junit", "gate.xml", "--markdown", "gate.md")
        assert (code, report["verdict"], set(verdicts(report).values())) == (0, "GO", {"GO"}), reasons(report)
        assert "<testsuite" in (pipeline.directory / "gate.xml").read_text()
        assert "## GO: gateway" in (pipeline.directory / "gate.md").read_text()

        pipeline.rules(speed=5, broken=1, budget="0.09")
        server.reload()
        settled(server, 'speed == 5 and on() ALERTS{alertname="Broken",alertstate="firing"}')
        code, report = pipeline.gate(server, image="app:latest")
        assert (code, report["verdict"]) == (1, "NO_GO")
        wrong = {name for name, verdict in verdicts(report).items() if verdict == "NO_GO"}
        assert wrong == {"no-critical", "budget", "fast", "pinned"}
        why = reasons(report)
        assert why["no-critical"] == "firing: Broken"
        assert why["budget"].startswith("only 9 %")

        pipeline.rules(leave_out="Slow")
        server.reload()
        settled(server, "speed == 50")
        wait_until(lambda: not server.query('ALERTS{alertname="Broken"}'), 30, "the alert is over")
        code, report = pipeline.gate(server)
        assert (code, verdicts(report)["rules-loaded"]) == (1, "NO_GO")

        pipeline.flag.write_text("")
        assert pipeline.gate(server)[0] == 1
        pipeline.flag.unlink()
    code, report = pipeline.gate(server)
    assert (code, report["verdict"]) == (2, "CANNOT_TELL")


@pytest.mark.parametrize(
    "words",
    [
        ("gate",),
        ("gate", "no-such.json"),
        ("gate", "slos/gateway.yaml"),
        ("gate", "rules/policy/gateway.policy.json", "--nonsense"),
        ("gate", "rules/policy/gateway.policy.json", "--state", "nowhere"),
        ("gate", "rules/policy/gateway.policy.json", "--header", "Authorization:@nowhere"),
        ("gate", "rules/policy/gateway.policy.json", "--junit", "nowhere/gate.xml"),
    ],
)
def test_whatever_goes_wrong_cannot_tell(pipeline: Pipeline, words: tuple[str, ...]) -> None:
    """Never 0, and never 3: a pipeline ships on 0 only, and 1 is a NO of the evidence."""
    ran = pipeline.freezeline(*words)
    assert ran.returncode == 2, ran
    assert ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_shipped_rules_are_recognised(generation: Generation, tmp_path: Path) -> None:
    """What Prometheus prints of each shipped rule means what the policy says, on both generations."""
    (tmp_path / "loaded").mkdir()
    for path in (ROOT / "rules").glob("*.yml"):
        shutil.copy(path, tmp_path / "loaded")
    with prometheus_server(generation, tmp_path, CONFIG) as server:
        for name in ("canary-medium", "day0-launch"):
            policy = str(ROOT / "rules" / "policy" / f"{name}.policy.json")
            ran = subprocess.run(
                [sys.executable, "-m", "freezeline", "gate", policy, "--prometheus", server.url, "--json"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            report = json.loads(ran.stdout)
            found = {one["id"]: (one["verdict"], one["reason"]) for one in report["checks"]}
            assert found["rules-loaded"] == ("GO", "every rule is loaded")
            assert (ran.returncode, report["verdict"]) == (2, "CANNOT_TELL")
