"""Sessions of the page: only our own, unaltered and unexpired cookies open it."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.http.page.session import LIFETIME, Session, begin, cookie_of, csrf_matches, csrf_of, key_of, session_of
from receiver.http.tokens import Role

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = key_of("operate-token-for-tests")


def visitor(role: Role = Role.OPERATE, name: str = "Ana", nonce: str = "n1") -> Session:
    """A session begun now."""
    return begin(name=name, role=role, nonce=nonce, now=NOW)


@pytest.mark.parametrize("role", [Role.READ, Role.OPERATE])
def test_a_cookie_gives_its_session_back(role: Role) -> None:
    """Name, role, nonce and end."""
    assert session_of(cookie_of(visitor(role), KEY), KEY, now=NOW) == visitor(role)


def test_a_session_ends() -> None:
    """After its lifetime, to the second."""
    cookie = cookie_of(visitor(), KEY)
    assert session_of(cookie, KEY, now=NOW + LIFETIME - timedelta(seconds=1)) == visitor()
    assert session_of(cookie, KEY, now=NOW + LIFETIME) is None


def test_a_new_operate_token_ends_every_session() -> None:
    """The key is derived from it."""
    assert session_of(cookie_of(visitor(), KEY), key_of("another-token"), now=NOW) is None


@given(st.integers(0, 500), st.integers(1, 255))
def test_an_altered_cookie_opens_nothing(where: int, by: int) -> None:
    """Whichever byte is changed."""
    raw = bytearray(cookie_of(visitor(Role.READ), KEY).encode())
    raw[where % len(raw)] ^= by
    assert session_of(raw.decode("latin-1"), KEY, now=NOW) is None


@given(st.text(max_size=80))
def test_any_other_text_opens_nothing(text: str) -> None:
    """And raises nothing."""
    assert session_of(text, KEY, now=NOW) is None


@pytest.mark.parametrize("body", ["W10", "e30", "bnVsbA", "WzEsMiwzLDRd", "!!!!", ""])
def test_a_signed_cookie_with_another_content_opens_nothing(body: str) -> None:
    """The signature alone is not enough: the content must be a session."""
    signature = hmac.new(KEY, f"session:{body}".encode(), hashlib.sha256).hexdigest()
    assert session_of(f"{body}.{signature}", KEY, now=NOW) is None


def test_forms_belong_to_one_session() -> None:
    """Another session's token, none, or a cookie's signature do not pass."""
    mine, other = visitor(nonce="n1"), visitor(nonce="n2")
    assert csrf_matches(csrf_of(mine, KEY), mine, KEY)
    for wrong in (csrf_of(other, KEY), "", "ü", cookie_of(mine, KEY).rpartition(".")[2]):
        assert not csrf_matches(wrong, mine, KEY)


@pytest.mark.parametrize("name, shown", [("", "somebody"), ("\x1b[1mAna\n", "[1mAna"), ("x" * 99, "x" * 63 + "…")])
def test_names_are_made_plain(name: str, shown: str) -> None:
    """They go into the journal."""
    assert visitor(name=name).name == shown
