"""`SLOBudgetConsumed` fires when the budget is spent, at no time earlier, and at most five minutes later.

The sums over the month are up to 15 minutes old; rollups and repairs come at any time between. For each SLO of the
test, the same Prometheus says when a sum over the whole month, made again every 15 seconds, would have seen the share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from msgspec import Struct

from benchmarks.history import Recording, Series, Span, TimeMachine
from benchmarks.month_rules import recordings
from generator import names
from generator.model import burn
from generator.model.burn import SloWindow
from generator.render.rules import shared
from generator.units import DAY, MINUTE
from tests.tools import Generation, PrometheusServer, prometheus_server

pytestmark = [pytest.mark.acceptance]

SCOPE = "late"
PROFILE = burn.profile(SloWindow(length_ms=30 * DAY), (), interval_ms=MINUTE)
TOTAL = 1e6
SPENT = 0.5 * 0.01 * TOTAL  # bad events that are half the budget of an objective of 99 %
AT_MOST_S = 300.0
PACE = PROFILE.cadence
SUM_S, ROLLUP_S, SLOW_S = PACE.sum_ms / 1000, PACE.rollup_ms / 1000, PACE.slow_ms / 1000
ORACLE_S = 15.0
BEGIN, END = -3600.0, 5400.0  # around the sum at which a case begins
NEVER = 1e12


class Case(Struct, frozen=True, kw_only=True):
    """One SLO: its rollups come `phase` seconds after a sum; each holds `share` of what is too much, from `first` on.

    `repair` is the time of a repair that holds all but a little of what is too much.
    """

    phase: float
    first: int
    share: float
    repair: float = NEVER

    @property
    def slo(self) -> str:
        """The name of the SLO."""
        return f"phase {self.phase:g} first {self.first} share {self.share:g} repair {self.repair:g}"


CASES = [
    Case(phase=phase, first=first, share=share)
    for phase, first, share in product((2.0, 80.0, 160.0, 295.0), (-1, 0, 1), (1.0, 0.6, 0.5, 0.35, 0.25, 0.125))
] + [Case(phase=80.0, first=4, share=0.3, repair=at) for at in (-700.0, -30.0, 30.0, 500.0)]


def labels(case: Case, name: str, **more: str) -> dict[str, str]:
    """The labels of one series of an SLO."""
    own = {names.SERVICE: "s", names.SLO: case.slo, names.SCOPE: SCOPE, names.PROFILE: PROFILE.name}
    return {"__name__": name, **own, **more}


def inputs(case: Case, at: float) -> Iterator[Series]:
    """What the rules of the spec would have recorded; `at` is the time of the sum at which the case begins."""
    rollups = [case.phase + index * ROLLUP_S for index in range(int(BEGIN / ROLLUP_S), int(END / ROLLUP_S))]
    bad = [case.share * SPENT if moment >= case.phase + case.first * ROLLUP_S else 0.0 for moment in rollups]
    yield Series(
        labels=labels(case, "slo:errors:rollup5m"),
        samples=[(at + moment, value / ROLLUP_S) for moment, value in zip(rollups, bad, strict=True)],
    )
    yield Series(
        labels=labels(case, "slo:total:rollup5m"),
        samples=[(at + moment, (TOTAL if moment == rollups[0] else 0.0) / ROLLUP_S) for moment in rollups],
    )
    if case.repair != NEVER:
        samples = [(at + case.repair, 0.9 * SPENT / ROLLUP_S)]
        yield Series(labels=labels(case, "slo:errors:rollup5m", repair="gap"), samples=samples)
    steady = [at + BEGIN + index * 60.0 for index in range(int((END - BEGIN) / 60.0))]
    yield Series(labels=labels(case, names.ERROR_BUDGET), samples=[(moment, 0.01) for moment in steady])
    yield Series(labels=labels(case, names.INFO, team="t"), samples=[(moment, 1.0) for moment in steady])


def evaluate(machine: TimeMachine, at: float) -> None:
    """All rules of the shared set, each group at its own pace, and the sum that is made all the time."""
    _, sums, slow = shared.render(PROFILE, SCOPE).groups
    machine.run(recordings([sums]), [Span(at + math.ceil(BEGIN / SUM_S) * SUM_S, at + END)], SUM_S)
    evaluations = [Span(at + BEGIN + 31.0, at + END)]
    machine.run(recordings([slow]), evaluations, SLOW_S)
    alerts = [rule.expr for rule in slow.rules if rule.labels.get(names.BUDGET_CONSUMED_LABEL) == "50"]
    assert len(alerts) == 1
    machine.run([Recording(record="test:alert", expr=alerts[0], labels={})], evaluations, SLOW_S)
    errors, total = (
        f'sum without (repair) (sum_over_time(slo:{kind}:rollup5m{{scope="{SCOPE}"}}[1d]))'
        for kind in names.KINDS[::-1]
    )
    oracle = Recording(record="test:spent", expr=f"{errors} / {total} >= 0.5 * {names.ERROR_BUDGET}", labels={})
    machine.run([oracle], [Span(at + BEGIN + ROLLUP_S, at + END)], ORACLE_S)


def first_seen(server: PrometheusServer, series: str, at: float) -> dict[str, float]:
    """For each SLO, seconds until the series appears."""
    found = server.query(f"min_over_time(timestamp({series})[{END - BEGIN:.0f}s:15s])", at + END)
    return {item["metric"]["slo"]: float(item["value"][1]) - at for item in found}


def test_consumed_budgets_alert_in_time(generation: Generation, tmp_path: Path) -> None:
    """For no phase of rollups, sums and evaluations is the alert earlier than the budget is spent, or late."""
    at = math.floor(time.time() / SUM_S) * SUM_S - 2 * SUM_S - END
    flags = ["--web.enable-remote-write-receiver"]
    config = "storage: {tsdb: {out_of_order_time_window: 1d}}\n"
    with prometheus_server(generation, tmp_path / "prometheus", config, flags=flags) as server:
        machine = TimeMachine(server.url)
        machine.remote_write(series for case in CASES for series in inputs(case, at))
        evaluate(machine, at)
        spent, alerted = (first_seen(server, series, at) for series in ("test:spent", "test:alert"))
    assert spent.keys() == {case.slo for case in CASES}
    late = {slo: alerted.get(slo, math.inf) - moment for slo, moment in spent.items()}
    assert {slo: seconds for slo, seconds in late.items() if not -ORACLE_S <= seconds <= AT_MOST_S} == {}
