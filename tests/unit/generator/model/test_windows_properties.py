"""Arithmetic for every window, objective and interval: exact, reachable, never empty."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import units
from generator.model import burn
from generator.model.burn import SloWindow
from generator.model.spec import OutputSet
from generator.pipeline import load_set, rule_files
from generator.promql import text as promql
from generator.units import DAY, MINUTE, SECOND
from tests.unit.generator import specs

WINDOWS = st.integers(24, 90 * 24).map(lambda hours: hours * 60 * MINUTE) | st.integers(1, 90).map(
    lambda days: days * DAY
)
BUDGETS = st.decimals("0.00001", "0.99", places=5)
SCRAPES = st.sampled_from([1, 5, 10, 15, 20, 30, 60]).map(lambda seconds: seconds * SECOND)
INTERVALS = st.sampled_from([15, 30, 60, 120]).map(lambda seconds: seconds * SECOND)
QUICK = settings(max_examples=200, deadline=None, derandomize=True)
RANGE = re.compile(r"\[(\w*)(?::(\w*))?\]")
FLOAT_NOISE = re.compile(r"\d\.\d*(?:0{8,}|9{8,})\d")


@QUICK
@given(window_ms=WINDOWS, budget=BUDGETS, scrape_ms=SCRAPES, interval_ms=INTERVALS)
def test_default_tiers_can_fire_and_need_not(window_ms: int, budget: Decimal, scrape_ms: int, interval_ms: int) -> None:
    """Every kept tier has 1 ≤ factor < 1/budget exactly, and windows that hold four scrapes and two evaluations."""
    kept, dropped = burn.default_tiers(window_ms, budget, scrape_ms=scrape_ms, interval_ms=interval_ms)
    assert len(kept) + len(dropped) == 4
    for tier in kept:
        assert 1 <= tier.factor < 1 / Fraction(budget)
        assert tier.factor == Fraction(tier.share) * window_ms / tier.long_ms
        assert tier.long_ms >= tier.short_ms >= max(4 * scrape_ms, 2 * interval_ms)
        assert tier.long_ms <= window_ms


@QUICK
@given(window_ms=WINDOWS, budget=BUDGETS, scrape_ms=SCRAPES, interval_ms=INTERVALS)
def test_profiles_have_no_empty_window(window_ms: int, budget: Decimal, scrape_ms: int, interval_ms: int) -> None:
    """The base window is whole evaluations and no longer than a short window rounded up; no interval is zero."""
    tiers, _ = burn.default_tiers(window_ms, budget, scrape_ms=scrape_ms, interval_ms=interval_ms)
    profile = burn.profile(SloWindow(length_ms=window_ms), tiers, interval_ms=interval_ms)
    assert profile.base_ms > 0
    assert profile.base_ms % interval_ms == 0
    assert profile.base_ms <= min((tier.short_ms for tier in tiers), default=profile.base_ms) + interval_ms
    cadence = profile.cadence
    assert min(cadence.fast_ms, cadence.rollup_ms, cadence.slow_ms, cadence.gap_ms) >= interval_ms
    assert cadence.rollup_ms % interval_ms == 0


@QUICK
@given(one=st.tuples(WINDOWS, BUDGETS, INTERVALS), other=st.tuples(WINDOWS, BUDGETS, INTERVALS))
def test_profiles_of_one_name_are_one(one: tuple[int, Decimal, int], other: tuple[int, Decimal, int]) -> None:
    """Two profiles share a name (and a rule file) only if they are equal."""
    made = []
    for window_ms, budget, interval_ms in (one, other):
        tiers, _ = burn.default_tiers(window_ms, budget, scrape_ms=15 * SECOND, interval_ms=interval_ms)
        made.append(burn.profile(SloWindow(length_ms=window_ms), tiers, interval_ms=interval_ms))
    assert (made[0].name == made[1].name) == (made[0] == made[1])


@QUICK
@given(numerator=st.integers(0, 10**9), denominator=st.integers(1, 10**6))
def test_numbers_in_promql_are_exact(numerator: int, denominator: int) -> None:
    """A fraction as PromQL has exactly the same value."""
    number = Fraction(numerator, denominator)
    text = units.promql_number(number)
    match = re.fullmatch(r"\((\d+) / (\d+)\)", text)
    assert (Fraction(int(match[1]), int(match[2])) if match else Fraction(text)) == number
    assert "e" not in text.lower()


@QUICK
@given(duration_ms=st.integers(0, 100 * 365 * DAY))
def test_durations_read_back(duration_ms: int) -> None:
    """A duration's text parses to the same duration."""
    assert units.parse_duration_ms(units.duration_text(duration_ms)) == duration_ms


@QUICK
@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=9))
def test_decimals_read_back(number: Decimal) -> None:
    """A decimal's text has plain digits, and parses to the same value."""
    text = units.decimal_text(number)
    assert Decimal(text) == number
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    window=WINDOWS.map(units.duration_text) | st.sampled_from([f"calendar {unit}" for unit in burn.CALENDARS]),
    objective=st.decimals("1", "99.999", places=3),
    scrape_ms=SCRAPES,
    interval_ms=INTERVALS,
)
def test_rendered_rules_are_exact_and_complete(
    window: str, objective: Decimal, scrape_ms: int, interval_ms: int
) -> None:
    """For any numbers: every expression parses, no range is empty, and no number shows a binary float."""
    body = (
        f"defaults: {{interval: {units.duration_text(interval_ms)}, scrape: {units.duration_text(scrape_ms)}}}\n"
        + specs.slo(f"objective: {objective}\nwindow: {window}\n{specs.BAD_TOTAL}")
    )
    loaded = load_set([("checkout.yaml", (specs.HEAD + body).encode())], "slos")
    assert loaded.problems.errors == []
    expressions = expressions_of(loaded.output_set)
    assert f"vector({units.decimal_text((100 - objective) / 100)})" in expressions
    for expression in expressions:
        promql.parse(expression)
        assert FLOAT_NOISE.search(expression) is None
        for parts in RANGE.findall(expression):
            assert all(units.parse_duration_ms(part) > 0 for part in parts if part)


def expressions_of(output_set: OutputSet) -> list[str]:
    """Every expression of a set's rules."""
    return [rule.expr for file in rule_files(output_set) for group in file.groups for rule in group.rules]


@pytest.mark.parametrize(
    "text, expected_ms",
    [("1h30m", 90 * MINUTE), ("500ms", 500), ("0s", 0), ("1w", 7 * DAY), ("1d12h", 36 * 60 * MINUTE)],
)
def test_durations_as_people_write_them(text: str, expected_ms: int) -> None:
    """Prometheus' durations, largest unit first."""
    assert units.parse_duration_ms(text) == expected_ms


@pytest.mark.parametrize("text", ["", "5", "m5", "1m1h", "1.5h", "-5m", "5 m", "1h1h", "101y", "٣s", "9" * 60 + "d"])
def test_what_is_no_duration(text: str) -> None:
    """Any other text is refused with a message."""
    with pytest.raises(ValueError, match=r"is not a duration|is longer than a century"):
        units.parse_duration_ms(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", "1e400", "one", "", "1_000", "0x10"])
def test_what_is_no_number(text: str) -> None:
    """Infinite and absurd numbers are refused."""
    with pytest.raises(ValueError, match="is not a number"):
        units.parse_decimal(text)


@pytest.mark.parametrize("text, expected", [("1%", "0.01"), ("0.01", "0.01"), ("99.9%", "0.999"), ("100 %", "1")])
def test_ratios_as_people_write_them(text: str, expected: str) -> None:
    """Percentages and plain numbers."""
    assert units.parse_ratio(text) == Decimal(expected)
