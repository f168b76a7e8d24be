"""The rules that SLOs share: which series they read, which windows they add up, and where each rule stands."""

import re
from collections.abc import Iterator
from decimal import Decimal

import promql_parser
import pytest
from msgspec.structs import replace

from generator import names
from generator.model import burn
from generator.model.burn import Cadence, Profile, SloWindow
from generator.promql import text as promql
from generator.promql.lint import walk
from generator.render.rules import rules, shared
from generator.render.rules.alert_texts import EVERY_LINK
from generator.render.rules.gaps import is_gap_group
from generator.render.rules.rule_file import Group, Rule, RuleFile
from generator.render.rules.shared import SharedRules
from generator.units import DAY, HOUR, MINUTE, SECOND, duration_text, parse_duration_ms
from tests.unit.generator import specs

SCOPE = "ours"
MONTH = SloWindow(length_ms=30 * DAY)
TIERS, _ = burn.default_tiers(30 * DAY, Decimal("0.001"), scrape_ms=15 * SECOND, interval_ms=MINUTE)
PROFILE = burn.profile(MONTH, TIERS, interval_ms=MINUTE)
UNGUARDED = replace(PROFILE, min_events=0)  # no guard counts the bad events of a long window once more
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
    assert [(name, labels) for name, labels in read if not needed <= set(labels) and names.RAW_OF not in labels] == []
    # Series that keep the labels of raw series name the SLO in one label of their own.
    assert {labels[names.RAW_OF] for _, labels in read if names.RAW_OF in labels} == {
        f"={SCOPE}/checkout/one",
        f"={SCOPE}/checkout/two",
    }


@pytest.mark.parametrize("window_ms, terms", [(15 * MINUTE, 3), (75 * MINUTE, 15), (80 * MINUTE, 0)])
def test_a_page_adds_up_adjacent_base_windows(window_ms: int, terms: int) -> None:
    """From the present back to the window's beginning, each once; above fifteen an average over the window instead."""
    query = SharedRules(PROFILE, SCOPE, EVERY_LINK).window_query(window_ms, paged=True)
    wanted = [duration_text(5 * MINUTE * number) for number in range(1, terms)]
    for kind in names.KINDS:
        base = SharedRules(PROFILE, SCOPE, EVERY_LINK).base(kind)
        assert re.findall(rf"{re.escape(base)} offset (\w+)", query) == wanted
        assert query.count(base) == terms + 1  # and the average
    assert SharedRules(PROFILE, SCOPE, EVERY_LINK).window_query(window_ms, paged=False).count(" offset ") == 0


def paging(*windows_ms: int) -> Profile:
    """A profile of page alerts over these windows, with a base window of five minutes."""
    tiers = [replace(TIERS[0], name=f"t{each}", long_ms=each, short_ms=5 * MINUTE) for each in windows_ms]
    return burn.profile(MONTH, tuple(tiers), interval_ms=MINUTE)


@pytest.mark.parametrize(
    "profile",
    [
        PROFILE,
        paging(30 * MINUTE, HOUR),
        paging(10 * MINUTE, 30 * MINUTE, HOUR),
        paging(10 * MINUTE, 15 * MINUTE, 75 * MINUTE),
        paging(20 * MINUTE, 30 * MINUTE),
        paging(HOUR),
    ],
    ids=lambda profile: "-".join(map(duration_text, profile.adjacent_ms)),
)
def test_a_window_made_of_shorter_ones_holds_each_base_window_once(profile: Profile) -> None:
    """Whatever is recorded on the way, an event counts once, and counts as soon as the base series shows the event."""
    rules_by_name = {
        (rule.record, rule.labels.get(names.WINDOW, "")): rule
        for group in shared.render(profile, SCOPE).groups
        for rule in group.rules
    }

    def starts(expr: str, kind: str, ago_ms: int) -> Iterator[int]:
        """How long ago each base window ends that the sum of adjacent windows reads."""
        base = names.base(kind, profile.base_ms)
        for metric, offset in re.findall(rf"(slo:{kind}:\w+)\{{[^}}]*\}}(?: offset (\w+))?(?!\[|\w)", expr):
            at_ms = ago_ms + (parse_duration_ms(offset) if offset else 0)
            if metric == base:
                yield at_ms
            else:
                yield from starts(rules_by_name[metric, ""].expr.split("\nor ")[0], kind, at_ms)

    assert profile.adjacent_ms
    for window_ms in profile.adjacent_ms:
        ratio = rules_by_name[names.ERROR_RATIO, duration_text(window_ms)].expr.split("\nor ")[0]
        for kind in names.KINDS:
            wanted = list(range(0, window_ms, profile.base_ms))
            assert sorted(starts(ratio, kind, 0)) == wanted, (kind, duration_text(window_ms))


def test_an_hour_is_two_halves() -> None:
    """The same two series give both windows of a page, so that twelve base series need not be added up twice."""
    made = SharedRules(PROFILE, SCOPE, EVERY_LINK)
    assert made.window_query(30 * MINUTE, paged=True).count("slo:") == 2
    hour = made.window_query(HOUR, paged=True).split("\nor ")[0]
    assert re.findall(r"slo:(\w+:\w+)\{[^}]*\}( offset \w+)?", hour) == [
        ("errors:events30m", ""),
        ("errors:events30m", " offset 30m"),
        ("total:events30m", ""),
        ("total:events30m", " offset 30m"),
    ]


@pytest.mark.parametrize(
    "window_ms, ranges",
    [
        (5 * HOUR, {"slo:errors:rate5m": "5h"}),
        (6 * HOUR, {"slo:errors:rollup5m": "6h"}),
        (DAY, {"slo:errors:rollup5m": "1d"}),
        (3 * DAY, {"slo:errors:sum": "4h", "slo:sum:time": "4h"}),  # and single rollups since
    ],
)
def test_the_longer_a_window_the_fewer_samples_are_read(window_ms: int, ranges: dict[str, str]) -> None:
    """Base series, then rollups, then sums that were made some minutes ago: never all base samples of a day."""
    query = SharedRules(UNGUARDED, SCOPE, EVERY_LINK).window_query(window_ms, paged=True)
    read = set(re.findall(r"(slo:[a-z:0-9]+)\{[^}]*\}\[(\w+)\]", query))
    assert read == {(name.replace("errors", kind), span) for name, span in ranges.items() for kind in names.KINDS}


@pytest.mark.parametrize("interval_ms, offsets", [(MINUTE, (0, 5, 10)), (2 * MINUTE, (0, 5, 10, 15)), (HOUR, (0,))])
def test_each_rollup_since_a_sum_is_read_once(interval_ms: int, offsets: tuple[int, ...]) -> None:
    """Prometheus looks five minutes back for a sample. Rollups may be up to as far apart as the sums."""
    profile = burn.profile(MONTH, (), interval_ms=interval_ms)
    cadence = Cadence.even(HOUR, aligned=True) if interval_ms == HOUR else profile.cadence
    query = SharedRules(profile, SCOPE, EVERY_LINK, cadence).window_query(3 * DAY, paged=True)
    read = re.findall(r" timestamp\(slo:errors:rollup\w+\{[^}]*\}(?: offset (\w+))?\)", query)
    assert [parse_duration_ms(offset or "0s") // MINUTE for offset in read] == list(offsets)


def test_rollups_and_the_time_since_count_together() -> None:
    """A page must not wait for the next rollup."""
    query = SharedRules(UNGUARDED, SCOPE, EVERY_LINK).window_query(6 * HOUR, paged=True)
    latest = r'timestamp\(slo:errors:rollup5m\{[^}]*repair=""\}\)'
    assert re.search(rf"label_replace\(\(time\(\) - {latest}\) / 300 \* slo:errors:rate5m\{{", query)


def test_every_rule_has_its_place() -> None:
    """Pages and their windows in the fast group, every other in the slow group, each window once."""

    def rows(group: Group) -> list[str]:
        return [" ".join([rule.record or rule.alert, *label_values(rule)]) for rule in group.rules]

    def label_values(rule: Rule) -> list[str]:
        shown = (names.WINDOW, names.TIER, names.BUDGET_CONSUMED_LABEL)
        return [rule.labels[label] for label in shown if label in rule.labels]

    fast, sums, slow = shared.render(PROFILE, SCOPE).groups
    assert (fast.interval_ms, sums.interval_ms, slow.interval_ms) == (MINUTE, 15 * MINUTE, 150 * SECOND)
    assert rows(fast) == [
        "slo:error_ratio 5m",
        "slo:total:events30m",
        "slo:errors:events30m",
        "slo:error_ratio 30m",
        "slo:error_ratio 1h",
        "slo:errors:events6h",
        "slo:error_ratio 6h",
        "SLOBudgetBurn fast",
        "SLOBudgetBurn medium",
    ]
    assert rows(sums) == [
        *(f"slo:{kind}:sum {window}" for kind in names.KINDS for window in ("3d", "budget")),
        "slo:sum:time",
    ]
    assert rows(slow) == [
        "slo:error_ratio 2h",
        "slo:errors:events1d",
        "slo:error_ratio 1d",
        "slo:errors:events3d",
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


def test_a_guard_reads_the_bad_events_of_the_long_window() -> None:
    """The ratio and the guard of a tier count the same events, from the same rule."""
    groups = shared.render(PROFILE, SCOPE).groups
    exprs = {
        rule.record or rule.labels[names.TIER]: rule.expr
        for group in groups
        for rule in group.rules
        if names.TIER in rule.labels or ":events" in rule.record
    }
    for tier, events in (("medium", "events6h"), ("slow", "events1d"), ("trickle", "events3d")):
        assert f"and slo:errors:{events}{{" in exprs[tier]
        assert exprs[f"slo:errors:{events}"].startswith(("300 * sum", "max without"))
        assert f"slo:total:{events}" not in exprs


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
    body = "slos:\n  one: {objective: 99.9, sli: {value: 'max(age_seconds)', max: 15m}}\n"
    aligned = replace(PROFILE.cadence, aligned=True)
    for cadence, span in ((None, "5m"), (aligned, "4m30s")):
        groups = rules.render(specs.spec(body), SCOPE, cadence).groups
        rollups = [rule.expr for group in groups for rule in group.rules if ":rollup" in rule.record]
        assert [re.findall(r"sum_over_time\(slo:\w+:rate5m\S*\[(\w+)\]\) / 5$", expr) for expr in rollups] == [
            [span]
        ] * 2


def gap_rules(span: str) -> dict[str, Rule]:
    """The repairing rules of a spec over a span by what they record, without those that read raw counters."""
    groups = [group for group in spec_file().groups if is_gap_group(group.name)]
    assert [group.interval_ms for group in groups] == [2 * HOUR, 6 * HOUR]
    group = groups[0] if span == "1d" else groups[1]
    return {rule.record: rule for rule in group.rules if ":increase" not in rule.record}


def test_a_gap_is_repaired_where_samples_or_events_are_missing() -> None:
    """More than noise; a rollup missing of the last hours, or half a percent of the events; and not just started."""
    expr = " ".join(gap_rules("1d")["slo:total:rollup5m"].expr.split())
    assert expr.startswith("slo:total:missing1d{")
    assert re.search(r"repair=\"\"\}\[3h\]\) < 36 or slo:total:missing1d\{[^}]*\} / [^>]* > 0\.005 \)", expr)
    assert re.search(r"missing1d\{[^}]*\} > ignoring \(repair\) 0\.5 \+ 2 \* sqrt\(150 \* \(slo:total:rate5m", expr)
    assert re.search(r"and count_over_time\(slo:total:rate5m\{[^}]*\}\[15m\]\) >= 14 \)$", expr)


def test_a_long_gap_is_repaired_only_where_many_events_are_missing() -> None:
    """Few samples tell the edges of four days less well than all samples; both kinds are repaired together."""
    made = gap_rules("4d")
    for kind in names.KINDS:
        expr = " ".join(made[f"slo:{kind}:rollup5m"].expr.split())
        assert re.search(r"slo:total:missing4d\{[^}]*\} / [^>]* > 0\.005 and", expr)
        assert f"slo:{kind}:missing4d" in expr
        assert "count_over_time(slo:total:rollup5m" not in expr


@pytest.mark.parametrize("span", ["1d", "4d"])
def test_what_rollups_are_ahead_of_is_not_missing(span: str) -> None:
    """Counted from the last live rollup: a repaired one says nothing about what has been counted."""
    expr = gap_rules(span)[f"slo:errors:missing{span}"].expr
    increase, counted, ahead = re.split(r"\n- |\n# [^\n]*\n\+ ", expr)
    assert increase.startswith(f"slo:errors:increase{span}{{")
    assert counted.startswith("300 * sum without (repair) (sum_over_time(slo:errors:rollup5m{")
    assert re.match(
        r"\(150 - clamp_max\(time\(\) - timestamp\(slo:errors:rollup5m\{[^}]*repair=\"\"\}\), 300\)\)", ahead
    )
    assert ahead.count(f"offset {span}") == 1
