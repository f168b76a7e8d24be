"""The fast page is detected no later than with windows over raw counters."""

import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from generator import pipeline
from generator.render.rules import rules, shared
from tests.tools import Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

SPEC = b"""\
apiVersion: freezeline/v1
service: api
owner: {team: api}
defaults: {window: 30d, interval: 1m, scrape: SCRAPE}
slos:
  availability:
    objective: 99.5
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
"""
HEALTHY_MINUTES, BROKEN_MINUTES = 120, 60
# Two hours of health at 100 requests a scrape, then so many of them fail.
TEST = """\
rule_files: [spec.rules.yml, shared.rules.yml]
evaluation_interval: 1m
group_eval_order: [{groups}]
tests:
  - interval: {scrape_s}s
    input_series:
      - {{series: 'http_requests_total{{job="api",instance="a",code="200"}}', values: '{good}'}}
      - {{series: 'http_requests_total{{job="api",instance="a",code="500"}}', values: '{bad}'}}
    promql_expr_test:
      - expr: 'count(ALERTS{{alertname="SLOBudgetBurn",tier="fast",alertstate="firing"}})'
        eval_time: {at}m
        exp_samples: [{{labels: '{{}}', value: 1}}]
      - expr: 'count({raw})'
        eval_time: {before}m
        exp_samples: []
"""
RAW = 'sum(rate(http_requests_total{{code=~"5.."}}[{w}])) / sum(rate(http_requests_total[{w}])) > 14.4 * 0.005'


@pytest.mark.parametrize("scrape_s", [15, 30, 60])
@pytest.mark.parametrize("percent, minutes", [(100, 5), (50, 9), (20, 22)])
def test_fast_page_is_no_later_than_raw_windows(
    generation: Generation, tmp_path: Path, percent: int, minutes: int, scrape_s: int
) -> None:
    """It fires at the minute at which raw windows would; one minute before, raw windows do not breach yet."""
    loaded = pipeline.load_set([("spec.yaml", SPEC.replace(b"SCRAPE", b"%ds" % scrape_s))], scope="test")
    assert list(loaded.problems) == []
    spec = loaded.output_set.specs[0]
    profile = spec.slos[0].profile
    cadence = replace(profile.cadence, aligned=True)
    spec_file = rules.render(spec, loaded.output_set.scope, cadence)
    shared_file = shared.render(profile, loaded.output_set.scope, cadence)
    (tmp_path / "spec.rules.yml").write_text(spec_file.text()[0])
    (tmp_path / "shared.rules.yml").write_text(shared_file.text()[0])
    groups = ", ".join(group.name for file in (spec_file, shared_file) for group in file.groups)
    raw = " and ".join(f"({RAW.format(w=window)})" for window in ("5m", "1h"))
    healthy, broken = HEALTHY_MINUTES * 60 // scrape_s, BROKEN_MINUTES * 60 // scrape_s
    text = TEST.format(
        scrape_s=scrape_s,
        groups=groups,
        good=f"0+100x{healthy} {100 * healthy + 100 - percent}+{100 - percent}x{broken}",
        bad=f"0x{healthy} {percent}+{percent}x{broken}",
        at=HEALTHY_MINUTES + minutes,
        before=HEALTHY_MINUTES + minutes - 1,
        raw=raw,
    )
    (tmp_path / "test.yml").write_text(text)
    done = subprocess.run(
        [generation.promtool, "test", "rules", tmp_path / "test.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
