"""An outage is repaired wherever the rebuilt days begin: promtool begins them at a time that nobody chose."""

from pathlib import Path

import pytest

from benchmarks.history import write_counters
from generator import pipeline
from generator.prometheus.backfill import gap_rules
from tests.acceptance.backfill.test_backfill import DAY, HOUR, SPEC, Past
from tests.tools import Generation, prometheus_server

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400), pytest.mark.old_in_soak]

FLAGS = ["--storage.tsdb.retention.time=100y"]
MINUTE = 60
START = 1_792_454_400  # a midnight in UTC
BEGIN = 2 * DAY + 2 * HOUR
NEARLY = {"total": 0.07, "errors": 0.03}
LATE_S = 150  # rules read raw counters as of then
LENGTHS = {"70 minutes": 70 * MINUTE, "26 hours": 26 * HOUR}
NEAR_S = (-2 * MINUTE, 0, 20, 2 * MINUTE, 4 * MINUTE, 10 * MINUTE)
"""A day's border so long after the outage began, or after it ended, as the counters are read."""


@pytest.mark.parametrize("length_s", LENGTHS.values(), ids=LENGTHS)
def test_an_outage_is_repaired_wherever_days_begin(generation: Generation, tmp_path: Path, length_s: int) -> None:
    """Each border cuts the past elsewhere. All days together add what the outage hid."""
    past = Past(start=START, end=START + 7 * DAY, outage=(BEGIN, BEGIN + length_s), incident=2 * DAY)
    hidden = [(good, bad) for at, good, bad in past.events() if BEGIN < at - START < BEGIN + length_s]
    bad, good = sum(bad for _, bad in hidden), sum(good for good, _ in hidden)
    truth = {"total": bad + good, "errors": bad}
    spec = pipeline.load_set([("shop.yaml", SPEC.encode())], "shop").output_set.specs[0]
    (slo,) = (slo for slo in spec.slos if slo.name == "availability")
    expressions = dict(zip(truth, (rule.expr for rule in gap_rules(spec, slo, "shop")), strict=True))
    near = [START + BEGIN + LATE_S + edge + after for edge in (0, length_s) for after in NEAR_S]
    wrong = {}
    (tmp_path / "data").mkdir()
    write_counters(generation.promtool, tmp_path / "data", "shop_requests_total", past.series())
    with prometheus_server(generation, tmp_path, "", flags=FLAGS) as server:
        for border in near:
            days = [border + day * DAY for day in range(-3, 4)]
            for kind, expression in expressions.items():
                added = [float(one["value"][1]) * 300 for at in days for one in server.query(expression, at)]
                if sum(added) != pytest.approx(truth[kind], rel=NEARLY[kind]):
                    wrong[border - START - BEGIN, kind] = (added, truth[kind])
    assert wrong == {}
