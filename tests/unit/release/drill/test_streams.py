"""The verdict over many streams: the share that was answered, and the time to the first event."""

import asyncio
from collections.abc import Sequence

import pytest

from release.drill.experiment import Outcome, run
from release.drill.stream import Limits, Opened, Streams, percentile

LIMITS = Limits(streams=20, at_once=4, limit_s=5, first_event_s=0.5, connected=0.95)


def drilled(opened: Sequence[Opened]) -> tuple[Outcome, Streams]:
    """A drill in which the streams go as listed. The streams of the steady state go well."""
    found = iter((Opened(first_event_s=0.1), *opened, Opened(first_event_s=0.1)))

    async def open_one() -> Opened:
        return next(found)

    streams = Streams(open=open_one, limits=LIMITS, opened=[])
    return asyncio.run(run(streams.experiment())), streams


def test_all_streams_are_answered_in_time() -> None:
    """One slow stream in twenty is within the 95th percentile."""
    outcome, streams = drilled([Opened(first_event_s=0.2)] * 19 + [Opened(first_event_s=3.0)])
    assert (outcome.ok, streams.connected, streams.first_event_s) == (True, 1.0, 0.2)


def test_two_slow_streams_in_twenty_are_too_many() -> None:
    """The 95th percentile is one of the slow ones."""
    outcome, streams = drilled([Opened(first_event_s=0.2)] * 18 + [Opened(first_event_s=3.0)] * 2)
    assert streams.first_event_s == 3.0
    assert outcome.why == ("first event: 95 % of the first events came within 3.000 s, not 0.5 s",)


@pytest.mark.parametrize(
    "lost,why", [(1, ()), (2, ("connections: 90.0% of 20 streams were answered, less than 95.0%: reset",))]
)
def test_lost_connections(lost: int, why: tuple[str, ...]) -> None:
    """95 % of twenty streams are nineteen. The reason of the first loss is told."""
    outcome, streams = drilled([Opened(first_event_s=0.2)] * (20 - lost) + [Opened(why="reset")] * lost)
    assert (outcome.why, streams.connected) == (why, (20 - lost) / 20)


def test_percentiles() -> None:
    """The smallest value that so many do not exceed."""
    assert percentile([], 0.95) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 101)], 0.95) == 95.0
