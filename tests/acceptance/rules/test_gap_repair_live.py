"""Gap repair in a real Prometheus that is stopped in the middle of an incident and started again.

All intervals are scaled down from hours to seconds by the cadence alone; the expressions are the shipped ones.
"""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from generator import pipeline
from generator.model.burn import Cadence, Profile
from generator.model.spec import OutputSet
from generator.render.rules import rules, shared
from tests.acceptance.rules.service import Service, running
from tests.tools import Generation, PrometheusServer, prometheus_server
from tests.waiting import DeadlinePassedError, wait_until

# A minute and a half of waiting and hardly any work. The old generation only by `./dev soak`.
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.long,
    pytest.mark.parametrize("generation", ["current", pytest.param("old", marks=pytest.mark.soak)], indirect=True),
    pytest.mark.timeout(600),
]

SPEC = b"""\
apiVersion: freezeline/v1
service: gateway
owner: {team: gateway}
defaults: {window: 30d, interval: 1s, scrape: 500ms}
slos:
  failures:
    objective: 90
    tiers: off
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
"""
CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [spec.rules.yml, shared.rules.yml]
scrape_configs:
  - job_name: gateway
    static_configs: [{{targets: ["{address}"]}}]
"""
SPAN_S = 45
BASE_MS = 2500
LOOKBACK = ["--query.lookback-delta=2500ms"]  # as long as the base window, as without flags and at five minutes
CADENCE = Cadence(
    fast_ms=500,
    rollup_ms=2500,
    slow_ms=2500,
    sum_ms=5000,
    gap_ms=5000,
    gap_span_ms=SPAN_S * 1000,
    gap_look_ms=15_000,
    long_gap_ms=3_600_000,
)
OUTAGE_S = 12.5
INCIDENT_S = 5
PER_SECOND = 100
DEADLINE_S = 120
RATIO = 'slo:error_ratio{window="budget"}'
FIRST = "min by (code) (min_over_time(http_requests_total[1h]))"
ALLOWED = 0.03
REPAIRED = 'sum_over_time(slo:errors:rollup2s500ms{repair="gap"}[1m]) > 0'
UNREPAIRED = " / ".join(
    f'sum(sum_over_time(slo:{kind}:rollup2s500ms{{repair=""}}[1h]))' for kind in ("errors", "total")
)


def scaled(output_set: OutputSet) -> tuple[str, str]:
    """The rule files of the set with the base window and the cadence above."""
    spec = output_set.specs[0]
    profile: Profile = replace(spec.slos[0].profile, base_ms=BASE_MS, cadence=CADENCE)
    slos = tuple(replace(slo, profile=profile) for slo in spec.slos)
    spec_file = rules.render(replace(spec, slos=slos), output_set.scope)
    return spec_file.text()[0], shared.render(profile, output_set.scope).text()[0]


def value(server: PrometheusServer, query: str) -> float | None:
    """The single value of a query."""
    found = server.query(query)
    return float(found[0]["value"][1]) if found else None


def truth(server: PrometheusServer, service: Service) -> float:
    """The share of requests that failed since the first scrape; what was before it no monitoring can know."""
    first = {item["metric"]["code"]: float(item["value"][1]) for item in server.query(FIRST)}
    seen = {code: count - first.get(code, 0) for code, count in service.answered.items()}
    return seen["500"] / sum(seen.values())


def far_from_truth(server: PrometheusServer, service: Service) -> str:
    """The recorded budget ratio and the real one where they differ; scaled down, an edge of a second is a per cent."""
    recorded, really = value(server, RATIO), truth(server, service)
    close = recorded is not None and abs(recorded / really - 1) <= ALLOWED
    return "" if close else f"recorded {recorded}, really {really}"


def wait_for_truth(server: PrometheusServer, service: Service) -> None:
    """Wait until the budget is right. Raises DeadlinePassedError with the difference."""
    try:
        wait_until(lambda: not far_from_truth(server, service), DEADLINE_S, "the budget is right")
    except DeadlinePassedError as error:
        error.add_note(far_from_truth(server, service))
        raise


def test_budget_is_repaired_after_an_outage_inside_an_incident(generation: Generation, tmp_path: Path) -> None:
    """What was missed is added once Prometheus is back, from the raw counters; and it stays right afterwards."""
    loaded = pipeline.load_set([("spec.yaml", SPEC)], scope="live")
    spec_text, shared_text = scaled(loaded.output_set)
    (tmp_path / "spec.rules.yml").write_text(spec_text)
    (tmp_path / "shared.rules.yml").write_text(shared_text)
    with running(per_second=PER_SECOND) as service:
        service.fail_every = 100
        config = CONFIG.format(address=service.address)
        with prometheus_server(generation, tmp_path, config, flags=LOOKBACK) as server:
            old = f"slo:total:rate2s500ms offset {SPAN_S}s"
            wait_until(lambda: server.query(old), SPAN_S + DEADLINE_S, "the history is as long as the span")
            service.fail_every = 2
            before = sum(service.answered.values())
            wait_until(
                lambda: sum(service.answered.values()) > before + INCIDENT_S * PER_SECOND,
                DEADLINE_S,
                "the incident is five seconds old",
            )
        down_until = time.monotonic() + OUTAGE_S
        wait_until(lambda: time.monotonic() > down_until, OUTAGE_S + 5, "Prometheus is down in the middle of it")
        with prometheus_server(generation, tmp_path, config, flags=LOOKBACK) as server:
            service.fail_every = 100
            wait_until(lambda: server.query(REPAIRED), DEADLINE_S, "a gap is found")
            # What is recorded lags behind what happens by some seconds: let it catch up before comparing.
            service.paused = True
            wait_for_truth(server, service)
            unrepaired = value(server, UNREPAIRED)
            assert unrepaired is not None
            assert unrepaired < 0.85 * truth(server, service)
            later = time.monotonic() + 3 * CADENCE.gap_ms / 1000
            wait_until(lambda: time.monotonic() > later, 60, "three more looks for gaps")
            assert far_from_truth(server, service) == ""
