"""History without rules → `freezeline backfill` → a Prometheus on the blocks: long windows are right at once."""

import datetime as dt
import json
import math
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from benchmarks.history import Series, write_counters
from freezeline.cli import main
from generator import names, pipeline
from generator.prometheus.backfill_run import BackfillError, prepare
from tests.tools import Generation, PrometheusServer, prometheus_server
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400), pytest.mark.old_in_soak]

HOUR, DAY = 3600, 86_400
SCRAPE_S = 60
PAST_S = 31 * DAY
FLAGS = ["--storage.tsdb.retention.time=400d"]
SPEC = """apiVersion: freezeline/v1
service: shop
owner: {team: shop, slack: "#shop"}
defaults: {window: 30d, interval: 1m, scrape: 1m}
slos:
  availability:
    objective: 99.5
    sli: {bad: 'shop_requests_total{code="500"}', total: shop_requests_total}
  by-shop:
    objective: 99
    group_by: [job]
    sli: {good: 'shop_requests_total{code="200"}', total: shop_requests_total}
  this-month:
    objective: 99
    window: calendar month
    sli: {bad: 'shop_requests_total{code="500"}', total: shop_requests_total}
"""


class Past(Struct, frozen=True, kw_only=True):
    """Counters of a month with busy days, quiet nights and one incident at night. Times in seconds."""

    start: int
    end: int
    outage: tuple[int, int] = (0, 0)  # seconds after the start, in which nothing was scraped
    incident: int = 12 * DAY  # seconds after the start

    def times(self) -> range:
        """When targets were scraped."""
        return range(self.start, self.end, SCRAPE_S)

    def events(self) -> Iterator[tuple[int, int, int]]:
        """(time, good, bad) of each minute."""
        source = random.Random(7)
        for at in self.times():
            hour = at % DAY / HOUR
            pace = 30 + 25 * math.sin((hour - 6) / 24 * 2 * math.pi)
            total = int(pace * (0.9 + 0.2 * source.random()))
            incident = self.incident < at - self.start < self.incident + 4 * HOUR
            bad = total // 3 if incident else int(source.random() < 0.1)
            yield at, total - bad, bad

    def series(self) -> Iterator[Series]:
        """Both counters, as scraped."""
        good, bad = [], []
        sums = [0, 0]
        for at, more_good, more_bad in self.events():
            sums = [sums[0] + more_good, sums[1] + more_bad]
            if not self.outage[0] < at - self.start < self.outage[1]:
                good.append((float(at), float(sums[0])))
                bad.append((float(at), float(sums[1])))
        for code, samples in (("200", good), ("500", bad)):
            yield Series(labels={"job": "shop", "instance": "one", "code": code}, samples=samples)

    def ratio(self, since: float) -> float:
        """The true error ratio from some moment on."""
        counted = [(good, bad) for at, good, bad in self.events() if at > since]
        return sum(bad for _, bad in counted) / sum(good + bad for good, bad in counted)


def month_begins(at: float) -> float:
    """The beginning of the month of a moment, in UTC."""
    event = dt.datetime.fromtimestamp(at, dt.UTC)
    return event.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def config_with_rules(folder: Path) -> str:
    """The generated rules, sums and slow group evaluated each second: what they say is what they say at once."""
    loaded = pipeline.load_set([("shop.yaml", SPEC.encode())], "shop")
    for path, data in pipeline.render_set(loaded.output_set, ("rules",)).outputs.items():
        text = data.decode()
        assert "interval: 2m30s" in text or "self" in path or "freezeline" in path
        target = folder / Path(path).name
        for interval in ("2m30s", "15m"):
            text = text.replace(f"interval: {interval}\n", "interval: 1s\n")
        target.write_text(text)
    return 'rule_files: ["*.rules.yml"]\n'


def budget_ratio(server: PrometheusServer, slo: str) -> float | None:
    """The recorded ratio over the whole window; None while there is none."""
    query = f'{names.ERROR_RATIO}{{slo="{slo}",window="budget"}}'
    found = server.query(query)
    return float(found[0]["value"][1]) if found else None


def first_ratio(server: PrometheusServer, slo: str) -> float:
    """The first budget ratio that the live rules record."""
    return wait_until(lambda: budget_ratio(server, slo), 60, f"the ratio of {slo}")


def test_budget_is_right_at_once(generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rolling, grouped and calendar windows are within 0.1 % of the truth at the first evaluation afterwards."""
    now = int(time.time())
    past = Past(start=now - PAST_S, end=now - 4 * HOUR)
    found, at = after_backfill(generation, tmp_path, past, capsys)
    month, window = past.ratio(month_begins(at)), past.ratio(at - 30 * DAY)
    assert found["availability"] == pytest.approx(window, rel=0.001)
    assert found["by-shop"] == pytest.approx(window, rel=0.001)
    assert found["this-month"] == pytest.approx(month, rel=0.001)


def test_outage_of_the_past_is_repaired(
    generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A day without scrapes hides half of the incident; the counters know what happened.

    The days that are rebuilt begin at any time, as promtool chooses: test_day_borders.py tries such times.
    """
    now = int(time.time())
    start = (now - PAST_S) // DAY * DAY
    begin = 12 * DAY + 2 * HOUR
    past = Past(start=start, end=now - 4 * HOUR, outage=(begin, begin + 26 * HOUR))
    found, at = after_backfill(generation, tmp_path, past, capsys)
    assert found["availability"] == pytest.approx(past.ratio(at - 30 * DAY), rel=0.001)


def after_backfill(
    generation: Generation, tmp_path: Path, past: Past, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, float], float]:
    """The budget ratios that live rules record first, on blocks of the past; and when."""
    home, made = tmp_path / "prometheus", tmp_path / "made"
    (home / "data").mkdir(parents=True)
    write_counters(generation.promtool, home / "data", "shop_requests_total", past.series())
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC)
    with prometheus_server(generation, home, "", flags=FLAGS) as server:
        words = ["backfill", str(spec), "--prometheus", server.url, "--scope", "shop", "-o", str(made), "--json"]
        words += ["--promtool", str(generation.promtool), "--start", str(past.start), "--end", str(past.end)]
        assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["blocks"] == len(list(made.iterdir())) > 0
    for block in made.iterdir():
        shutil.move(block, home / "data" / block.name)
    with prometheus_server(generation, home, config_with_rules(home), flags=FLAGS) as server:
        found = {slo: first_ratio(server, slo) for slo in ("availability", "by-shop", "this-month")}
        return found, time.time()


def test_backfill_ends_where_live_rollups_begin(
    generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the live rules have recorded is not rebuilt: no five minutes count twice."""
    now = int(time.time())
    past = Past(start=now - 2 * DAY, end=now - 4 * HOUR)
    home = tmp_path / "prometheus"
    (home / "data").mkdir(parents=True)
    write_counters(generation.promtool, home / "data", "shop_requests_total", past.series())
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC)
    words = ["backfill", str(spec), "--scope", "shop", "--slo", "availability", "--promtool", str(generation.promtool)]
    # The first run stands for live rules that began 20 hours ago.
    for name, more in (("live", ["--start", "20h"]), ("before", ["--start", str(past.start), "--json"])):
        capsys.readouterr()
        with prometheus_server(generation, home, "", flags=FLAGS) as server:
            assert main([*words, *more, "--prometheus", server.url, "-o", str(tmp_path / name)]) == 0
        for block in (tmp_path / name).iterdir():
            shutil.move(block, home / "data" / block.name)
    parts = json.loads(capsys.readouterr().out)["parts"]
    ends = dt.datetime.fromisoformat(parts[0]["end"]).timestamp()
    over = int(time.time())
    assert now - 20 * HOUR - 600 < ends <= over - 20 * HOUR
    rollups = 'slo:total:rollup5m{slo="availability",repair=""}'
    with prometheus_server(generation, home, "", flags=FLAGS) as server:
        most = server.query(f"max_over_time(count_over_time({rollups}[5m])[2d:1m])", now)
        counted = server.query(f"count_over_time({rollups}[2d])", now)
        repaired = server.query('sum_over_time(slo:total:rollup5m{slo="availability",repair="gap"}[2d])', now)
        everything = server.query(f"sum_over_time({rollups}[2d])", now)
    # A repair at the seam adds what the seam itself misses: next to nothing.
    assert sum(float(item["value"][1]) for item in repaired) < 0.002 * float(everything[0]["value"][1])
    assert [item["value"][1] for item in most] == ["1"]
    assert float(counted[0]["value"][1]) == pytest.approx((2 * DAY - 4 * HOUR) / 300, abs=3)


def test_blocks_of_an_earlier_run_are_refused(tmp_path: Path) -> None:
    """A folder that holds something is left alone: its blocks would count twice."""
    (tmp_path / "block").mkdir()
    with pytest.raises(BackfillError, match="not an empty folder"):
        prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["block"]
