"""The rules that SLOs share: which series they read, which windows they add up, and where each rule stands."""

import re
from collections.abc import Iterator
from decimal import Decimal

import promql_parser
import pytest
from msgspec.structs import replace

from generator import names
from generator.model import burn
from generator.model.burn import Profile, SloWindow
from generator.promql import text as promql
from generator.promql.lint import walk
from generator.render.rules import rules, shared
from generator.render.rules.alert_texts import EVERY_LINK
from generator.render.rules.gaps import is_gap_group
from generator.render.rules.rule_file import Group, Rule, RuleFile
from generator.render.rules.shared import SharedRules
from generator.units import DAY, HOUR, MINUTE, SECOND, duration_text
from tests.unit.generator import specs

SCOPE = "ours"
MONTH = SloWindow(length_ms=30 * DAY)
TIERS, _ = burn.default_tiers(30 * DAY, Decimal("0.001"), scrape_ms=15 * SECOND, interval_ms=MINUTE)
PROFILE = burn.profile(MONTH, TIERS, interval_ms=MINUTE)
BY_MONTH = burn.profile(SloWindow(length_ms=30 * DAY, calendar="month"), TIERS, interval_ms=MINUTE)


def selectors(expr: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every series that an expression reads: its name, and its labels as they are asked for."""
    for node in walk(promql.parse(expr)):
        if isinstance(node, promql_parser.VectorSelector):
            yield promql.metric(node), {label: f"{op}{value}" for label, op, value in promql.matchers(node)}


def spec_file(window: str = "30d") -> RuleFile:
    """The own rules of a spec of two SLOs."""
    body = "slos:\n" + "".join(
        f"  {name}: {{objective: 99.9, window: {window}, {specs.BAD_TOTAL}}}\n" for name in ("one", "two")
    )
    return rules.render(specs.spec(body), SCOPE)


@pytest.mark.parametrize("profile", [PROFILE, BY_MONTH], ids=["rolling", "calendar"])
def test_shared_rules_read_the_series_of_their_set_and_profile_alone(profile: Profile) -> None:
    """Two sets in one Prometheus, or two profiles in one set, would count each other's events."""
    read = [
        (name, labels)
        for group in shared.render(profile, SCOPE).groups
        for rule in group.rules
        for name, labels in selectors(rule.expr)
    ]
    assert {name for name, _ in read} >= {"slo:errors:rate5m", "slo:total:rollup5m", "slo:error_budget", "slo:info"}
    mine = {names.SCOPE: f"={SCOPE}", names.PROFILE: f"={profile.name}"}
    assert [(name, labels) for name, labels in read if not mine.items() <= labels.items()] == []


@pytest.mark.parametrize("window", ["30d", "calendar month"])
def test_own_rules_read_recorded_series_of_their_service_alone(window: str) -> None:
    """What a spec's own file reads of recorded series is of the same service, set and profile."""
    read = [
        (name, labels)
        for group in spec_file(window).groups
        for rule in group.rules
        for name, labels in selectors(rule.expr)
        if name.startswith("slo:")
    ]
    assert {name for name, _ in read} >= {"slo:total:rate5m", "slo:errors:increase1d", "slo:total:missing1d"}
    needed = {names.SERVICE, names.SCOPE, names.PROFILE}
    assert [(name, labels) for name, labels in read if not needed <= set(labels)] == []


@pytest.mark.parametrize("window_ms, terms", [(15 * MINUTE, 3), (HOUR, 12), (75 * MINUTE, 15), (80 * MINUTE, 0)])
def test_a_page_adds_up_adjacent_base_windows(window_ms: int, terms: int) -> None:
    """From the present back to the window's beginning, each once; above fifteen an average over the window instead."""
    query = SharedRules(PROFILE, SCOPE, EVERY_LINK).window_query(window_ms, paged=True)
    wanted = [duration_text(5 * MINUTE * number) for number in range(1, terms)]
    for kind in names.KINDS:
        base = SharedRules(PROFILE, SCOPE, EVERY_LINK).base(kind)
        assert re.findall(rf"{re.escape(base)} offset (\w+)", query) == wanted
        assert query.count(base) == terms + 1  # and the average
    assert SharedRules(PROFILE, SCOPE, EVERY_LINK).window_query(window_ms, paged=False).count(" offset ") == 0


@pytest.mark.parametrize("window_ms, read", [(DAY - HOUR, "slo:errors:rate5m"), (DAY, "slo:errors:rollup5m")])
def test_windows_from_a_day_on_read_rollups(window_ms: int, read: str) -> None:
    """A day of base samples would be read each time else."""
    found = {name for name, _ in selectors(SharedRules(PROFILE, SCOPE, EVERY_LINK).window_query(window_ms, paged=True))}
    assert found == {read, read.replace("errors", "total")}


def test_every_rule_has_its_place() -> None:
    """Pages and their windows in the fast group, every other in the slow group, each window once."""

    def rows(group: Group) -> list[str]:
        return [" ".join([rule.record or rule.alert, *label_values(rule)]) for rule in group.rules]

    def label_values(rule: Rule) -> list[str]:
        shown = (names.WINDOW, names.TIER, names.BUDGET_CONSUMED_LABEL)
        return [rule.labels[label] for label in shown if label in rule.labels]

    fast, rollup, slow = shared.render(PROFILE, SCOPE).groups
    assert (fast.interval_ms, rollup.interval_ms, slow.interval_ms) == (MINUTE, 5 * MINUTE, 150 * SECOND)
    assert rows(fast) == [
        "slo:error_ratio 5m",
        "slo:error_ratio 30m",
        "slo:error_ratio 1h",
        "slo:error_ratio 6h",
        "SLOBudgetBurn fast",
        "SLOBudgetBurn medium",
    ]
    assert rows(rollup) == ["slo:total:rollup5m", "slo:errors:rollup5m"]
    assert rows(slow) == [
        "slo:error_ratio 2h",
        "slo:error_ratio 1d",
        "slo:error_ratio 3d",
        "slo:total:events",
        "slo:errors:events",
        "slo:error_ratio budget",
        "slo:error_budget_remaining",
        "SLOBudgetBurn slow",
        "SLOBudgetBurn trickle",
        "SLOBudgetConsumed 50",
        "SLOBudgetConsumed 100",
        "SLONoData",
    ]


def test_a_tier_fires_by_both_windows_and_enough_events() -> None:
    """The long window says that it matters, the short one that it still goes on; one bad request is no page."""
    made = SharedRules(PROFILE, SCOPE, EVERY_LINK)
    text = made.tier_alert(TIERS[0]).expr
    over = [labels[names.WINDOW] for name, labels in selectors(text) if name == names.ERROR_RATIO]
    assert over == ["=1h", "=5m"]
    assert text.count("14.4 * slo:error_budget") == 2
    assert "> 4.5" in text
    without = SharedRules(replace(PROFILE, min_events=0), SCOPE, EVERY_LINK)
    assert "> 4.5" in made.consumed_alert(Decimal(1)).expr
    assert " > -0.5" not in without.tier_alert(TIERS[0]).expr + without.consumed_alert(Decimal(1)).expr
    assert "slo:errors:" not in without.tier_alert(TIERS[0]).expr + without.consumed_alert(Decimal(1)).expr


@pytest.mark.parametrize("share, limit, severity", [("0.5", "<= 0.5", "warning"), ("1", "<= 0", "critical")])
def test_a_budget_is_consumed_at_its_share_exactly(share: str, limit: str, severity: str) -> None:
    """Nothing left is spent; half left is half spent."""
    rule = SharedRules(PROFILE, SCOPE, EVERY_LINK).consumed_alert(Decimal(share))
    compared = re.findall(r"error_budget_remaining\S* (<= [\d.]+)$", rule.expr, re.MULTILINE)
    assert (compared, rule.labels[names.SEVERITY]) == ([limit], severity)


def test_rollups_of_a_calendar_window_are_added_up_over_unit_and_repair() -> None:
    """A rolling window has no unit; a sum that kept one would give a series for each."""
    for profile, apart in ((PROFILE, "repair"), (BY_MONTH, "repair, cycle")):
        assert f"sum without ({apart}) (" in SharedRules(profile, SCOPE, EVERY_LINK).window_query(DAY, paged=False)


def test_a_build_for_promtool_shortens_the_ranges_that_it_adds_up() -> None:
    """Promtool of Prometheus 2 finds a sample at both ends of a range, which live evaluations never hit."""
    aligned = replace(PROFILE.cadence, aligned=True)
    live, build = (
        [rule.expr for group in shared.render(PROFILE, SCOPE, cadence).groups for rule in group.rules]
        for cadence in (None, aligned)
    )
    assert [re.findall(r"\[(5m|4m30s)\]", "\n".join(exprs)) for exprs in (live[6:8], build[6:8])] == [
        ["5m", "5m"],
        ["4m30s", "4m30s"],
    ]
    assert {expr.rpartition(" / ")[2] for expr in (*live[6:8], *build[6:8])} == {"5"}


def gap_rules(window: str = "30d") -> dict[str, Rule]:
    """The repairing rules of a spec by what they record, without those that read raw counters."""
    (group,) = (group for group in spec_file(window).groups if is_gap_group(group.name))
    return {rule.record: rule for rule in group.rules if ":increase" not in rule.record}


def test_a_gap_is_repaired_where_samples_or_events_are_missing() -> None:
    """More than noise; fewer than 175 of 180 samples or half a percent of the events; and not just started."""
    expr = " ".join(gap_rules()["slo:total:rollup5m"].expr.split())
    assert expr.startswith("slo:total:missing1d{")
    assert re.search(r"\[3h\]\) < 175 or slo:total:missing1d\{[^}]*\} / [^>]* > 0\.005 \)", expr)
    assert re.search(r"missing1d\{[^}]*\} > ignoring \(repair\) 0\.5 \+ 2 \* sqrt\(600 \* \(avg_over_time", expr)
    assert re.search(r"and count_over_time\(slo:total:rate5m\{[^}]*\}\[15m\]\) >= 14 \)$", expr)


def test_what_rollups_are_ahead_of_is_not_missing() -> None:
    """Counted from the last live rollup: a repaired one says nothing about what has been added up."""
    rules = gap_rules()
    expr = rules["slo:errors:missing1d"].expr
    increase, counted, newer, older = re.split(r"\n- |\n# [^\n]*\n\+ |\n\+ ", expr)
    assert increase.startswith("slo:errors:increase1d{")
    assert counted.startswith("300 * sum without (repair) (sum_over_time(slo:errors:rollup5m{")
    assert newer.startswith("150 * (slo:errors:rate5m{")
    assert re.findall(r"timestamp\(slo:errors:rollup5m\{[^}]*repair=\"\"\}\)", older) != []
    assert (newer.count("offset 1d"), older.count("offset 5m"), older.count("offset 1d5m")) == (1, 1, 1)
