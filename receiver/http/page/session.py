"""Sessions of the page: a signed cookie, so that nothing is stored and a restart logs nobody out. Pure.

The signing key is derived from the `operate` token, so a new token ends every session.
"""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from receiver.http.tokens import Role
from receiver.plaintext import plain

LIFETIME = timedelta(hours=12)
COOKIE_MAX = 1024
NAME_MAX = 64
_BY_PROXY = "proxy:"
_PURPOSE = b"freezeline page session/1"


class Session(Struct, frozen=True, kw_only=True):
    """The visitor of the page. `role` is `read` or `operate`; `nonce` tells sessions apart."""

    name: str
    role: Role
    nonce: str
    expires_at: datetime

    @property
    def may_operate(self) -> bool:
        """Whether the visitor may change anything."""
        return self.role is Role.OPERATE

    @property
    def by_proxy(self) -> bool:
        """Whether a proxy names the visitor with each request, so that only the proxy can log out."""
        return self.nonce.startswith(_BY_PROXY)


def key_of(operate_token: str) -> bytes:
    """The key that signs sessions."""
    return hmac.digest(operate_token.encode(), _PURPOSE, hashlib.sha256)


def begin(*, name: str, role: Role, nonce: str, now: datetime) -> Session:
    """A new session; an empty name becomes "somebody"."""
    return Session(name=plain(name, NAME_MAX) or "somebody", role=role, nonce=nonce, expires_at=now + LIFETIME)


def of_proxy(*, name: str, role: Role, now: datetime) -> Session:
    """The session of somebody whom a proxy names with each request. No cookie keeps this session."""
    return Session(name=name, role=role, nonce=f"{_BY_PROXY}{name}", expires_at=now + LIFETIME)


def cookie_of(session: Session, key: bytes) -> str:
    """The cookie's value."""
    fields = [session.name, session.role.value, session.nonce, int(session.expires_at.timestamp())]
    return seal("session", fields, key)


def session_of(cookie: str, key: bytes, *, now: datetime) -> Session | None:
    """The session of a cookie. For a foreign, altered or expired cookie None: the visitor must log in."""
    try:
        name, role, nonce, expires = unseal("session", cookie, key) or []
        session = Session(name=name, role=Role(role), nonce=nonce, expires_at=datetime.fromtimestamp(expires, UTC))
    except (ValueError, TypeError):
        return None
    return session if now < session.expires_at else None


def seal(purpose: str, fields: list[Any], key: bytes) -> str:
    """Values for a cookie, signed for a purpose."""
    body = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
    return f"{body}.{_sign(key, purpose, body)}"


def unseal(purpose: str, cookie: str, key: bytes) -> list[Any] | None:
    """The values of a cookie; None if the cookie was not sealed with this key for this purpose."""
    body, _, signature = cookie.rpartition(".")
    if len(cookie) > COOKIE_MAX or not _same(signature, _sign(key, purpose, body)):
        return None
    try:
        fields: Any = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        return None
    return fields if isinstance(fields, list) else None


def csrf_of(session: Session, key: bytes) -> str:
    """The token that every form of this session carries."""
    return _sign(key, "csrf", session.nonce)


def csrf_matches(given: str, session: Session, key: bytes) -> bool:
    """Whether a form came from this session's own page. Takes equal time for any token."""
    return _same(given, csrf_of(session, key))


def _sign(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, _bytes(f"{purpose}:{text}"), hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(_bytes(given), _bytes(wanted))


def _bytes(text: str) -> bytes:
    """Text as bytes. Bytes of a header that are not UTF-8 arrive as surrogates, and stay what they were."""
    return text.encode("utf-8", "surrogatepass")
