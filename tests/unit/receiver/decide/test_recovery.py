"""The mean times of incidents."""

from datetime import timedelta

from receiver.decide.recovery import Lasted, mean_times
from tests.unit.receiver.builders import NOW, at


def test_an_open_incident_counts_for_the_acknowledgement_alone() -> None:
    """Nobody knows yet how long the incident will last."""
    ended = Lasted(service="gateway", opened_at=NOW, recovered_at=at(600), acked_at=at(120))
    short = Lasted(service="gateway", opened_at=NOW, recovered_at=at(60))
    still = Lasted(service="gateway", opened_at=at(700), acked_at=at(1060))
    made = mean_times([ended, short, still])
    assert (made.recovery, made.longest) == (timedelta(seconds=330), timedelta(seconds=600))
    assert (made.acknowledgement, made.ended, made.open) == (timedelta(seconds=240), 2, 1)


def test_without_incidents_there_is_no_mean() -> None:
    """Not zero: zero would be a wonderful recovery."""
    made = mean_times([])
    assert (made.recovery, made.longest, made.acknowledgement, made.ended, made.open) == (None, None, None, 0, 0)
