"""Durations, percentages and limits as people read them."""

import pytest

from generator.units import DAY, HOUR, MINUTE, SECOND, duration_words, spaced


@pytest.mark.parametrize(
    "written, shown",
    [
        ("0.5%", "0.5 %"),
        ("500ms", "500 ms"),
        ("1m", "1 min"),
        ("1h30m", "1 h 30 min"),
        ("1d", "1 day"),
        ("3d", "3 days"),
        ("2w", "2 weeks"),
        ("-5%", "-5 %"),
        ("3", "3"),
        ("1.5", "1.5"),
        ("5 %", "5 %"),
        ("1e3", "1e3"),
        ("", ""),
    ],
)
def test_a_limit_as_written_gets_its_space(written: str, shown: str) -> None:
    """What is no number with a unit stays as it was written."""
    assert spaced(written) == shown


@pytest.mark.parametrize(
    "duration_ms, shown",
    [
        (450, "450 ms"),
        (30 * SECOND, "30 s"),
        (150 * SECOND, "2 min 30 s"),
        (DAY, "1 day"),
        (2 * DAY + HOUR, "2 days 1 h"),
    ],
)
def test_durations_for_people(duration_ms: int, shown: str) -> None:
    """The units that people use."""
    assert duration_words(duration_ms) == shown


def test_the_shortest_duration() -> None:
    """Nothing is left out where there is nothing."""
    assert duration_words(0) == "0 s"
    assert duration_words(60 * MINUTE) == "1 h"
