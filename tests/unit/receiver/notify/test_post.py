"""What a Retry-After header asks for, and what stays out of messages."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.notify.post import retry_after_s
from receiver.notify.secret import redact
from receiver.plaintext import plain

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "header, seconds",
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("9" * 5000, 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3600.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 +0000", 3600.0),
        ("Fri, 02 Jan 2026 03:05:05 +999999999", None),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    """RFC 9110, 10.2.3; anything else asks for nothing."""
    assert retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    "text, secret, shown",
    [
        (
            "POST https://h/services/T0/B0000000/longsecret1 failed",
            "https://h/services/T0/B0000000/longsecret1",
            "POST [redacted] failed",
        ),
        ("path /services/T0/B0000000/longsecret1", "https://h/services/T0/B0000000/longsecret1", "path [redacted]"),
        ("only longsecret1", "https://h/services/T0/B0000000/longsecret1", "only [redacted]"),
        ("key ABC in it", "ABC", "key [redacted] in it"),
        ("host h is down", "https://h/services/longsecret1", "host h is down"),
    ],
)
def test_secrets_are_hidden_whole_and_in_pieces(text: str, secret: str, shown: str) -> None:
    """The URL, its path, its last part."""
    assert redact(text, secret) == shown


@given(st.text(max_size=400), st.integers(1, 80))
def test_plain_text_is_one_short_printable_line(text: str, limit: int) -> None:
    """Whatever goes in (joiners alone are kept, for the scripts that need them)."""
    line = plain(text, limit)
    assert len(line) <= limit
    assert line.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert plain(line, limit) == line
