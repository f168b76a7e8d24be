"""From text to model: defaults, positions, and that one mistake does not hide another."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from freezeline.cli import main
from freezeline.problems import Position
from generator.model import burn
from generator.reading.reader import Reader
from generator.reading.source import read_source
from generator.units import DAY, HOUR, MINUTE, SECOND
from tests.unit.generator import specs


def test_a_minimal_slo_has_all_defaults() -> None:
    """Three lines make an SLO over 30 days with four tiers."""
    spec = specs.spec(specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}"))
    slo = spec.slos[0]
    assert (spec.name, spec.service, spec.owner.team) == ("checkout", "checkout", "payments")
    assert (slo.objective, slo.budget_ratio, slo.profile.name) == (Decimal("99.9"), Decimal("0.001"), "30d")
    assert [(tier.name, tier.long_ms, tier.short_ms, tier.factor) for tier in slo.profile.tiers] == [
        ("fast", HOUR, 5 * MINUTE, Fraction(72, 5)),
        ("medium", 6 * HOUR, 30 * MINUTE, Fraction(6)),
        ("slow", DAY, 2 * HOUR, Fraction(3)),
        ("trickle", 3 * DAY, 6 * HOUR, Fraction(1)),
    ]
    assert slo.profile.consumed == burn.CONSUMED


def test_a_tier_takes_from_the_default_of_its_name_what_it_leaves_out() -> None:
    """The spec writes only the severity; the other values come from the default tier `fast`."""
    body = specs.slo(f"objective: 99.9\ntiers: {{fast: {{severity: warning}}}}\n{specs.BAD_TOTAL}")
    (tier,) = specs.spec(body).slos[0].profile.tiers
    assert (tier.share, tier.long_ms, tier.short_ms, tier.severity) == (Decimal("0.02"), HOUR, 5 * MINUTE, "warning")


def test_a_tier_of_an_own_name_needs_share_and_long() -> None:
    """Values without a default are required."""
    body = specs.slo(f"objective: 99.9\ntiers: {{mine: {{}}}}\n{specs.BAD_TOTAL}")
    assert specs.codes(body) == ["spec/missing-key", "spec/missing-key"]


@pytest.mark.parametrize("objective", ["99.9", "99.90", "9.99e1"])
def test_objectives_are_exact(objective: str) -> None:
    """In every spelling, 99.9 leaves a budget of a thousandth."""
    slo = specs.spec(specs.slo(f"objective: {objective}\n{specs.BAD_TOTAL}")).slos[0]
    assert slo.budget_ratio == Decimal("0.001")


def test_policy_asks_for_alerts_on_its_shares_of_the_budget() -> None:
    """`on: {budget_consumed: 75%}` makes an alert at 75 %."""
    body = specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}") + (
        "policy: [{on: {budget_consumed: 75%}, do: [tell]}]\nactions: {tell: {channels: [log]}}\n"
    )
    assert specs.spec(body).slos[0].profile.consumed == (Decimal("0.5"), Decimal("0.75"), Decimal(1))


def test_evaluating_more_often_than_scraping_sees_nothing_new() -> None:
    """An interval below the scrape interval is raised to the scrape interval."""
    spec = specs.spec(
        "defaults: {interval: 5s, scrape: 30s}\nalerts:\n  A: {when: up == 0, every: 10s, severity: info}\n"
    )
    assert (spec.defaults.interval_ms, spec.alerts[0].interval_ms) == (30 * SECOND, 30 * SECOND)


def test_what_is_broken_is_not_missed() -> None:
    """A policy on an alert that could not be read is not reported as a second mistake."""
    body = (
        "alerts:\n  A: {when: 'sum(', severity: critical}\n"
        "policy: [{on: {alert: A}, do: [tell]}]\nactions: {tell: {channels: [log]}}\n"
    )
    assert specs.codes(body) == ["promql/parse"]


def test_digests_are_of_the_text() -> None:
    """One byte changes the reference; reading twice does not."""
    one, same, other = (
        specs.spec(specs.slo(f"objective: {objective}\n{specs.BAD_TOTAL}")).reference
        for objective in ("99.9", "99.9", "99.8")
    )
    assert one == same != other
    assert one.startswith("checkout@sha256:")


def test_places_of_values() -> None:
    """An SLO and an alert know the position of each of their values."""
    spec = specs.spec(
        specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}") + "alerts:\n  A: {when: up == 0, severity: info}\n"
    )
    assert spec.slos[0].at("sli", "total") == Position("checkout.yaml", 7, 59)
    assert spec.slos[0].at("sli", "nothing") == Position("checkout.yaml", 7, 10)
    assert spec.alerts[0].at("severity") == Position("checkout.yaml", 9, 32)


def reader(text: str) -> Reader:
    """A reader of one mapping."""
    problems = specs.nothing()
    root = read_source("a.yaml", text.encode(), problems).root
    assert root is not None
    return Reader(root, "x", problems)


def test_a_reader_reports_what_nothing_asked_for() -> None:
    """The nearest known key is in the hint."""
    found = reader("objectve: 1\nother: 2\n")
    found.decimal("objective", Decimal(5))
    found.decimal("other")
    found.finish()
    (problem,) = found.problems
    assert (problem.code, problem.hint) == ("spec/unknown-key", "did you mean `objective`?")


def test_a_reader_goes_on_after_a_mistake() -> None:
    """Each wrong value is reported once, and replaced by its default."""
    found = reader("a: x\nb: [1]\nc: {}\nd: 5\ne: true\n")
    values = (
        found.integer("a", 7),
        found.duration_ms("b", 8),
        found.text("c", "t"),
        found.boolean("d", True),
        found.decimal("e", Decimal(9)),
    )
    assert values == (7, 8, "t", True, Decimal(9))
    assert [problem.code for problem in found.problems] == ["spec/type"] * 5
    assert all(problem.hint for problem in found.problems)
    assert found.failed


def test_null_counts_as_absent() -> None:
    """`key:` without a value counts as absent."""
    found = reader("a:\nb: ~\n")
    assert (found.text("a", "x"), found.mapping("b"), list(found.problems)) == ("x", None, [])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["policy:\n" + "- {}\n" * 20_000, "slos:\n" + "".join(f"  a{number}: {{}}\n" for number in range(10_000))],
    ids=["policy", "slos"],
)
def test_many_mistakes_are_told_in_time(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tens of thousands of problems take seconds, each with its place and source line."""
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    assert main(["validate", str(path)]) == 1
    assert capsys.readouterr().err.count(": error: ") > 20_000
