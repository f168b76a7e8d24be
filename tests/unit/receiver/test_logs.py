"""The log says a thing once."""

import io
import json
import logging

import pytest

from receiver import logs


@pytest.fixture
def stream() -> io.StringIO:
    """Where the log of a test goes."""
    return io.StringIO()


def test_a_warning_that_repeats_is_counted_and_not_written(stream: io.StringIO) -> None:
    """Numbers do not make a record another record; after a minute the count is said."""
    times = iter([0.0, 1.0, 2.0, 59.9, 60.0])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    handler.addFilter(logs.Once(lambda: next(times)))
    log = logging.Logger("x")  # noqa: LOG001 - apart from the process's own loggers
    log.addHandler(handler)
    for number in range(5):
        log.warning("accept failed on fd=%d", number, extra={"why": f"errno {number}"})
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["message"], one.get("repeated")) for one in said] == [
        ("accept failed on fd=0", None),
        ("accept failed on fd=4", 3),
    ]


def test_other_warnings_and_all_information_are_written(stream: io.StringIO) -> None:
    """A flag that fails does not silence another flag, nor a request."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(logs.Once(lambda: 0.0))
    log = logging.Logger("x")  # noqa: LOG001 - apart from the process's own loggers
    log.addHandler(handler)
    for flag in ("a", "b"):
        log.warning("flag.failed", extra={"flag": flag})
        log.info("told")
        log.warning("request", extra={"action": "request"})
    assert len(stream.getvalue().splitlines()) == 6
