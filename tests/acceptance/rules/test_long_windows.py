"""Windows of days are added up now and then; in between, the rules add what came since. By real promtool."""

import json
from pathlib import Path

import pytest

from generator import names
from generator.model import burn
from generator.model.burn import SloWindow
from generator.prometheus.promtool import find
from generator.render.rules import shared
from generator.units import DAY, MINUTE
from tests.tools import Generation

SCOPE = "long"
OWN = f'service="s",slo="a",scope="{SCOPE}"'
ROLLING, CALENDAR = SloWindow(length_ms=30 * DAY), SloWindow(length_ms=30 * DAY, calendar="month")
PER_ROLLUP = 0.5 * 300  # events between two rollups

# Name → minutes at which sums were made (each of 1000 events), minutes without rollups, the minute, the events then.
CASES = {
    "right after the sum": ([60], (), 60, 1000),
    "before the first rollup": ([60], (), 62, 1000),
    "with the first rollup": ([60], (), 63, 1000 + PER_ROLLUP),
    "between two sums": ([60], (), 70, 1000 + 2 * PER_ROLLUP),
    "at the end": ([60], (), 75, 1000 + 3 * PER_ROLLUP),
    "the newest sum counts": ([45, 60], (), 65, 1000 + PER_ROLLUP),
    "Prometheus was down, and runs again for eight minutes": ([60], range(62, 190), 198, 1000 + 2 * PER_ROLLUP),
    "Prometheus was down, and has just begun": ([60], range(62, 260), 199, 1000),
    "no sum for too long": ([20], (), 20 + 5 * 60, None),
    "none yet": ([], (), 60, None),
}


def events_expr(window: SloWindow) -> tuple[str, str]:
    """The rule for the bad events over the SLO window, and the profile's name."""
    profile = burn.profile(window, (), interval_ms=MINUTE)
    file = shared.render(profile, SCOPE)
    exprs = [rule.expr for group in file.groups for rule in group.rules if rule.record == names.events("errors")]
    assert len(exprs) == 1
    return exprs[0], profile.name


def sparse(samples: dict[int, float]) -> str:
    """Samples at some minutes, as promtool reads them. Others are missing."""
    return " ".join(f"{samples[minute]:g}" if minute in samples else "_" for minute in range(max(samples) + 1))


def holds(generation: Generation, folder: Path, series: dict[str, dict[int, float]], tests: list[object]) -> None:
    """Run promtool on series and expectations."""
    inputs = [{"series": name, "values": sparse(samples)} for name, samples in series.items() if samples]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": tests}
    (folder / "long.test.yml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}))
    outcome = find("promtool", environment={}, given=str(generation.promtool)).test_rules(
        [Path("long.test.yml")], folder
    )
    assert [message.text for message in outcome.messages] == []
    assert outcome.ok


def expected(expr: str, minute: int, value: float | None) -> dict[str, object]:
    """The value of an expression without its labels; None for no value."""
    found = [] if value is None else [{"value": value, "labels": "{}"}]
    return {"expr": f"round(sum({expr}), 0.001)", "eval_time": f"{minute}m", "exp_samples": found}


@pytest.mark.parametrize("case", CASES)
def test_the_budget_counts_the_last_sum_and_what_came_since(case: str, generation: Generation, tmp_path: Path) -> None:
    """Each rollup counts that is newer than the sum; after an outage, those of the last quarter of an hour."""
    sums, down, minute, value = CASES[case]
    expr, profile = events_expr(ROLLING)
    own = f'{OWN},profile="{profile}"'
    # Rollups do not fall on the minutes of the cases.
    rollups = {at: 0.5 for at in range(3, minute + 1, 5) if at not in down}
    series = {
        f'slo:errors:sum{{{own},window="budget"}}': dict.fromkeys(sums, 1000.0),
        f'slo:sum:time{{scope="{SCOPE}",profile="{profile}"}}': {at: at * 60.0 for at in sums},
        f"slo:errors:rollup5m{{{own}}}": rollups,
    }
    holds(generation, tmp_path, series, [expected(expr, minute, None if value is None else round(value, 3))])


def test_a_month_does_not_begin_with_the_sum_of_the_last_one(generation: Generation, tmp_path: Path) -> None:
    """Promtool begins in January 1970: a sum of December is not read, and one of January is."""
    expr, profile = events_expr(CALENDAR)
    own = f'{OWN},profile="{profile}",window="budget"'
    time = {f'slo:sum:time{{scope="{SCOPE}",profile="{profile}"}}': {10: 600.0}}
    for month, value in (("12", None), ("1", 1000)):
        series = {**time, f'slo:errors:sum{{{own},cycle="{month}"}}': {10: 1000.0}}
        holds(generation, tmp_path, series, [expected(expr, 12, value)])
