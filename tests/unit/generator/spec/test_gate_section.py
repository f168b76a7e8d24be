"""The `gate` section: the spec's text, and the gate's data."""

from typing import Any

import pytest

from generator.render.policy import policy
from tests.unit.generator.spec.loading import found, good

DIGEST = "sha256:" + "0123456789abcdef" * 4


def rendered(*checks: str, sources: str = "{}") -> dict[str, Any]:
    """The compiled member."""
    member: Any = policy.render(good(section(*checks, sources=sources)))["gate"]
    return dict(member)


def section(*checks: str, sources: str = "{}") -> str:
    """A gate section of these checks."""
    return f"gate:\n  sources: {sources}\n  checks:\n" + "".join(f"    - {check}\n" for check in checks)


def test_sources_have_defaults() -> None:
    """Flag and Prometheus must be readable; the receiver may be down."""
    member = rendered("{id: not-frozen}", sources="{receiver: required}")
    assert member["sources"] == {"flag": "required", "prometheus": "required", "receiver": "required"}


@pytest.mark.parametrize(
    "check,compiled",
    [
        ("{id: not-frozen}", {"kind": "not-frozen"}),
        ("{id: rules-loaded}", {"kind": "rules-loaded", "rules": []}),
        (
            "{id: leaks, secrets: {report: leaks.json, max_age: 1d}}",
            {"kind": "secrets", "report": "leaks.json", "at_most": 0, "max_age_s": 86400},
        ),
        (
            "{id: quiet, none_firing: {severity: critical}}",
            {
                "kind": "none-firing",
                "match": [
                    {"label": "severity", "op": "=", "value": "critical"},
                    {"label": "service", "op": "=", "value": "gateway"},
                ],
            },
        ),
        (
            "{id: budget, slo: failures, remaining_at_least: 10%}",
            {
                "kind": "budget",
                "slo": "failures",
                "query": 'slo:error_budget_remaining{service="gateway",slo="failures"}',
                "op": ">=",
                "value": "0.1",
            },
        ),
        ('{id: pinned, image: "${IMAGE}"}', {"kind": "image-pinned", "image": "${IMAGE}"}),
        (f"{{id: pinned, image: 'app@{DIGEST}'}}", {"kind": "image-pinned", "image": f"app@{DIGEST}"}),
        (
            "{id: scan, trivy: trivy.json, at_most: {CRITICAL: 0, HIGH: 2}, max_age: 12h}",
            {
                "kind": "scan-clean",
                "trivy": "trivy.json",
                "at_most": {"CRITICAL": 0, "HIGH": 2},
                "max_age_s": 43200,
            },
        ),
        (
            "{id: fast, query: 'p95', max: 500ms}",
            {"kind": "query", "query": "p95", "unit": "seconds", "op": "<=", "value": "0.5"},
        ),
        (
            "{id: flags, flag_file: flags.json, present: [fallback, worker]}",
            {"kind": "flags", "flag_file": "flags.json", "present": ["fallback", "worker"]},
        ),
        (
            "{id: again, rehearsal: recovery, max_age: 7d, rto_at_most: 300s, rpo_at_most: 60m, integrity: true}",
            {
                "kind": "rehearsed",
                "rehearsal": "recovery",
                "max_age_s": 604800,
                "rto_at_most_s": 300,
                "rpo_at_most_s": 3600,
                "integrity": True,
            },
        ),
        (
            "{id: streams, rehearsal: stream, max_age: 1d, first_event_at_most: 500ms, connected_at_least: 95%}",
            {
                "kind": "rehearsed",
                "rehearsal": "stream",
                "max_age_s": 86400,
                "first_event_at_most_s": 0.5,
                "connected_at_least": "0.95",
            },
        ),
    ],
)
def test_each_kind_of_check_is_carried(check: str, compiled: dict[str, Any]) -> None:
    """A check's kind follows from its keys."""
    (member,) = rendered(check)["checks"]
    assert {key: value for key, value in member.items() if key != "id"} == compiled


@pytest.mark.parametrize(
    "check,code,place",
    [
        ("{id: something}", "gate/check", "{id: something}"),
        ("{id: both, query: x, max: 1, rehearsal: canary}", "gate/check", "{id: both"),
        ("{id: fast, query: x}", "gate/check", "{id: fast"),
        ("{id: budget, slo: failure, remaining_at_least: 10%}", "gate/unknown-slo", "{id: budget"),
        ("{id: budget, slo: failures, remaining_at_least: 100%}", "gate/budget", "100%"),
        ("{id: pinned, image: app:latest}", "gate/image", "app:latest"),
        ("{id: scan, trivy: t.json, same_digest_as: pinned}", "gate/unknown-check", "{id: scan"),
        ("{id: scan, trivy: t.json, at_most: {SEVERE: 0}}", "spec/unknown-key", "SEVERE"),
        ("{id: quiet, none_firing: {alert: Nothing}}", "gate/unknown-alert", "{id: quiet"),
        ("{id: quiet, none_firing: {severity: info}}", "gate/unknown-alert", "{id: quiet"),
        ("{id: flags, flag_file: f.json}", "gate/check", "{id: flags"),
        ("{id: again, rehearsal: dance, max_age: 7d}", "spec/type", "dance"),
        ("{id: not-frozen, fozen: true}", "spec/unknown-key", "fozen"),
    ],
)
def test_a_mistake_is_reported_where_it_stands(check: str, code: str, place: str) -> None:
    """Code and position of each mistake, each once."""
    problems = found(section(check))
    assert [(problem[0], problem[1].startswith(place)) for problem in problems] == [(code, True)]


def test_a_gate_without_checks_is_refused() -> None:
    """An empty gate would say GO to every release."""
    assert [code for code, _ in found("gate: {checks: []}\n")] == ["gate/empty"]


def test_two_checks_of_one_id_are_reported() -> None:
    """A verdict names checks by their ids."""
    assert found(section("{id: not-frozen}", "{id: not-frozen}"))[0][0] == "gate/duplicate-check"
