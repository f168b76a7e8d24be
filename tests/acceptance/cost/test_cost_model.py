"""The model of cost against what a real Prometheus counts (`stats=all`) with 30 days of history."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.history import Recording, Series, TimeMachine, write_counters
from freezeline.cli import main
from generator import names, pipeline
from generator.model.spec import OutputSet
from generator.reports import cost
from generator.units import DAY as DAY_MS
from tests.tools import Generation, PrometheusServer, prometheus_server

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

DAY = 86_400.0
SCRAPE = 30.0
SCOPE = "cost"
SPEC = """apiVersion: freezeline/v1
service: shop
owner: {team: shop, slack: "#shop"}
defaults: {window: 30d, scrape: 30s}
slos:
  first:
    objective: 99.5
    sli: {bad: 'cost_requests_total{job="first",code=~"5.."}', total: 'cost_requests_total{job="first"}'}
  second:
    objective: 99
    sli: {good: 'cost_requests_total{job="second",code="200"}', total: 'cost_requests_total{job="second"}'}
  sliced:
    objective: 99
    sli: {good_when: 'sum(rate(cost_requests_total{job="first"}[5m])) > 0', slice: 1m}
alerts:
  Errors:
    ratio: {bad: 'cost_requests_total{code=~"5.."}', total: cost_requests_total}
    over: 5m
    above: 1%
    severity: critical
"""


def raw(end: float) -> Iterator[Series]:
    """Two jobs of four pods with three codes, for longer than any rule looks back to raw counters."""
    count = int(4 * DAY / SCRAPE)
    # Not on the edges of ranges: these are open on the left in Prometheus 3, and closed in 2.
    times = [end - (count - index) * SCRAPE + 11 for index in range(count)]
    for job in ("first", "second"):
        for pod in range(4):
            for code, slope in (("200", 30.0), ("404", 1.0), ("500", 0.1)):
                samples = [(at, float(int(slope * index))) for index, at in enumerate(times)]
                yield Series(labels={"job": job, "instance": f"pod-{pod}", "code": code}, samples=samples)


def recorded(output_set: OutputSet, end: float) -> Iterator[Series]:
    """What the rules would have recorded: base series of 26 hours, rollups of 30 days."""
    for slo in output_set.specs[0].slos:
        profile = slo.profile
        own = {"service": "shop", "slo": slo.name, "scope": SCOPE, "profile": profile.name}
        for kind in names.KINDS:
            base, rollup = profile.cadence.fast_ms / 1000, profile.cadence.rollup_ms / 1000
            yield steady(names.base(kind, profile.base_ms), own, end - 26 * 3600, end, base)
            yield steady(names.rollup(kind, profile.cadence.rollup_ms), own, end - 30 * DAY, end, rollup)
            every = profile.cadence.sum_ms / 1000
            for window in ("3d", names.BUDGET_WINDOW):
                labels = own | {names.WINDOW: window}
                yield steady(names.summed(kind), labels, end - 4 * 3600, end, every)
            if profile.repaired and slo.name != "sliced":
                yield steady(names.increase(kind, DAY_MS), own, end - 7200, end, 60)


def summed_at(output_set: OutputSet, end: float) -> Iterator[Series]:
    """When the sums over long windows were made."""
    for name, profile in output_set.profiles().items():
        labels = {"scope": SCOPE, "profile": name}
        yield steady(names.SUMMED_AT, labels, end - 4 * 3600, end, profile.cadence.sum_ms / 1000)


def steady(metric: str, own: dict[str, str], begin: float, end: float, step_s: float) -> Series:
    """The same value all the time, up to one second before the end."""
    count = int((end - begin) / step_s)
    samples = [(end - 1 - (count - 1 - index) * step_s, 0.25) for index in range(count)]
    return Series(labels={**own, "__name__": metric}, samples=samples)


def record_now(machine: TimeMachine, output_set: OutputSet, end: float) -> None:
    """Evaluate all recording rules but base, rollups and sums twice, so that rules which read others find them."""
    groups = [group for file in pipeline.rule_files(output_set) for group in file.groups]
    wanted = [
        Recording(record=rule.record, expr=rule.expr, labels=rule.labels)
        for group in groups
        for rule in group.rules
        if rule.record and not rule.record.endswith((":rollup5m", ":rate5m", ":sum", ":sum:time"))
    ]
    machine.run_in_order(wanted, [end - 62, end - 2])


def measured(server: PrometheusServer, costs: Sequence[cost.RuleCost], at: float) -> list[float]:
    """Samples that Prometheus counts for one evaluation of each rule."""
    found = []
    for one in costs:
        answer = server.get("/api/v1/query", {"query": one.expr, "time": f"{at:.3f}", "stats": "all"})
        found.append(float(answer["data"]["stats"]["samples"]["totalQueryableSamples"]))
    return found


def test_model_agrees_with_prometheus(
    generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each expensive rule is within 5 %, and all of them together within 3 %, of what Prometheus counts."""
    end = float(math.floor(time.time()))
    data = tmp_path / "prometheus" / "data"
    data.mkdir(parents=True)
    write_counters(generation.promtool, data, "cost_requests_total", raw(end))
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC)
    output_set = pipeline.load_set([("shop.yaml", SPEC.encode())], SCOPE).output_set
    counts = {"cost_requests_total": 24.0}
    for selector in cost.raw_selectors(output_set):
        of_one_job, of_one_code = "job=" in selector, "code=" in selector
        counts[selector] = (12.0 if of_one_job else 24.0) / (3 if of_one_code else 1)
        if selector.startswith("up{"):
            counts[selector] = 0.0  # nothing is scraped here
    costs = list(cost.rule_costs(output_set, cost.Assumptions(by_selector=counts)))
    config = "storage: {tsdb: {out_of_order_time_window: 60d}}\n"
    flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d"]
    with prometheus_server(generation, tmp_path / "prometheus", config, flags=flags) as server:
        machine = TimeMachine(server.url)
        machine.remote_write(recorded(output_set, end))
        machine.remote_write(summed_at(output_set, end))
        record_now(machine, output_set, end)
        real = measured(server, costs, end)
        code = main(["cost", str(spec), "--scope", SCOPE, "--prometheus", server.url, "--json"])
        assert code == 0
        shown = json.loads(capsys.readouterr().out)
    wrong = [
        (one.owner, one.name, dict(one.labels), one.counted, found)
        for one, found in zip(costs, real, strict=True)
        if one.owner != "self" and max(found, one.counted) >= 100 and abs(one.counted - found) > 0.05 * found
    ]
    assert wrong == []
    modelled = sum(one.counted * one.per_minute for one in costs)
    counted = sum(found * one.per_minute for one, found in zip(costs, real, strict=True))
    assert modelled == pytest.approx(counted, rel=0.03)
    assert sum("measured_samples" in rule for rule in shown["rules"]) == len(costs)
