"""A spec of very many SLOs repairs gaps in several groups: each SLO once, by real promtool."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from generator import pipeline
from generator.prometheus.promtool import find
from generator.render.rules import rules
from generator.render.rules.gaps import GROUPS_MAX, SLOS_PER_GROUP, is_gap_group
from generator.render.rules.rule_file import Group, RuleFile
from tests.tools import Generation

SCOPE = "many"
DAY_MINUTES = 26 * 60


def gap_groups(count: int) -> list[Group]:
    """The repairing groups of a spec with so many SLOs; one name is another's pattern."""
    slos = {
        f"slo.{number}": {
            "objective": 99,
            "sli": {"bad": f'n_total{{slo="{number}",code="500"}}', "total": f'n_total{{slo="{number}"}}'},
        }
        for number in range(count)
    }
    spec = {
        "apiVersion": "freezeline/v1",
        "service": "shop",
        "owner": {"team": "shop"},
        "defaults": {"interval": "1m", "scrape": "30s"},
        "slos": slos,
    }
    loaded = pipeline.load_set([("many.yaml", json.dumps(spec).encode())], scope=SCOPE)
    assert not loaded.problems.errors
    found = rules.render(loaded.output_set.specs[0], SCOPE).groups
    every_ms = loaded.output_set.specs[0].slos[0].profile.cadence.gap_ms
    return [group for group in found if is_gap_group(group.name) and group.interval_ms == every_ms]


@pytest.mark.parametrize("count", [1, SLOS_PER_GROUP, SLOS_PER_GROUP + 1, SLOS_PER_GROUP * GROUPS_MAX + 7])
def test_each_slo_is_in_one_group(count: int) -> None:
    """No group takes longer than it must, and there are not more of them than can be afforded."""
    groups = gap_groups(count)
    seen = Counter(
        rule.labels["slo"] for group in groups for rule in group.rules if rule.record == "slo:total:increase1d"
    )
    assert seen == {f"slo.{number}": 1 for number in range(count)}
    sizes = [sum(rule.record == "slo:total:increase1d" for rule in group.rules) for group in groups]
    assert all(one >= other for one, other in pairwise(sizes))
    assert len(groups) == min(-(-count // SLOS_PER_GROUP), GROUPS_MAX)


def test_each_slo_is_repaired_once(generation: Generation, tmp_path: Path) -> None:
    """Half of the events were never recorded: the group of each SLO adds them, and no other group does."""
    count = SLOS_PER_GROUP + 1
    written = RuleFile(path="gaps.rules.yml", header="", groups=tuple(gap_groups(count)))
    (tmp_path / written.path).write_text(written.text()[0])
    checked = ("slo.0", f"slo.{count - 1}")
    series = []
    for slo in checked:
        own = f'service="shop",slo="{slo}",scope="{SCOPE}",profile="30d"'
        number = slo.removeprefix("slo.")
        series.append({"series": f'n_total{{slo="{number}",code="200"}}', "values": f"0+120x{DAY_MINUTES}"})
        series += [
            {"series": f"{metric}{{{own}}}", "values": f"{value}x{DAY_MINUTES}"}
            for metric, value in (
                ("slo:total:rate5m", "1+0"),
                ("slo:errors:rate5m", "0+0"),
                ("slo:total:rollup5m", "0.2+0"),  # one a minute here, so that any instant has one
                ("slo:errors:rollup5m", "0+0"),
            )
        ]
    expected = [
        {"labels": f'{{repair="{repair}",slo="{slo}"}}', "value": 1}
        for repair, slo in zip(("gap", "gap-2"), checked, strict=True)
    ]
    expr = 'count by (repair, slo) (sum_over_time(slo:total:rollup5m{repair!=""}[3h]) > 280 < 296)'
    test = {
        "rule_files": [written.path],
        "evaluation_interval": "1h",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [{"expr": expr, "eval_time": "25h", "exp_samples": expected}],
            }
        ],
    }
    (tmp_path / "gaps.test.yml").write_text(json.dumps(test))
    tool = find("promtool", environment={}, given=str(generation.promtool))
    checks = tool.check_rules([Path(written.path)], tmp_path)
    assert (checks.ok, checks.messages) == (True, ())
    outcome = tool.test_rules([Path("gaps.test.yml")], tmp_path)
    assert [message.text for message in outcome.messages] == []
    assert outcome.ok
