"""Patterns of good and bad slices of time, and what the windows make of them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import pipeline
from generator.model.burn import Tier
from generator.model.spec import Slo
from generator.proofs import file as proofs
from generator.proofs import slices, slis

SPEC = """\
apiVersion: freezeline/v1
service: shop
owner: {{team: shop}}
defaults: {{interval: 30s, scrape: 10s}}
slos:
  up: {{objective: {objective}, sli: {{good_when: 'up == 1', slice: {slice}}}}}
"""


def slo_of(objective: str = "99.5", slice_text: str = "1m") -> Slo:
    """An SLO that counts slices."""
    text = SPEC.format(objective=objective, slice=slice_text)
    loaded = pipeline.load_set([("slos/shop.yaml", text.encode())], "slos")
    assert loaded.problems.errors == []
    return loaded.output_set.specs[0].slos[0]


def tier_of(slo: Slo, name: str) -> Tier:
    """One of its tiers."""
    return next(tier for tier in slo.profile.tiers if tier.name == name)


@given(
    share=st.fractions(min_value=0, max_value=1, max_denominator=500),
    late=st.booleans(),
    start=st.integers(0, 300),
    length=st.integers(1, 300),
)
def test_every_stretch_of_a_pattern_holds_its_share(share: Fraction, *, late: bool, start: int, length: int) -> None:
    """Rounded down or up, wherever it begins."""
    bad = slices.pattern(share, start + length, late=late)
    exact = share * length
    assert exact - 1 < sum(bad[start:]) < exact + 1


@given(share=st.fractions(min_value=0, max_value=1, max_denominator=500), length=st.integers(1, 300))
def test_late_patterns_never_run_ahead(share: Fraction, length: int) -> None:
    """A window that is still filling up shows no more than the share."""
    assert sum(slices.pattern(share, length, late=True)) <= share * length


def test_the_early_pattern_begins_with_a_bad_slice() -> None:
    """What is measured begins with what goes wrong."""
    assert slices.pattern(Fraction(1, 4), 8, late=False) == [True, False, False, False, True, False, False, False]
    assert slices.pattern(Fraction(1, 4), 8, late=True) == [False, False, False, True, False, False, False, True]


@pytest.mark.parametrize("objective", ["90", "99", "99.5", "99.95"])
@pytest.mark.parametrize("name", ["medium", "slow", "trickle"])
def test_levels_are_the_nearest_that_rounding_cannot_carry_across(objective: str, name: str) -> None:
    """Within a tenth of the limit, or as near as whole slices in the long window come."""
    slo = slo_of(objective)
    tier = tier_of(slo, name)
    found, count = slices.levels(slo, tier), tier.long_ms // 60_000
    assert found.below < found.limit < found.above
    assert found.limit - found.below <= max(found.limit / 10, Fraction(2, count))
    assert found.above - found.limit <= max(found.limit / 10, Fraction(2, count))


def test_levels_say_what_they_are() -> None:
    """In the proofs' names, and in what `verify` prints."""
    slo = slo_of()
    found = slices.levels(slo, tier_of(slo, "medium"))
    assert found.below_text == "at 0.9 × the threshold (2.7 % of slices bad)"
    assert found.above_text == "1.1 ×"


def test_what_cannot_be_laid_out_is_said() -> None:
    """A slice must be whole scrapes."""
    assert slices.unprovable(slo_of(slice_text="45s"), 10_000) == "slices are not whole scrapes"
    assert slices.unprovable(slo_of(), 10_000) == ""


@pytest.mark.parametrize("more", ["window: 7d", "window: 14d, min_events: 3", "window: 12h", "group_by: [route]"])
@pytest.mark.parametrize("slice_text", ["30s", "1m", "5m"])
def test_every_tier_that_is_left_has_all_its_proofs(slice_text: str, more: str) -> None:
    """Windows that are no whole base windows, slices as long as a base window: there is a pattern for each."""
    text = SPEC.format(objective="99", slice=slice_text).replace("{objective", f"{{{more}, objective")
    loaded = pipeline.load_set([("slos/shop.yaml", text.replace("'up ==", "'min by (route) (up) ==").encode())], "slos")
    assert loaded.problems.errors == []
    (slo,) = loaded.output_set.specs[0].slos
    made = proofs.render(loaded.output_set.specs[0], "slos")
    facts = [fact for file in made.files for test in file.tests for fact in test.facts]
    below = {fact.subject.labels["tier"] for fact in facts if fact.text.endswith("% of slices bad)")}
    assert (made.gaps, made.warnings()) == ((), [])
    assert below == {tier.name for tier in slo.profile.tiers}
    assert all(tier.long_ms >= slo.profile.min_events * slis.slice_ms(slo) for tier in slo.profile.tiers)


@pytest.mark.parametrize("name,interval_ms", [("fast", 60_000), ("medium", 150_000), ("medium", 300_000)])
@pytest.mark.parametrize("share", [Fraction(1, 40), Fraction(3, 100), Fraction(1, 12), Fraction(1, 3)])
def test_a_course_counts_what_a_naive_count_counts(name: str, interval_ms: int, share: Fraction) -> None:
    """Slice by slice, from the tier's definition on Prometheus 3: both windows above, and five bad slices."""
    slo = slo_of()
    tier = tier_of(slo, name)
    bad = slices.pattern(share, 600, late=False)
    course = slices.Course(slo, tier, bad, interval_ms)
    expected = [naive(bad, tier, each * interval_ms, interval_ms) for each in range(1, course.evaluations + 1)]
    # On Prometheus 2 an average holds one evaluation more, which only ever makes the two differ by that.
    for each, wanted in enumerate(expected, start=1):
        assert course.fires(each) <= wanted <= course.may_fire(each)
    assert any(expected) == (share >= (Fraction(1, 12) if name == "fast" else Fraction(3, 100)))


def naive(bad: list[bool], tier: Tier, at_ms: int, interval_ms: int) -> bool:
    """Whether the tier fires: sums over the base windows (five slices) of all evaluations in each window."""

    def in_base(moment_ms: int) -> int:
        ended = moment_ms // 60_000
        return sum(bad[max(ended - 5, 0) : max(ended, 0)])

    def share(window_ms: int) -> Fraction:
        if tier.name == "fast" or window_ms == 300_000:
            ended = at_ms // 60_000
            return Fraction(sum(bad[max(ended - window_ms // 60_000, 0) : ended]), window_ms // 60_000)
        count = window_ms // interval_ms
        return Fraction(sum(in_base(at_ms - index * interval_ms) for index in range(count)), 5 * count)

    events = Fraction(sum(in_base(at_ms - index * interval_ms) for index in range(tier.long_ms // interval_ms)), 5)
    enough = events * interval_ms / 60_000 > Fraction(9, 2)
    limit = tier.factor * Fraction(5, 1000)
    return enough and share(tier.long_ms) > limit and share(tier.short_ms) > limit
