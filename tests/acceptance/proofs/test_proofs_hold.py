"""The generated proofs hold on both generations of promtool, for every system and every kind of SLI and condition."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import pipeline
from generator.prometheus.promtool import find
from generator.proofs.file import NATIVE_SUFFIX, NEWER_SINCE
from generator.units import DAY, parse_duration_ms
from tests.tools import ROOT, Generation

SYSTEMS = sorted(path.name for path in (ROOT / "slos").glob("*.yaml"))
KINDS = """\
apiVersion: freezeline/v1
service: kinds
owner: {team: payments}
defaults: {interval: 1m, scrape: 60s}
slos:
  grouped:
    objective: 99.9
    group_by: [route]
    sli: {bad: 'a_total{code=~"5..|429",route!~"/in.*"}', total: 'a_total{route!~"/in.*"}'}
  two-metrics: {objective: 99, window: 7d, sli: {bad: errs_total, total: 'reqs_total{env="prod"}'}}
  query:
    objective: 99.5
    sli: {bad: 'sum(rate(q_total{x="bad"}[$window]))', total: 'sum(rate(q_total[$window]))'}
  legacy:
    objective: 99.5
    sli: {error_ratio: 'avg_over_time(my:ratio[$window])', weight: 'sum(rate(t_total[$window]))'}
  unweighted: {objective: 99, sli: {error_ratio: '1 - avg_over_time(my:good[$window])'}}
  uptime:    {objective: 99.95, sli: {good_when: 'probe_success{job="bb"} == 1', slice: 1m}}
  freshness: {objective: 99, sli: {value: 'time() - export_last_success_seconds', max: 15m, slice: 1m}}
  native:    {objective: 99, sli: {histogram: native_seconds, below: 300ms, native: true}}
  whole-second: {objective: 95, sli: {histogram: one_seconds, below: 1s}}
  good-of-all: {objective: 99, sli: {good: good_total, total: all_total}}
  hours:     {objective: 99, window: 6h, sli: {bad: 's_total{x="1"}', total: s_total}}
  by-month:  {objective: 99, window: calendar month, tiers: off, sli: {bad: 'm_total{x="1"}', total: m_total}}
  own-tiers:
    objective: 99.9
    tiers: {quick: {share: 5%, long: 30m, short: 5m, severity: critical}, slower: {share: 10%, long: 12h, short: 1h}}
    sli: {bad: 'o_total{x="1"}', total: o_total}
alerts:
  Down:       {when: up == 0, for: 2m, severity: critical}
  ByRoute:
    ratio: {bad: 'r_total{code=~"5.."}', total: r_total}
    by: [route]
    over: 5m
    above: 1%
    for: 2m
    severity: critical
  Changes:    {changes_of: 'ready{condition="true"}', over: 10m, at_least: 3, severity: warning}
  Median:     {p50_of: latency_seconds, over: 10m, above: 100ms, severity: info}
  Accuracy:   {p50_of: accuracy_ratio, over: 10m, below: 0.4, severity: warning}
  NativeP99:  {p99_of: native_ms, native: true, over: 10m, above: 1s, for: 2m, severity: warning}
  NativeLow:  {p50_of: native_ratio, native: true, over: 10m, below: 0.4, for: 2m, severity: warning}
  InARow:     {when: 'error_rate_percentage > 1.0', consecutive: 3, severity: critical}
  Both:       {when: 'sum(rag_queue_length) > 0 and sum(worker_active_jobs) == 0', for: 5m, severity: warning}
  Slow:       {when: 'sum(rate(sent_total[5m])) < 0.5', for: 5m, severity: warning}
  Stale:      {when: 'time() - last_backup_seconds > 3600', for: 5m, severity: warning}
  Vanished:   {when: 'absent(up{job="y"}) == 1', for: 5m, severity: warning}
  Memory:     {when: '100 * (1 - node_free / node_total) > 85', consecutive: 2, severity: warning}
"""


def render(name: str, text: str, folder: Path) -> list[str]:
    """Write the rules and proofs of one spec into the folder; the test files' paths."""
    loaded = pipeline.load_set([(name, text.encode())], "proofs")
    assert loaded.problems.errors == []
    rendered = pipeline.render_set(loaded.output_set, ("rules", "proofs"))
    for path, data in rendered.outputs.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return sorted(path for path in rendered.outputs if path.endswith((".test.yml", NATIVE_SUFFIX)))


def failures(generation: Generation, folder: Path, tests: list[str]) -> list[str]:
    """What promtool says against the test files, those left out that it is too old for."""
    tool = find("promtool", environment={}, given=str(generation.promtool))
    fit = [Path(path) for path in tests if tool.version >= NEWER_SINCE or not path.endswith(NATIVE_SUFFIX)]
    return [message.text for message in tool.test_rules(fit, folder).messages] if fit else []


@pytest.mark.long
@pytest.mark.old_in_soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", SYSTEMS)
def test_proofs_of_the_systems_hold(name: str, generation: Generation, tmp_path: Path) -> None:
    """Every alert of the five systems fires, resets and is silent as promised."""
    tests = render(name, (ROOT / "slos" / name).read_text(encoding="utf-8"), tmp_path)
    assert tests
    assert failures(generation, tmp_path, tests) == []


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_proofs_of_every_kind_hold(generation: Generation, tmp_path: Path) -> None:
    """Every SLI type, windows of hours and days, tiers of one's own, all forms of conditions."""
    tests = render("slos/kinds.yaml", KINDS, tmp_path)
    assert failures(generation, tmp_path, tests) == []


def keep_short(path: Path) -> None:
    """Leave out of a test file what plays more than a day: rare bad slices take days to add up."""
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    short = [test for test in written["tests"] if last_look_ms(test) <= DAY]
    assert short
    path.write_text(json.dumps({**written, "tests": short}), encoding="utf-8")


def last_look_ms(test: dict[str, Any]) -> int:
    """The last moment at which a test expects something."""
    return max(parse_duration_ms(check["eval_time"]) for check in test["promql_expr_test"])


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", ["kinds.alerts.test.yml", "kinds.alerts.test-native.yml", "kinds.5m.test.yml"])
def test_short_proofs_of_every_kind_hold(part: str, generation: Generation, tmp_path: Path) -> None:
    """Of the same, what is quick: all forms of conditions, and what SLOs show within a day."""
    tests = [path for path in render("slos/kinds.yaml", KINDS, tmp_path) if path.endswith(f"/{part}")]
    assert len(tests) == 1
    keep_short(tmp_path / tests[0])
    assert failures(generation, tmp_path, tests) == []


def test_builds_pass_promtools_own_check(generation: Generation, tmp_path: Path) -> None:
    """The rules that are rendered for the proofs alone are rules like the others."""
    render("slos/kinds.yaml", KINDS, tmp_path)
    builds = sorted(path.relative_to(tmp_path) for path in tmp_path.glob("rules/tests/*.rules.yml"))
    assert builds
    tool = find("promtool", environment={}, given=str(generation.promtool))
    outcome = tool.check_rules(builds, tmp_path)
    assert (outcome.ok, outcome.messages) == (True, ())


@pytest.mark.parametrize("objective", ["95", "98", "99"])
def test_shares_of_bad_slices_hold_for_pages(objective: str, generation: Generation, tmp_path: Path) -> None:
    """The page's proofs for slices of a minute, with the default interval, at any budget.

    Prometheus 2 counts one slice more where an evaluation falls on the end of a slice, as in every test of promtool.
    """
    text = (
        "apiVersion: freezeline/v1\nservice: depth\nowner: {team: t}\ndefaults: {window: 28d}\nslos:\n"
        f"  depth: {{objective: {objective}, tiers: {{fast: {{}}}}, sli: {{value: sum(queue), max: 10, slice: 1m}}}}\n"
    )
    tests = render("slos/depth.yaml", text, tmp_path)
    for path in tests:
        keep_short(tmp_path / path)
    assert failures(generation, tmp_path, tests) == []
