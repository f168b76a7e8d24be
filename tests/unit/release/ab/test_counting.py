"""Counts from raw samples: resets, births, vanished series, and counting in pieces."""

from decimal import Decimal

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from freezeline import extras
from receiver.sources.prometheus import Series
from release.ab.counting import Counter, Counts, added, arms, begin, counted_until, selectors
from release.ab.findings import Arm
from release.ab.ready import missing
from release.policy.canary import AbMetric, AbTest, Canary, NoData, Stage

SINCE = 1000.0


def series(*samples: tuple[float, str], pod: str = "a") -> Series:
    """Raw samples of one pod's counter."""
    return Series(labels={"pod": pod}, samples=tuple((at, Decimal(value)) for at, value in samples))


def ab_test(*metrics: AbMetric) -> AbTest:
    """A test over metrics."""
    return AbTest(
        metrics=metrics,
        confidence=Decimal("0.95"),
        power=Decimal("0.8"),
        detect=Decimal("0.2"),
        method="group-sequential",
        assignment="request",
        then="advance",
    )


@pytest.mark.parametrize(
    "found,events",
    [
        ([series((990, "100"), (1005, "103"), (1010, "110"))], 10),
        ([series((1000, "100"), (1005, "103"))], 3),
        ([series((1005, "7"), (1010, "9"))], 9),
        ([series((990, "100"), (1005, "2"), (1010, "5"))], 5),
        ([series((990, "100"), (1005, "NaN"), (1010, "104"))], 4),
        ([series((980, "100"), (990, "120"))], 0),
        ([series((990, "100"), (1005, "101")), series((1005, "4"), pod="b")], 5),
    ],
    ids=["old", "sample at the start", "born", "reset", "NaN", "ended before", "two pods"],
)
def test_what_samples_count(found: list[Series], events: int) -> None:
    """An old series counts from its last sample before the stage, a new one from 0."""
    assert added(Counter(), found, SINCE).events == events


def test_a_vanished_series_comes_back() -> None:
    """The series counts on from its last sample; with a lower value, the process began again."""
    first = added(Counter(), [series((990, "100"), (1005, "103"))], SINCE)
    gone = added(first, [], SINCE)
    assert gone == first
    assert added(gone, [series((9000, "110"))], SINCE).events == 10
    assert added(gone, [series((9000, "6"))], SINCE).events == 9


@settings(deadline=None)
@given(
    values=st.lists(st.integers(0, 50), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    back=st.integers(0, 5),
)
def test_pieces_that_overlap_count_the_same(values: list[int], cuts: list[int], back: int) -> None:
    """The state goes through JSON between the pieces, as in a process that ends and begins again."""
    samples = [(SINCE - 7 + 5 * at, str(value)) for at, value in enumerate(values)]
    whole = added(Counter(), [series(*samples)], SINCE)
    pieces = Counter()
    for cut in [*sorted(cuts), len(samples)]:
        piece = [series(*samples[max(0, cut - 31 - back) : cut])] if cut else []
        pieces = msgspec.json.decode(msgspec.json.encode(added(pieces, piece, SINCE)), type=Counter)
    assert pieces == whole


def test_arms_of_bad_and_of_good_events() -> None:
    """Good events are taken from all events; a late sample never makes fewer than no bad events."""
    test = ab_test(AbMetric(id="e", bad="b{t='$c'}", total="n{t='$c'}"), AbMetric(id="s", good="g", total="n"))
    asked = selectors(test, lambda text: text.replace("$c", "new"), lambda text: text.replace("$c", "old"))
    assert asked["e/canary/bad"] == "b{t='new'}"
    assert asked["e/stable/total"] == "n{t='old'}"
    assert len(asked) == 8
    values = {"e/canary/bad": 3, "e/canary/total": 40, "s/canary/good": 41, "s/canary/total": 40, "s/stable/total": 9}
    counters = {key: Counter(events=Decimal(value)) for key, value in values.items()}
    assert arms(test, Counts(since_s=0, until_s=0, counters=counters)) == {
        "e": (Arm(bad=3, total=40), Arm(bad=0, total=0)),
        "s": (Arm(bad=0, total=40), Arm(bad=9, total=9)),
    }
    assert begin(5.0) == Counts(since_s=5.0, until_s=5.0)


def test_a_missing_scipy_is_a_reason_not_to_begin() -> None:
    """Only for a policy with a test; the reason says what to type."""
    plain = Stage(weight=Decimal("0.5"), bake_s=1)
    tested = Stage(weight=Decimal("0.5"), bake_s=1, ab=ab_test(AbMetric(id="e", bad="b", total="n")))
    no_data = NoData(hold_for_s=1, then="hold")
    (reason,) = missing(Canary(every_s=1, scrape_s=1, no_data=no_data, stages=(tested,)), lambda _: False)
    assert reason == "the A/B test of stage 50% needs scipy: " + extras.install("ab")
    assert missing(Canary(every_s=1, scrape_s=1, no_data=no_data, stages=(tested,))) == ()
    assert missing(Canary(every_s=1, scrape_s=1, no_data=no_data, stages=(plain,)), lambda _: False) == ()


@given(st.integers(0, 10_000), st.integers(0, 5_000), st.sampled_from([1, 10, 15, 60]), st.integers(0, 59))
def test_every_target_is_scraped_equally_often(since_s: int, passed_s: int, scrape_s: int, second: int) -> None:
    """Whenever the targets are scraped; and the newest interval, which may not be stored yet, is left out."""
    until_s = counted_until(since_s, since_s + passed_s, scrape_s)
    assert since_s <= until_s <= max(since_s, since_s + passed_s - scrape_s)
    assert until_s > since_s + passed_s - 2 * scrape_s
    moments = range(since_s + 1, int(until_s) + 1)
    scrapes = [sum(at % scrape_s == phase % scrape_s for at in moments) for phase in (0, second)]
    assert scrapes[0] == scrapes[1] == (until_s - since_s) / scrape_s
