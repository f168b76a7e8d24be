"""`freezeline backtest` on a real Prometheus: 30 days of history, and alerts that Prometheus itself recorded."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import Series, write_counters
from generator import pipeline
from generator.units import duration_text
from tests.tools import ROOT, Generation, PrometheusServer, prometheus_server

pytestmark = [pytest.mark.acceptance]

MINUTE, HOUR, DAY = 60, 3600, 86400
END = 1_790_000_000 // DAY * DAY
DAYS, WINDOW = 30, 7
EVERY = 60
INCIDENTS = ((END - 20 * DAY, 2 * HOUR, 0.05), (END - 10 * DAY, 20 * MINUTE, 0.5), (END - 3 * DAY, 6 * HOUR, 0.004))
SPEC = """
apiVersion: freezeline/v1
service: shop
owner: {team: web}
defaults: {window: 7d, interval: 1m, scrape: 1m, runbook: "https://runbooks.example.org/{service}/{alert}"}
slos:
  requests: {objective: 99.9, sli: {bad: 'shop_errors_total', total: 'shop_requests_total'}}
alerts:
  TooManyErrors:
    {ratio: {bad: shop_errors_total, total: shop_requests_total}, over: 5m, above: 2%, for: 2m, severity: critical}
policy:
  - {on: {alert: TooManyErrors}, do: [freeze], until: {resolved_for: 10m}}
actions:
  freeze: {flag: /var/lib/freezeline-flags/shop/FREEZE.FLAG}
"""


def share(at: int) -> float:
    """How many of the requests fail."""
    return next((bad for begun, lasts, bad in INCIDENTS if begun <= at < begun + lasts), 0.0001)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, current: Generation) -> Iterator[PrometheusServer]:
    """Ten requests a second for 37 days, with three incidents."""
    root = tmp_path_factory.mktemp("past")
    total, errors = [], []
    requests = failed = 0.0
    for at in range(END - (DAYS + WINDOW) * DAY, END + EVERY, EVERY):
        requests, failed = requests + 10 * EVERY, failed + 10 * EVERY * share(at)
        total.append((float(at), requests))
        errors.append((float(at), failed))
    write_counters(current.promtool, root / "data", "shop_requests_total", [Series(labels={}, samples=total)])
    write_counters(current.promtool, root / "data", "shop_errors_total", [Series(labels={}, samples=errors)])
    flags = ("--storage.tsdb.retention.time=10y",)
    with prometheus_server(current, root, "global: {scrape_interval: 1m}\n", flags=flags) as server:
        yield server


def backtest(server: PrometheusServer, root: Path, *options: str, text: str = SPEC) -> Any:
    """What the command prints as JSON."""
    spec = root / "shop.yaml"
    spec.write_text(text)
    argv = ["backtest", str(spec), "--prometheus", server.url, "--days", str(DAYS), "--end", str(END), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "freezeline", *argv, "--pause", "0", *options],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def true_since(server: PrometheusServer, expr: str) -> list[tuple[int, int]]:
    """When an expression was true, as Prometheus says: first and last instant of each time, minute by minute."""
    found: list[tuple[int, int]] = []
    for first in range(END - DAYS * DAY, END, 5 * DAY):
        answer = server.get(
            "/api/v1/query_range",
            {"query": expr, "start": str(first), "end": str(first + 5 * DAY - EVERY), "step": str(EVERY)},
        )
        for at in sorted(int(at) for one in answer["data"]["result"] for at, _ in one["values"]):
            if found and at - found[-1][1] == EVERY:
                found[-1] = (found[-1][0], at)
            else:
                found.append((at, at))
    return found


def ratio(window: str) -> str:
    """The error ratio over a window, straight from the counters."""
    return f"(sum(increase(shop_errors_total[{window}])) / sum(increase(shop_requests_total[{window}])))"


def test_thirty_days(past: PrometheusServer, tmp_path: Path) -> None:
    """The plain alert to the minute, each tier within the time of a base window, and the budget within 0.1 %."""
    found = backtest(past, tmp_path, "--html", str(tmp_path / "page.html"), "--resume", str(tmp_path / "kept"))
    alerts = {(one["labels"]["alertname"], one["labels"].get("tier", "")): one["firings"] for one in found["alerts"]}
    wanted = true_since(past, f"{ratio('5m')} > 0.02")
    assert len(wanted) == 2
    assert [_times(one) for one in alerts["TooManyErrors", ""]] == [
        (begun + 2 * MINUTE, last + EVERY) for begun, last in wanted
    ]
    tiers = {tier: firings for (name, tier), firings in alerts.items() if name == "SLOBudgetBurn"}
    assert set(tiers) >= {"fast", "slow"}
    for tier, (factor, long, short) in _tiers().items():
        limit = factor * 0.001
        raw = true_since(past, f"{ratio(long)} > {limit} and {ratio(short)} > {limit}")
        assert len(tiers[tier]) == len(raw), tier
        for firing, (begun, last) in zip(tiers[tier], raw, strict=True):
            start, end = _times(firing)
            assert abs(start - begun) <= 5 * MINUTE
            assert abs(end - last) <= 6 * MINUTE
    (budget,) = found["budgets"]
    left = 1 - float(past.query(ratio(f"{WINDOW}d"), END)[0]["value"][1]) / 0.001
    assert budget["remaining"] == pytest.approx(left, abs=0.001)
    assert [(one["rule"], one["seconds"]) for one in found["freezes"]] == [
        (one["rule"], last - begun + EVERY - 2 * MINUTE + 10 * MINUTE)
        for one, (begun, last) in zip(found["freezes"], wanted, strict=True)
    ]
    assert (tmp_path / "page.html").read_text().count("<svg") == 2
    assert backtest(past, tmp_path, "--resume", str(tmp_path / "kept")) == found


def _times(firing: dict[str, Any]) -> tuple[int, int]:
    start, end = (int(datetime.fromisoformat(firing[key]).timestamp()) for key in ("start", "end"))
    return start, end


def _tiers() -> dict[str, tuple[float, str, str]]:
    """Each tier of the spec with its factor and windows."""
    loaded = pipeline.load_set([("shop.yaml", SPEC.encode())], "test")
    (slo,) = loaded.output_set.specs[0].slos
    return {
        tier.name: (float(tier.factor), duration_text(tier.long_ms), duration_text(tier.short_ms))
        for tier in slo.profile.tiers
    }


def test_suggestions_from_thirty_days(past: PrometheusServer, tmp_path: Path) -> None:
    """The diff fits the spec; the suggested spec keeps a fifth of its budget in the very same past."""
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC)
    argv = ["suggest", "shop.yaml", "--prometheus", past.url, "--days", str(DAYS), "--end", str(END), "--pause", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "freezeline", *argv],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "requests: 99.950 % reached; objective 99.9, suggested 99.8\n" in done.stderr
    subprocess.run(["patch", "shop.yaml"], input=done.stdout, text=True, check=True, cwd=tmp_path, timeout=20)
    assert {"objective: 99.8,", "above: 0.013%,"} <= set(re.findall(r"(?:objective|above): [^ ]+", spec.read_text()))
    (budget,) = backtest(past, tmp_path, text=spec.read_text())["budgets"]
    assert budget["lowest"] >= 0.19
