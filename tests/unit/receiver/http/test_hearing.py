"""When the receiver counts as deaf."""

from datetime import timedelta

import pytest

from receiver.http.hearing import Hearing
from tests.unit.receiver.builders import NOW

DEAF_AFTER = timedelta(minutes=5)
SOON, LATE = NOW + DEAF_AFTER - timedelta(seconds=1), NOW + DEAF_AFTER


@pytest.fixture
def hearing() -> Hearing:
    """A receiver that has just started, and whose settings name an Alertmanager."""
    return Hearing(started_at=NOW, expected=True, deaf_after=DEAF_AFTER)


def test_silence_since_the_start_is_deafness(hearing: Hearing) -> None:
    """Not at once, because Alertmanager may have started a moment ago too."""
    assert hearing.deaf(SOON) == ""
    assert hearing.deaf(LATE) == (
        "no webhook of Alertmanager has arrived since the start at 2026-11-21T08:20:00.000Z: check "
        "Alertmanager's route to this receiver"
    )


def test_the_wrong_token_is_named(hearing: Hearing) -> None:
    """The usual reason: Alertmanager's copy of the token is old, or another token."""
    hearing.refuse(NOW)
    hearing.refuse(NOW)
    assert hearing.deaf(LATE).endswith(
        ": 2 came without the token in tokens/webhook. Give Alertmanager a copy of this file"
    )


def test_any_webhook_ends_the_first_silence(hearing: Hearing) -> None:
    """A set-up without the watchdog hears of alerts only."""
    hearing.heard(SOON, watchdog=False)
    assert hearing.deaf(NOW + timedelta(days=3)) == ""


def test_a_watchdog_that_stops_is_deafness(hearing: Hearing) -> None:
    """Other alerts may be silent for days, but the watchdog comes every 30 s."""
    hearing.heard(NOW, watchdog=True)
    assert hearing.deaf(SOON) == ""
    assert "has not arrived since 2026-11-21T08:20:00.000Z" in hearing.deaf(LATE)
    hearing.heard(LATE, watchdog=True)
    assert hearing.deaf(LATE) == ""


def test_without_an_alertmanager_nothing_is_expected() -> None:
    """The settings name none, so a silence says nothing."""
    assert Hearing(started_at=NOW, expected=False, deaf_after=DEAF_AFTER).deaf(NOW + timedelta(days=3)) == ""


def test_what_another_receiver_hears_counts(hearing: Hearing) -> None:
    """A balancer sends everything to one of several receivers; the others share its journal, and are not deaf."""
    hearing.heard_by_another(SOON)
    assert hearing.deaf(LATE) == ""
    assert "has not arrived since" in hearing.deaf(SOON + DEAF_AFTER)
    hearing.heard_by_another(LATE)
    hearing.heard_by_another(SOON)
    assert hearing.deaf(SOON + DEAF_AFTER) == ""


def test_what_another_receiver_heard_before_the_start_does_not(hearing: Hearing) -> None:
    """The journal remembers yesterday's watchdog, and Alertmanager has a while to send today's."""
    hearing.heard_by_another(NOW - timedelta(days=1))
    assert hearing.deaf(SOON) == ""
    assert "since the start" in hearing.deaf(LATE)


def test_a_receiver_with_another_token_than_its_neighbours_says_so(hearing: Hearing) -> None:
    """Alertmanager sends to each receiver, and only one of them has the token that Alertmanager sends."""
    hearing.refuse(SOON)
    hearing.heard_by_another(LATE)
    assert "1 came without the token in tokens/webhook" in hearing.deaf(LATE)
    hearing.heard(LATE, watchdog=True)
    assert hearing.deaf(LATE) == ""


def test_a_person_without_a_token_makes_nobody_deaf(hearing: Hearing) -> None:
    """One refused request, long ago; everything else goes to another receiver."""
    hearing.refuse(NOW)
    hearing.heard_by_another(LATE)
    assert hearing.deaf(LATE) == ""
