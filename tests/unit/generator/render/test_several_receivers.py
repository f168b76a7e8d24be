"""Receivers that share a journal export the same figures: rules and dashboards count each thing once."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from generator.panels.base import Json
from generator.render.rules import self_rules
from tests.tools import Generation
from tests.unit.generator.render.dashboards.examples import committed_specs, dashboards, panels

COUNTED = ("freezeline_dead_letters", "freezeline_episodes_open")
"""What every receiver reads from the journal, and what a query adds up."""


def counting() -> Iterator[tuple[str, str]]:
    """Every expression that adds up such figures, with where it stands."""
    for rule in self_rules.render("slos", acts=True).groups[0].rules:
        yield rule.alert, rule.expr
    for name, dashboard in dashboards():
        for panel in panels(dashboard):
            for target in _targets(panel):
                yield f"{name}: {panel['title']}", target["expr"].replace("$__all", ".*")


def _targets(panel: Json) -> list[Json]:
    found: list[Json] = panel.get("targets", [])
    return found


def test_receivers_that_share_a_journal_count_each_thing_once(generation: Generation, tmp_path: Path) -> None:
    """Two receivers say that three notices were lost and that three episodes are open: three, not six."""
    services = {spec.service for spec in committed_specs()} | {"every.thing", "checkout", "batch"}
    series = [
        {"series": f'{metric}{{{labels},instance="{instance}"}}', "values": "3x20"}
        for instance in "ab"
        for metric, labels in (
            ("freezeline_dead_letters", 'channel="chat"'),
            *((COUNTED[1], f'service="{service}",severity="critical"') for service in sorted(services)),
        )
    ]
    wanted = {
        where: re.sub(r'service=~"[^"]*"', f'service="{min(services)}"', expr)
        for where, expr in counting()
        if any(metric in expr for metric in COUNTED)
    }
    assert len(wanted) > len(COUNTED)
    asked = [{"expr": f"max({expr})", "eval_time": "5m", "exp_samples": []} for expr in wanted.values()]
    test = {"interval": "30s", "input_series": series, "promql_expr_test": asked}
    (tmp_path / "test.yml").write_text(json.dumps({"evaluation_interval": "30s", "tests": [test]}))
    command = [str(generation.promtool), "test", "rules", "test.yml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = re.findall(r"got: ?(?:\{\} )?(\S*)", ran.stdout + ran.stderr)
    assert dict(zip(wanted, found, strict=True)) == dict.fromkeys(wanted, "3E+00"), ran.stderr
