"""Logging in with an identity provider: OpenID Connect, authorization code with PKCE.

joserfc checks the signature and the claims of the ID token. The module asks the provider for nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from msgspec import Struct

from receiver.decide.notice import PermanentFailure
from receiver.http.page.people import Grants, Person, name_of
from receiver.http.page.session import seal, unseal
from receiver.notify.channel import unsafe_url
from receiver.notify.secret import SecretFile
from receiver.plaintext import plain

TIMEOUT_S = 10.0
ANSWER_MAX_BYTES = 1024 * 1024
LEEWAY_S = 60
PENDING = timedelta(minutes=10)
"""How long somebody may take at the provider."""

KEEP = timedelta(hours=1)
"""How long the provider's own description and keys are kept."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures with the provider's key alone: `none` and shared secrets are no proof here."""


class LoginError(Exception):
    """Nobody was logged in. `status` is the status of the answer; the message is for the visitor."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Pending(Struct, frozen=True, kw_only=True):
    """A login that has begun. The browser keeps this in a signed cookie; `back` is the page to return to."""

    state: str
    nonce: str
    verifier: str
    back: str
    until: int


class Provider(Struct, kw_only=True):
    """One identity provider, and this receiver as its client."""

    http: aiohttp.ClientSession
    issuer: str
    client_id: str
    secret: SecretFile | None
    scope: str
    name_claim: str
    grants: Grants
    public_url: str
    clock: Callable[[], datetime]
    _known: Mapping[str, Any] | None = None
    _keys: Any = None
    _asked_at: datetime | None = None

    @property
    def name(self) -> str:
        """What the login page calls the provider."""
        return urlsplit(self.issuer).hostname or self.issuer

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to. The provider must know exactly this address."""
        return f"{self.public_url.rstrip('/')}/page/oidc-done"

    async def begin(self, back: str) -> tuple[str, Pending]:
        """The address at the provider to which to send somebody. Raises LoginError."""
        known = await self._metadata()
        pending = Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            back=back,
            until=int((self.clock() + PENDING).timestamp()),
        )
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": _challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        address = known["authorization_endpoint"]
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", pending

    async def finish(self, query: Mapping[str, str], pending: Pending) -> Person:
        """Who came back from the provider. Raises LoginError."""
        if int(self.clock().timestamp()) > pending.until:
            raise LoginError(400, "The login took too long. Log in again.")
        if not secrets.compare_digest(query.get("state", "").encode(), pending.state.encode()):
            raise LoginError(400, "This answer belongs to another login. Log in again.")
        if query.get("iss", self.issuer) != self.issuer:
            raise LoginError(400, "This answer comes from another identity provider. Log in again.")
        if "code" not in query:
            raise LoginError(403, f"The identity provider refused: {plain(query.get('error', 'no reason'), 80)}")
        claims = await self._claims(await self._id_token(query["code"], pending), pending.nonce)
        return Person(name=name_of(claims, self.name_claim), role=self.grants.role(claims))

    async def _id_token(self, code: str, pending: Pending) -> str:
        known = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": pending.verifier,
        }
        answer = await self._ask("POST", known["token_endpoint"], form=form, headers=self._authorization())
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise LoginError(503, "The identity provider's answer has no ID token.")
        return token

    def _authorization(self) -> Mapping[str, str]:
        if self.secret is None:
            return {}
        try:
            secret = self.secret.read()
        except PermanentFailure as error:
            raise LoginError(503, f"The receiver cannot log anybody in: {error.reason}") from None
        pair = f"{quote(self.client_id, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt  # noqa: PLC0415 - the extra `oidc`
        from joserfc.errors import JoseError  # noqa: PLC0415 - as above

        wanted = jwt.JWTClaimsRegistry(
            now=int(self.clock().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = (await self._decoded(token)).claims
            wanted.validate(claims)
        except (JoseError, ValueError) as error:
            raise LoginError(403, f"The identity provider's ID token is not valid ({type(error).__name__}).") from None
        if claims.get("azp", self.client_id) != self.client_id:
            raise LoginError(403, "The identity provider's ID token is for another client.")
        return dict(claims)

    async def _decoded(self, token: str) -> Any:
        """The token, checked with the provider's keys; asked anew once, because a provider changes its keys."""
        from joserfc import jwt  # noqa: PLC0415 - the extra `oidc`
        from joserfc.errors import JoseError  # noqa: PLC0415 - as above

        await self._metadata()
        try:
            return jwt.decode(token, self._keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            self._asked_at = None
            await self._metadata()
            return jwt.decode(token, self._keys, algorithms=list(ALGORITHMS))

    async def _metadata(self) -> Mapping[str, Any]:
        """The provider's description of itself, with its keys in `_keys`."""
        from joserfc.errors import JoseError  # noqa: PLC0415 - the extra `oidc`
        from joserfc.jwk import KeySet  # noqa: PLC0415 - as above

        now = self.clock()
        if self._known is not None and self._asked_at is not None and now - self._asked_at < KEEP:
            return self._known
        known = await self._ask("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if known.get("issuer") != self.issuer:
            raise LoginError(503, "The identity provider calls itself by another name than `oidc.issuer`.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(known.get(name), str) or unsafe_url(known[name]) is not None:
                raise LoginError(503, f"The identity provider names no usable {name}.")
        keys = await self._ask("GET", known["jwks_uri"])
        try:
            self._keys = KeySet.import_key_set(keys)  # type: ignore[arg-type] # checked by joserfc
        except (JoseError, ValueError, KeyError, TypeError):
            raise LoginError(503, "The identity provider's keys cannot be read.") from None
        self._known, self._asked_at = known, now
        return known

    async def _ask(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        away = LoginError(503, "The identity provider does not answer. Try again, or log in with a token.")
        try:
            async with self.http.request(
                method, url, data=form, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                body = b""
                while len(body) <= ANSWER_MAX_BYTES and (piece := await answer.content.readany()):
                    body += piece
                status = answer.status
        except (TimeoutError, aiohttp.ClientError, OSError):
            raise away from None
        if status >= 500 or status == 429:
            raise away
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or len(body) > ANSWER_MAX_BYTES:
            raise LoginError(503, "The identity provider's answer is not JSON.")
        if status != 200:
            raise LoginError(403, f"The identity provider refused: {plain(str(said.get('error', status)), 80)}")
        return said


def cookie_of(pending: Pending, key: bytes) -> str:
    """The cookie's value of a login that has begun."""
    return seal("oidc", [pending.state, pending.nonce, pending.verifier, pending.back, pending.until], key)


def pending_of(cookie: str, key: bytes) -> Pending | None:
    """The login of a cookie; None for a foreign or altered cookie."""
    match unseal("oidc", cookie, key):
        case [str(state), str(nonce), str(verifier), str(back), int(until)]:
            return Pending(state=state, nonce=nonce, verifier=verifier, back=back, until=until)
    return None


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
