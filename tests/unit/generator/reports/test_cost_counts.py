"""The cost model against expressions counted by hand, and how the cost grows."""

import pytest

from generator.promql import text as promql
from generator.reports import cost, cost_rivals
from generator.reports.cost import Assumptions
from generator.reports.cost_series import Matched
from tests.unit.generator import specs

SLO = specs.BAD_TOTAL
BODY = f"slos:\n  availability: {{objective: 99.9, {SLO}}}\n"


@pytest.mark.parametrize(
    "query, samples, counted",
    [
        ("x", 4, 4),
        ("x offset 1h", 4, 4),
        ("rate(x[5m])", 40, 40),
        ("sum(rate(x[5m])) / sum(rate(x[1h]))", 40 + 480, 40 + 480),
        ("x unless x offset 5m and x", 12, 12),
        ("vector(1)", 0, 0),
        ("time() - timestamp(x)", 4, 4),
        ("max_over_time(sum(rate(x[5m]))[1h:1m])", 60 * 40, 60),
        ("max_over_time(x[1h:])", 60 * 4, 60 * 4),
        ("count_values('v', x) > 1 or vector(0)", 4, 4),
    ],
)
def test_one_evaluation(query: str, samples: float, counted: float) -> None:
    """Four series with one sample per 30 s."""
    found = cost.read(promql.parse(query), lambda _: [Matched(series=4.0, interval_ms=30_000)], 1.0)
    assert (found.samples, found.counted) == (samples, counted)


def total(series: float, body: str = BODY) -> cost.Total:
    """All rules of a spec with this many series for each selector."""
    return cost.totals(cost.rule_costs(specs.loaded(body).output_set, Assumptions(series=series)))[""]


def test_only_the_base_grows_with_raw_series() -> None:
    """A thousand more series only add samples to the base rules and the gap repair."""
    few, many = total(10), total(1010)
    assert many.series == few.series
    per_series = (many.samples_per_minute - few.samples_per_minute) / 1000
    # Each minute the rate over 5m15s. Every five minutes, of both: three samples and a rate for the rollup; four and a
    # rate for births, and two of what the total grew by. Once for both: three and a window of 5 min for what left.
    # Every two hours a day of both, and every six hours a sample per five minutes of four days.
    rollups = 2 * (2 + 21) + 2 * (4 + 21) + 2 * 2 + (20 + 3)
    assert per_series == pytest.approx(2 * 21 + rollups / 5 + 2 * 5760 / 120 + 2 * 1152 / 360, abs=1)


# All SLOs share one time of the last sums: four windows look for the newest of 16 times, thrice each 2.5 minutes.
TIME_OF_SUMS = 4 * 16 * 3 / 2.5


def test_shared_rules_cost_per_slo() -> None:
    """More SLOs add no shared rules; the samples that shared rules read grow with the SLOs."""
    others = "".join(f"  other-{number}: {{objective: 99, {SLO}}}\n" for number in range(9))
    one, ten = (
        cost.totals(cost.rule_costs(specs.loaded(body).output_set, Assumptions()))["shared 30d"]
        for body in (BODY, BODY + others)
    )
    assert ten.rules == one.rules
    assert ten.samples_per_minute == pytest.approx(10 * one.samples_per_minute - 9 * TIME_OF_SUMS)


def test_groups_multiply_what_is_recorded() -> None:
    """Each group of a grouped SLO has its own recorded series."""
    grouped = BODY.replace("objective: 99.9,", "objective: 99.9, group_by: [route],")
    output_set = specs.loaded(grouped).output_set
    few, many = (
        cost.totals(cost.rule_costs(output_set, Assumptions(series=100, groups=groups)))["shared 30d"]
        for groups in (1.0, 20.0)
    )
    assert many.samples_per_minute == pytest.approx(20 * few.samples_per_minute - 19 * TIME_OF_SUMS)


def test_series_of_one_selector() -> None:
    """A number may hold for one metric or one selector, in any spelling."""
    output_set = specs.loaded(BODY).output_set
    selectors = cost.raw_selectors(output_set)
    assert selectors == ("http_requests_total", 'http_requests_total{code=~"5.."}')
    by_selector = Assumptions(series=0, by_selector={selectors[1]: 7.0})
    errors = next(one for one in cost.rule_costs(output_set, by_selector) if one.name == "slo:errors:rate5m")
    # Of each, 21 samples for the rate; once the recorded total.
    assert errors.samples == pytest.approx(21 * 7 + 1)


def test_rivals_are_dearer() -> None:
    """With a dozen series of 15 s, both other forms read more than twenty times as much."""
    output_set = specs.loaded(BODY).output_set
    assumed = Assumptions(series=12)
    ours = total(12).samples_per_minute
    assert ours > 0
    dearer = {
        name: rival.samples_per_minute > 20 * ours for name, rival in cost_rivals.rivals(output_set, assumed).items()
    }
    assert dearer == {"Sloth": True, "Pyrra": True}


def test_time_slices_have_no_rival() -> None:
    """SLOs that the other tools cannot express are not compared."""
    body = "slos:\n  fresh: {objective: 99, sli: {value: 'max(age_seconds)', max: 15m}}\n"
    output_set = specs.loaded(body).output_set
    assert cost_rivals.compared(output_set) == []
    assert {rival.rules for rival in cost_rivals.rivals(output_set, Assumptions()).values()} == {0}
