"""Series that come back, or change their labels, bring no events with them: nobody is paged for them."""

import json
from pathlib import Path

import pytest

from generator import pipeline
from generator.prometheus.promtool import find
from tests.tools import Generation

SPEC = b"""\
apiVersion: freezeline/v1
service: s
owner: {team: t, slack: "#x"}
slos:
  a: {objective: 99, sli: {bad: 'r_total{code="500"}', total: r_total}}
"""
HOUR_SAMPLES = 240  # scraped every 15 s
TRAFFIC = {"series": 'r_total{job="j",instance="i",code="200"}', "values": f"0+150x{4 * HOUR_SAMPLES}"}
BAD = 'r_total{job="j",instance="i",code="500"'
ERRORS = "sum(sum_over_time(slo:errors:rate5m[2h])) * 60"
BORN = f"_x{HOUR_SAMPLES} 7x{2 * HOUR_SAMPLES}"

# Name → the error series, and how many errors they show.
CASES = {
    "gone for fifteen minutes": ([(f"{BAD}}}", f"100000x{HOUR_SAMPLES} stale _x60 100000x{HOUR_SAMPLES}")], 0),
    "comes back with more": ([(f"{BAD}}}", f"100000x{HOUR_SAMPLES} stale _x60 100003x{HOUR_SAMPLES}")], 0),
    "a label is added": (
        [
            (f"{BAD}}}", f"100000x{HOUR_SAMPLES} stale"),
            (f'{BAD},version="2"}}', f"_x{HOUR_SAMPLES} _ 100000x{2 * HOUR_SAMPLES}"),
        ],
        0,
    ),
    "shown for ten minutes of each hour": (
        [(f"{BAD}}}", " ".join(f"{count}x40 stale _x{HOUR_SAMPLES - 42}" for count in (500, 501, 502, 503)))],
        0,
    ),
    "born with its first errors": ([(f"{BAD}}}", BORN)], 7),
    "born again after a restart": ([(f"{BAD}}}", f"57x{HOUR_SAMPLES} stale _x60 7x{HOUR_SAMPLES}")], 7),
}


def expected(expr: str, at: str, value: float) -> dict[str, object]:
    """A single value that promtool must find."""
    return {"expr": expr, "eval_time": at, "exp_samples": [{"value": value, "labels": "{}"}]}


@pytest.mark.parametrize("case", CASES)
def test_only_new_errors_count(case: str, generation: Generation, tmp_path: Path) -> None:
    """A count that was reached before is no new error; a first value on a known target is."""
    series, errors = CASES[case]
    loaded = pipeline.load_set([("slos/spec.yaml", SPEC)], "slos")
    assert list(loaded.problems) == []
    rendered = pipeline.render_set(loaded.output_set, ["rules"])
    paths = [path for path in rendered.outputs if not path.startswith("rules/freezeline")]
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(rendered.outputs[path])
    test = {
        "rule_files": paths,
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "15s",
                "input_series": [TRAFFIC, *({"series": name, "values": values} for name, values in series)],
                "promql_expr_test": [
                    expected(f"round({ERRORS}, 0.001)", "2h", errors),
                    expected('count(ALERTS{alertname="SLOBudgetBurn"}) or vector(0)', "80m", 0),
                ],
            }
        ],
    }
    (tmp_path / "numbers.test.yml").write_text(json.dumps(test))
    tool = find("promtool", environment={}, given=str(generation.promtool))
    outcome = tool.test_rules([Path("numbers.test.yml")], tmp_path)
    assert [message.text for message in outcome.messages] == []
    assert outcome.ok
