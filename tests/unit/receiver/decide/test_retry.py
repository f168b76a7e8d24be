"""When something is tried again, and when it is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.decide.retry import (
    BACKOFF_S,
    RETRY_AFTER_MAX_S,
    DeadLetter,
    Kind,
    Retry,
    after_failure,
    classify_http,
    classify_smtp,
)


def test_four_retries_then_dead_letter() -> None:
    """1, 5, 25, 125 seconds, then no more."""
    answers = [after_failure(Kind.TEMPORARY, failures=n, jitter=0.0) for n in range(1, 6)]
    assert answers == [*(Retry(delay_s=s) for s in (1.0, 5.0, 25.0, 125.0)), DeadLetter(reason="failed 5 times")]


def test_permanent_failure_is_given_up_at_once() -> None:
    """What is refused is not tried again."""
    assert after_failure(Kind.PERMANENT, failures=1, jitter=0.0) == DeadLetter(reason="permanent failure")


@pytest.mark.parametrize(
    "retry_after_s, delay_s", [(None, 5.0), (0.0, 5.0), (4.9, 5.0), (37.0, 37.0), (1e9, RETRY_AFTER_MAX_S)]
)
def test_the_larger_wait_wins(retry_after_s: float | None, delay_s: float) -> None:
    """The server's wish counts where it is longer than ours, up to an hour."""
    answer = after_failure(Kind.RATE_LIMITED, failures=2, jitter=0.0, retry_after_s=retry_after_s)
    assert answer == Retry(delay_s=delay_s)


def test_a_freeze_is_never_given_up() -> None:
    """`forever` stays at the longest pause, whatever the failure."""
    for kind in Kind:
        assert after_failure(kind, failures=1000, jitter=0.0, forever=True) == Retry(delay_s=125.0)


@given(st.integers(1, 4), st.floats(0, 1, exclude_max=True))
def test_jitter_only_adds_up_to_a_fifth(failures: int, jitter: float) -> None:
    """A pause is never shorter than its step."""
    answer = after_failure(Kind.TEMPORARY, failures=failures, jitter=jitter)
    assert isinstance(answer, Retry)
    step = BACKOFF_S[failures - 1]
    assert step <= answer.delay_s <= step * 1.2


@pytest.mark.parametrize("failures, jitter", [(0, 0.0), (1, 1.0), (1, -0.1)])
def test_nonsense_is_refused(failures: int, jitter: float) -> None:
    """Counting starts at 1, jitter lies in [0, 1)."""
    with pytest.raises(ValueError, match="not"):
        after_failure(Kind.TEMPORARY, failures=failures, jitter=jitter)


@pytest.mark.parametrize(
    "status, kind",
    [
        (200, None),
        (202, None),
        (302, Kind.PERMANENT),
        (400, Kind.PERMANENT),
        (404, Kind.PERMANENT),
        (408, Kind.TEMPORARY),
        (425, Kind.TEMPORARY),
        (429, Kind.RATE_LIMITED),
        (500, Kind.TEMPORARY),
        (503, Kind.TEMPORARY),
    ],
)
def test_http_statuses_are_told_apart(status: int, kind: Kind | None) -> None:
    """Success, refusal, trouble and a plea for patience."""
    assert classify_http(status) == kind


@pytest.mark.parametrize(
    "code, kind", [(250, None), (354, None), (421, Kind.TEMPORARY), (451, Kind.TEMPORARY), (550, Kind.PERMANENT)]
)
def test_smtp_codes_are_told_apart(code: int, kind: Kind | None) -> None:
    """4xx may be tried again, 5xx not."""
    assert classify_smtp(code) == kind
