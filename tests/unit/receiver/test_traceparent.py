"""W3C's `traceparent`: what is taken, what is refused, and identifiers that always follow from others."""

import pytest

from receiver import traceparent
from receiver.traceparent import Parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "text", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f" 00-{TRACE}-{SPAN}-01 ", f"cc-{TRACE}-{SPAN}-01-more"]
)
def test_valid_headers(text: str) -> None:
    """Sampled or not; a later version may have more fields."""
    assert traceparent.parse(text) == Parent(trace_id=TRACE, span_id=SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_invalid_headers(text: str) -> None:
    """Version ff, zeros, capitals, wrong lengths, and more fields in version 00."""
    assert traceparent.parse(text) is None


def test_what_is_sent_is_valid() -> None:
    """Also for identifiers of other kinds, such as `X-Trace-ID: t-1`."""
    assert traceparent.header(TRACE, "r-1").startswith(f"00-{TRACE}-")
    for trace in (TRACE, "t-1", "0" * 32):
        sent = traceparent.parse(traceparent.header(trace, "r-1"))
        assert sent is not None
        assert sent == traceparent.parse(traceparent.header(trace, "r-1"))


@pytest.mark.parametrize("request_id", [TRACE, "0" * 32, f"{'1' * 16}{'0' * 16}", "r-1", TRACE.upper()])
def test_every_request_has_a_valid_span(request_id: str) -> None:
    """A span of nothing but zeros is not valid. Our own identifiers end with their spans."""
    sent = traceparent.parse(traceparent.header(TRACE, request_id))
    assert sent is not None
    assert (sent.span_id == request_id[16:]) == (request_id == TRACE)
