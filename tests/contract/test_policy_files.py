"""Every generated policy is one that the receiver takes: its schema, its names, its own reading of it."""

import json
from typing import Any

import jsonschema
import pytest

from freezeline.problems import Problems
from generator import pipeline
from generator.model.spec import Spec
from generator.render.policy import policy
from generator.spec.actions import EVENTS
from generator.write import files
from receiver.policy.read import parse_policy, schema
from tests.tools import ROOT
from tests.unit.generator.spec.loading import good

SPECS = sorted((ROOT / "slos").glob("*.yaml"))

EVERYTHING = """\
actions:
  freeze:
    flag: /var/lib/freezeline/gateway/FREEZE.FLAG
    legacy: [{on: [/opt/f, "on"], off: [/opt/f, "off"], timeout: 1500ms}, {file: /srv/frozen.txt, text: "x{reason}"}]
  rollback:
    command: [/opt/gateway/rollback.sh, "a b", ""]
    cwd: /opt/gateway
    env: {REGION: eu}
    timeout: 1d
    grace: 0s
    output_max_bytes: 0
    verify:  {command: [/opt/gateway/is-rolled-back.sh], done: [0, 3], not_done: [1]}
    release: {command: [/opt/gateway/current-release.sh]}
    once_per: release
    cooldown: 0s
    max_per_day: 1
    undo: {within: 60s}
  tell: {channels: [toast, log], fallback: [log], events: [frozen, dead_letter]}
policy:
  - {on: {alert: FailureRateHigh}, do: [freeze, rollback, tell]}
  - {on: {budget_consumed: 100%}, do: [freeze], until: {budget_remaining: 0%, held_for: 30m, max_age: 5m}}
  - {on: {alert: SLOBudgetBurn, slo: latency, tier: fast, labels: {route: "/p\\"ay"}}, do: [tell]}
  - id: all
    on: {severity: critical}
    do: [tell]
    until: {query: queue, max: -1.5e3, resolved_for: 0s, review_after: 1h}
canary:
  stages: [{weight: 100%, soak: 1h, then: {gate: true}}]
  gates: [{id: q, query: queue, max: 1}]
  on_abort: [freeze, rollback]
routing:
  teams:
    devops: {slack: "#war room", pagerduty: day0, email: day.0@example.org}
    lead:   {channels: [slack-lead]}
  routes: [{to: [{team: devops, by: [slack]}]}]
  escalation: [{after: 0s, to: devops}, {after: 90s, to: lead, ask: rollback}]
  status_every: 30m
targets: {rto: 300s}
""".replace('"#war room"', '"#war-room"')


def specs() -> list[Any]:
    """The shipped specs, and one that says everything that can be said."""
    loaded = pipeline.load_set(files.read(list(SPECS)), "slos")
    return [pytest.param(spec, id=spec.name) for spec in (*loaded.output_set.specs, good(EVERYTHING))]


def channels(compiled: dict[str, Any]) -> set[str]:
    """Every channel that a policy names."""
    found = {
        channel
        for action in compiled["actions"].values()
        for channel in (*action.get("channels", ()), *action.get("fallback", ()))
    }
    return found | {channel for level in compiled.get("escalation", ()) for channel in level["channels"]}


@pytest.mark.parametrize("spec", specs())
def test_a_generated_policy_fits_the_receivers_schema(spec: Spec) -> None:
    """The receiver owns the schema; additional keys are errors in it."""
    compiled = json.loads(json.dumps(policy.render(spec)))
    errors = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema()).iter_errors(compiled)
    ]
    assert errors == []


@pytest.mark.parametrize("spec", specs())
def test_the_receiver_reads_a_generated_policy(spec: Spec) -> None:
    """Names, patterns and numbers mean to the receiver what the spec means."""
    text = json.dumps(policy.render(spec))
    problems = Problems()
    read = parse_policy(text, file="policy.json", channels=channels(json.loads(text)), problems=problems)
    assert [problem.message for problem in problems] == []
    assert read is not None
    assert [rule.id for rule in read.rules] == [rule.id for rule in spec.policy]
    assert set(read.actions) == set(spec.actions)
    for rule, written in zip(read.rules, spec.policy, strict=True):
        assert rule.unfreeze.resolved_for_s * 1000 == written.unfreeze.resolved_for_ms
        assert rule.unfreeze.review_after_s * 1000 == written.unfreeze.review_after_ms


def test_generator_and_receiver_know_the_same_events() -> None:
    """The two halves never import each other; here they are held side by side."""
    known = schema()["$defs"]["notify"]["properties"]["events"]["items"]["enum"]
    assert sorted(EVENTS) == sorted(known)
