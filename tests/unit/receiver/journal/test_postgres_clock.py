"""The server's time between two of its answers."""

from datetime import UTC, datetime, timedelta

from receiver.journal.postgres_clock import ServerClock

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Elapsed:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        """The seconds."""
        return self.s


def after(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def test_the_servers_time_goes_on_between_answers() -> None:
    """Before the first answer, the caller's time counts."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    assert clock.now(otherwise=NEVER) == NEVER
    clock.read(NOON)
    elapsed.s += 7
    assert clock.now(otherwise=NEVER) == after(7)


def test_a_slow_answer_does_not_set_the_time_back() -> None:
    """The answer left the server half a second ago. An answer that was faster than all before sets the time ahead."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    clock.read(NOON)
    elapsed.s += 10
    clock.read(after(9.5))
    assert clock.now(otherwise=NEVER) == after(10)
    clock.read(after(10.2))
    assert clock.now(otherwise=NEVER) == after(10.2)


def test_a_server_with_another_time_counts_at_once() -> None:
    """After a failover, or after somebody set the server's clock."""
    elapsed = Elapsed()
    clock = ServerClock(elapsed)
    for there in (0.0, -600.0, 600.0):
        clock.read(after(there))
        elapsed.s += 1
        assert clock.now(otherwise=NEVER) == after(there + 1)
