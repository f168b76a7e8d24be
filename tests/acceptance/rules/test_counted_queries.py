"""Queries that people really write count every event, in an outage too: whatever is guarded, missing or spelled."""

import json
from pathlib import Path

import pytest

from freezeline.problems import Problems
from generator import pipeline
from generator.imports import IMPORTERS, assemble
from generator.imports.base import Found, Options
from generator.prometheus.promtool import find
from tests.tools import Generation

HEAD = "apiVersion: freezeline/v1\nservice: s\nowner: {team: t, slack: '#x'}\nslos:\n"
TARGET = 'job="j",instance="i"'
RATIO = "sum by (slo) (slo:errors:rate5m) / sum by (slo) (slo:total:rate5m)"
PAGES = 'count by (slo) (ALERTS{alertname="SLOBudgetBurn",alertstate="firing",severity="critical"})'
# In a total outage all four tiers fire, and both alerts of a spent budget: the SLO is imported with all of them.
FIRING = 'count by (slo, alertname) (ALERTS{alertstate="firing"})'
SILENCE = 'count by (slo) (ALERTS{alertname="SLONoData",alertstate="firing"})'
SIX_HOURS = "sum by (slo) (sum_over_time(slo:errors:rate5m[6h])) / sum by (slo) (sum_over_time(slo:total:rate5m[6h]))"

pytestmark = [pytest.mark.old_in_soak, pytest.mark.timeout(600)]  # hours of promtool's time, on a busy machine

Series = list[tuple[str, str]]
Checks = list[tuple[str, str, dict[str, float]]]


def all_fire(*slos: str) -> dict[str, float]:
    """What fires in a total outage for SLOs without a guard."""
    counts = (("SLOBudgetBurn", 4.0), ("SLOBudgetConsumed", 2.0))
    return {f'{slo}",alertname="{alert}': count for slo in slos for alert, count in counts}


def sloth(*queries: tuple[str, str, str]) -> bytes:
    """A file of Sloth with SLOs given by name, error query and total query."""
    slos = [
        {
            "name": name,
            "objective": 99,
            "sli": {"events": {"error_query": bad, "total_query": total}},
            "alerting": {"name": "A"},
        }
        for name, bad, total in queries
    ]
    return json.dumps({"version": "prometheus/v1", "service": "s", "labels": {"owner": "t"}, "slos": slos}).encode()


def openslo(name: str, good: str, total: str, *, counter: bool) -> bytes:
    """An object of OpenSLO with good and total."""
    queries = {"good": good, "total": total}
    metrics = {key: {"metricSource": {"type": "Prometheus", "spec": {"query": text}}} for key, text in queries.items()}
    indicator = {"metadata": {"name": name}, "spec": {"ratioMetric": {"counter": counter, **metrics}}}
    spec = {
        "service": "s",
        "budgetingMethod": "Occurrences",
        "timeWindow": [{"duration": "30d", "isRolling": True}],
        "indicator": indicator,
        "objectives": [{"target": 0.99}],
    }
    labels = {"name": name, "labels": {"team": "t"}}
    return json.dumps({"apiVersion": "openslo/v1", "kind": "SLO", "metadata": labels, "spec": spec}).encode()


def own(*slis: tuple[str, str]) -> bytes:
    """A spec with SLOs given by name and SLI."""
    return (HEAD + "".join(f"  {name}: {{objective: 99, sli: {sli}}}\n" for name, sli in slis)).encode()


DOWN: Series = [(f'up{{job="web",instance="{name}"}}', "0x500") for name in "ab"]
RARE = (f'req_total{{code="500",{TARGET}}}', " ".join(f"{count}x39" for count in range(60)))
REPLICAS: Series = [
    ('unavailable{deployment="a"}', "1x200"),
    ('unavailable{deployment="b"}', "0x200"),
    ('replicas{deployment="a"}', "1x200"),
    ('replicas{deployment="b"}', "9x200"),
]
CLUSTERS: Series = [
    (f'req_total{{cluster="{cluster}",code="{code}",{TARGET}}}', f"0+{step}x500")
    for cluster, code, step in (("small", 500, 15), ("small", 200, 0), ("big", 500, 0), ("big", 200, 2985))
]
BUCKETS: Series = [
    (f"bytes_count{{{TARGET}}}", "0+10x200"),
    (f'bytes_bucket{{{TARGET},le="1.0E7"}}', "0+9x200"),
    (f"call_seconds_count{{{TARGET}}}", "0+10x200"),
    (f'call_seconds_bucket{{{TARGET},le="5.0E-4"}}', "0+9x200"),
    (f"wait_seconds_count{{{TARGET}}}", "0+10x200"),
    (f'wait_seconds_bucket{{{TARGET},le="1.0"}}', "0+9x200"),
]
ALL_FAIL: Series = [(f'req_total{{code="500",{TARGET}}}', "0+15x500")]
QUIET: Series = [(f'req_total{{code="200",{TARGET}}}', "0+15x120 1800+0x1200")]
ERRORS = 'sum(rate(req_total{code="500"}[{{.window}}]))'
TOTAL = "sum(rate(req_total[{{.window}}]))"


def slow(name: str, bound: str) -> str:
    """The observations above a bucket's bound, as Sloth's users write them."""
    return f'{count(name)} - sum(rate({name}_bucket{{le="{bound}"}}[{{{{.window}}}}]))'


def count(name: str) -> str:
    """All observations of a histogram."""
    return f"sum(rate({name}_count[{{{{.window}}}}]))"


def by_cluster(code: int = 0) -> str:
    """The requests of each cluster, or only those with a status code."""
    matcher = f'{{code="{code}"}}' if code else ""
    return f"sum(rate(req_total{matcher}[{{{{.window}}}}])) by (cluster)"


# Name → (tool, file, series, what promtool finds: query, time, value of each SLO).
CASES: dict[str, tuple[str, bytes, Series, Checks]] = {
    "good is a count that vanishes": (
        "openslo",
        openslo("up", 'count(up{job="web"} == 1)', 'count(up{job="web"})', counter=False),
        DOWN,
        [(RATIO, "2h", {"up": 1}), (PAGES, "2h", {"up": 2}), (FIRING, "2h", all_fire("up"))],
    ),
    "good is a filtered subquery": (
        "openslo",
        openslo(
            "age", "count_over_time((age < 900)[{{.window}}:1m])", "count_over_time(age[{{.window}}:1m])", counter=True
        ),
        [('age{queue="q"}', "5000x500")],
        [(RATIO, "2h", {"age": 1}), (PAGES, "2h", {"age": 2}), (FIRING, "2h", all_fire("age"))],
    ),
    "an error ratio of one's own, whose good side vanishes": (
        "",
        own(
            ("plain", "{error_ratio: '1 - count(up == 1) / count(up)'}"),
            ("weighted", "{error_ratio: '1 - count(up == 1) / count(up)', weight: count(up)}"),
            ("other", "{error_ratio: '(1 - (count(up == 1) / count(up))) or vector(0)', weight: 'sum(up) + 5'}"),
        ),
        DOWN,
        [
            (RATIO, "2h", {"plain": 1, "weighted": 1, "other": 1}),
            (PAGES, "2h", {"plain": 2, "weighted": 2, "other": 2}),
        ],
    ),
    "a group that only one side of the ratio has": (
        "",
        own(
            (
                "codes",
                (
                    "{error_ratio: 'sum by (code) (rate(bad_total[$window])) / ignoring (code) group_left ()"
                    " sum(rate(all_total[$window]))'}, group_by: [code]"
                ),
            )
        ),
        [
            (f'bad_total{{code="500",{TARGET}}}', "0+1x200"),
            (f'bad_total{{code="502",{TARGET}}}', "0+2x200"),
            (f"all_total{{{TARGET}}}", "0+4x200"),
        ],
        [(RATIO.replace("(slo)", "(slo, code)"), "40m", {'codes",code="500': 0.25, 'codes",code="502': 0.5})],
    ),
    "total less a good part that never existed": (
        "",
        own(
            (
                "plain",
                (
                    "{bad: 'sum(rate(req_total[$window])) - sum(rate(req_total{code=\"200\"}[$window]))', "
                    "total: 'sum(rate(req_total[$window]))'}"
                ),
            ),
            (
                "added",
                (
                    "{bad: 'sum(rate(req_total{code=\"500\"}[$window])) + sum(rate(timeouts_total[$window]))', "
                    "total: 'sum(rate(req_total[$window]))'}"
                ),
            ),
            (
                "good",
                (
                    "{good: 'sum(rate(req_total{code=\"200\"}[$window])) + sum(rate(cached_total[$window]))', "
                    "total: 'sum(rate(req_total[$window]))'}"
                ),
            ),
        ),
        ALL_FAIL,
        [
            (RATIO, "1h", {"plain": 1, "added": 1, "good": 1}),
            (PAGES, "2h", {"plain": 2, "added": 2, "good": 2}),
            (FIRING, "2h", all_fire("plain", "added", "good")),
        ],
    ),
    "idle time as one event": (
        "sloth",
        sloth(
            ("idiom", f"{ERRORS} or on() vector(0)", f"({TOTAL} > 0) or on() vector(1)"),
            ("plain", ERRORS, TOTAL),
            ("inside", ERRORS, "sum(rate(req_total[{{.window}}]) > 0) or vector(0)"),
        ),
        [RARE],
        [(SIX_HOURS, "8h", {"idiom": 1, "plain": 1, "inside": 1})],
    ),
    "a quiet night": (
        "sloth",
        sloth(("guarded", ERRORS, f"{TOTAL} > 0"), ("unless", ERRORS, f"{TOTAL} unless {TOTAL} == 0")),
        QUIET,
        [(SILENCE, "3h", {}), ("count by (slo) (slo:total:rate5m)", "3h", {"guarded": 1, "unless": 1})],
    ),
    "a guarded total of one's own, with nothing there": (
        "",
        own(
            (
                "gone",
                (
                    "{bad: 'sum(rate(no_total{code=\"500\"}[$window])) or vector(0)', "
                    "total: '(sum(rate(no_total[$window])) > 0) or vector(1)'}"
                ),
            )
        ),
        ALL_FAIL,
        [(SILENCE, "1h", {"gone": 1})],
    ),
    "several series behind a ratio": (
        "sloth",
        sloth(
            ("replicas", "sum_over_time(unavailable[{{.window}}])", "sum_over_time(replicas[{{.window}}])"),
            (
                "clusters",
                "sum((1 - avg_over_time(ready[{{.window}}])) > 0.33) by (cluster)",
                "count(avg_over_time(ready[{{.window}}])) by (cluster)",
            ),
        ),
        REPLICAS + [(f'ready{{cluster="c{number}"}}', f"{int(number > 0)}x200") for number in range(20)],
        [(RATIO, "30m", {"replicas": 0.1, "clusters": 0.05})],
    ),
    "groups": (
        "sloth",
        sloth(
            (
                "clamped",
                f"clamp_min({by_cluster()} - {by_cluster(200)}, 0)",
                by_cluster(),
            ),
        ),
        CLUSTERS,
        [(PAGES.replace("(slo)", "(slo, cluster)"), "2h", {'clamped",cluster="small': 2})],
    ),
    "buckets as Java spells them, and as Prometheus 3 does": (
        "sloth",
        sloth(
            ("size", slow("bytes", "1.0E7"), count("bytes")),
            ("fast", slow("call_seconds", "5.0E-4"), count("call_seconds")),
            ("wait", slow("wait_seconds", "1"), f"({count('wait_seconds')}) * 1"),
        ),
        BUCKETS,
        # Bad events are a difference of two rates, so the last bits depend on how promtool rounds: 0.09999999999999998.
        [(f"round({RATIO}, 1e-12)", "30m", {"size": 0.1, "fast": 0.1, "wait": 0.1})],
    ),
    "an alert's query by service, as the hint of the refused one says": (
        "",
        b"""apiVersion: freezeline/v1
service: shop
owner: {team: web}
alerts:
  BackendErrors:
    when: >-
      sum by (exported_service)
      (label_replace(rate(errors_total[5m]), "exported_service", "$1", "service", "(.*)")) > 1
    severity: critical
""",
        [(f'errors_total{{service="{service}",{TARGET}}}', "0+60x100") for service in ("cart", "pay")],
        [
            (
                'count by (slo, exported_service) (label_replace(ALERTS, "slo", "$1", "alertname", "(.*)"))',
                "20m",
                {f'BackendErrors",exported_service="{service}': 1 for service in ("cart", "pay")},
            )
        ],
    ),
    "comments and backticks": (
        "",
        own(
            (
                "end",
                (
                    '{bad: "sum(rate(req_total{code=~`5\\\\d+`}[$window])) # only errors", '
                    'total: "# all\\nsum(rate(req_total[$window]))"}'
                ),
            ),
            ("raw", "{bad: 'req_total{code=~`5\\d+`}', total: 'req_total{code!=`\\n`}'}"),
        ),
        ALL_FAIL,
        [(RATIO, "1h", {"end": 1, "raw": 1})],
    ),
}


def spec_of(tool: str, text: bytes) -> bytes:
    """The spec that an import writes, or the spec itself."""
    if not tool:
        return text
    found = Found(problems=Problems(), options=Options())
    outcome = assemble.run(IMPORTERS[tool], [("foreign.yaml", text)], found)
    assert [problem for problem in found.problems if not problem.warning] == []
    [spec] = outcome.specs.values()
    return spec


@pytest.mark.parametrize("case", CASES)
def test_counted(case: str, generation: Generation, tmp_path: Path) -> None:
    """The recorded events, and the alerts that follow from them, are those that the series show."""
    tool, text, series, checks = CASES[case]
    loaded = pipeline.load_set([("slos/s.yaml", spec_of(tool, text))], "slos")
    assert [problem for problem in loaded.problems if not problem.warning] == []
    rendered = pipeline.render_set(loaded.output_set, ["rules"])
    assert list(rendered.faults) == []
    paths = [path for path in rendered.outputs if not path.startswith("rules/freezeline")]
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(rendered.outputs[path])
    expected = [
        {
            "expr": expr,
            "eval_time": at,
            "exp_samples": [{"labels": f'{{slo="{slo}"}}', "value": value} for slo, value in values.items()],
        }
        for expr, at, values in checks
    ]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": expected,
    }
    file = {"rule_files": paths, "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "numbers.test.yml").write_text(json.dumps(file))
    found = find("promtool", environment={}, given=str(generation.promtool))
    outcome = found.test_rules([Path("numbers.test.yml")], tmp_path)
    assert [message.text for message in outcome.messages] == []
    assert outcome.ok
