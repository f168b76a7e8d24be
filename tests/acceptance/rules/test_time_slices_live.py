"""Slices of time in a real Prometheus whose evaluations fall anywhere: each slice of the clock counts once."""

import contextlib
import time
from pathlib import Path

import pytest

from generator import pipeline
from tests.acceptance.rules.service import running
from tests.tools import Generation, PrometheusServer, prometheus_server
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(200)]

SLICE_S, BASE_S = 2, 300
SPEC = f"""\
apiVersion: freezeline/v1
service: shop
owner: {{team: shop}}
defaults: {{interval: 1s, scrape: 500ms}}
slos:
  up: {{objective: 99.5, sli: {{good_when: 'up{{job="shop"}} == 1', slice: {SLICE_S}s}}}}
"""
CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}
rule_files: ["rules/*.rules.yml"]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["{address}"]}}]
"""


def slices(server: PrometheusServer, kind: str) -> float:
    """How many slices the base window holds: all (`total`) or bad ones (`errors`)."""
    found = server.query(f'slo:{kind}:rate5m{{slo="up"}}')
    return round(float(found[0]["value"][1]) * BASE_S, 6) if found else 0.0


def test_each_slice_counts_once(generation: Generation, tmp_path: Path) -> None:
    """As many slices as the clock has had since the first scrape, and as many bad ones as the outage touched."""
    loaded = pipeline.load_set([("slos/shop.yaml", SPEC.encode())], "slos")
    assert loaded.problems.errors == []
    for path, data in pipeline.render_set(loaded.output_set, ("rules",)).outputs.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    with contextlib.ExitStack() as target:
        address = target.enter_context(running(per_second=5)).address
        with prometheus_server(generation, tmp_path, CONFIG.format(address=address)) as server:
            wait_until(lambda: slices(server, "total") >= 4, 60, "four slices are over")
            assert slices(server, "errors") == 0
            target.close()
            stopped = time.time()
            wait_until(lambda: slices(server, "errors") >= 3, 60, "three slices are bad")
            first = "min(min_over_time(timestamp(up)[5m:1s]))"
            for kind, since in (("total", first), ("errors", f"vector({stopped:.3f})")):
                # Asked at one moment. One off: the slice at either end may be half over.
                expected = f"floor(vector(time()) / {SLICE_S}) - floor({since} / {SLICE_S})"
                counted = f'{BASE_S} * max(slo:{kind}:rate5m{{slo="up"}})'
                (off,) = server.query(f"abs({counted} - ({expected}))")
                assert float(off["value"][1]) <= 1.01, kind
