"""A backtest agrees with what the generated rules recorded: every rule is evaluated over 30 days, as live.

Without the repair of gaps, because the history has none.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import Recording, Series, Span, TimeMachine, write_counters
from generator import pipeline
from generator.backtest.fetch import Fetch
from generator.backtest.past import Backtest, backtest
from generator.checks import live
from generator.model.spec import OutputSet
from generator.render.rules import rules, shared
from generator.render.rules.gaps import is_gap_group
from generator.render.rules.rule_file import Group, Rule
from tests.acceptance.backtest.test_backtest_live import SPEC
from tests.tools import Generation, prometheus_server

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(900)]

MINUTE, HOUR, DAY = 60, 3600, 86400
DAYS, WINDOW, SCRAPE = 30, 7, 60
CONFIG = "storage: {tsdb: {out_of_order_time_window: 60d}}\n"
FLAGS = ("--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d", "--query.timeout=10m")


def groups(found: OutputSet) -> list[Group]:
    """Every group of rules, in the order in which the groups read each other."""
    (spec,) = found.specs
    own = [group for group in rules.render(spec, found.scope).groups if not is_gap_group(group.name)]
    together = [group for profile in found.profiles().values() for group in shared.render(profile, found.scope).groups]
    sums = [group for group in together if group.name.endswith("-sum")]
    return [*own, *sums, *(group for group in together if group not in sums)]


def recorded(server_url: str, found: OutputSet, begin: int, end: int) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Evaluate every recording rule, then each alert: when the alert's expression was true, by name and tier."""
    machine, fires = TimeMachine(server_url), {}
    alerts: list[tuple[Group, Rule]] = []
    for group in groups(found):
        step = group.interval_ms / 1000
        for rule in group.rules:
            if rule.alert:
                alerts.append((group, rule))
            else:
                span = Span(begin + step, float(end))
                machine.run([Recording(record=rule.record, expr=rule.expr, labels=rule.labels)], [span], step)
    for group, rule in alerts:
        key = (rule.alert, rule.labels.get("tier", "") + rule.labels.get("budget_consumed", ""))
        step = group.interval_ms // 1000
        fires[key] = merged(times(machine, rule.expr, end - DAYS * DAY, end, step), step)
    return fires


def times(machine: TimeMachine, expr: str, begin: int, end: int, step: int) -> Iterable[int]:
    """Every instant at which an expression was true."""
    for first in range(begin, end, 5 * DAY):
        last = min(end, first + 5 * DAY) - step
        for _, samples in machine._range(expr, Span(float(first), float(last)), float(step)):  # noqa: SLF001
            yield from (int(at) for at, _ in samples)


def merged(found: Iterable[int], step: int) -> list[tuple[int, int]]:
    """First and last instant of each time without a break."""
    spans: list[tuple[int, int]] = []
    for at in sorted(found):
        if spans and at - spans[-1][1] <= step:
            spans[-1] = (spans[-1][0], at)
        else:
            spans.append((at, at))
    return spans


def told(found: Backtest) -> Mapping[tuple[str, str], list[tuple[int, int]]]:
    """The same of the backtest."""
    return {
        (one.labels["alertname"], one.labels.get("tier", "") + one.labels.get("budget_consumed", "")): [
            (interval.start, interval.end) for interval in one.intervals
        ]
        for one in found.firings
    }


def test_every_alert_agrees_with_the_rules(current: Generation, tmp_path: Path) -> None:
    """Each alert as often, with begin and end within a few evaluations; the budget within 0.1 %."""
    end = int(time.time()) // DAY * DAY
    begin = end - (DAYS + WINDOW) * DAY
    incidents = ((end - 20 * DAY, 2 * HOUR, 0.05), (end - 10 * DAY, 20 * MINUTE, 0.5), (end - 3 * DAY, 6 * HOUR, 0.004))
    total: list[tuple[float, float]] = []
    errors: list[tuple[float, float]] = []
    requests = failed = 0.0
    for at in range(begin, end + SCRAPE, SCRAPE):
        share = next((bad for start, lasts, bad in incidents if start <= at < start + lasts), 0.0001)
        requests, failed = requests + 10 * SCRAPE, failed + 10 * SCRAPE * share
        total.append((float(at), requests))
        errors.append((float(at), failed))
    (tmp_path / "data").mkdir()
    for name, samples in (("shop_requests_total", total), ("shop_errors_total", errors)):
        write_counters(current.promtool, tmp_path / "data", name, [Series(labels={}, samples=samples)])
    loaded = pipeline.load_set([("shop.yaml", SPEC.encode())], "test")
    (spec,) = loaded.output_set.specs
    with prometheus_server(current, tmp_path, CONFIG, flags=FLAGS) as server:
        prometheus = live.connect(server.url)
        ours = backtest(spec, end - DAYS * DAY, end, Fetch(ask=prometheus.query_range, told=lambda *_: None))
        theirs = recorded(server.url, loaded.output_set, begin, end)
        remaining: Any = server.query('slo:error_budget_remaining{slo="requests"}', end - 60)
    found = told(ours)
    for key, spans in theirs.items():
        if key[0] == "SLONoData":
            assert spans == []
            continue
        assert len(found[key]) == len(spans), (key, found[key], spans)
        hold_s = 2 * MINUTE if key[0] == "TooManyErrors" else 0
        for (start, stop), (first, last) in zip(found[key], spans, strict=True):
            assert abs(start - first - hold_s) <= 8 * MINUTE, key
            assert abs(stop - last) <= 13 * MINUTE, key
    assert sum(map(len, theirs.values())) >= 8
    ((_, budget),) = ours.budgets
    assert budget.remaining[-1] == pytest.approx(float(remaining[0]["value"][1]), abs=0.001)
