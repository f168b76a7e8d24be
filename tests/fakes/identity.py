"""An identity provider: OpenID Connect's code flow with PKCE, as strict as real ones, with keys that can be changed."""

import base64
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from msgspec import Struct, field

from tests.fakes.faults import Answer, Fault, Hang

CLIENT = "freezeline"
CLIENT_SECRET = "FAKEclientFAKEsecret"


class Identity(Struct, kw_only=True):
    """One provider. `person` are the claims of whoever logs in; `wrong` overrides members of the next ID tokens."""

    redirect_uri: str
    url: str = ""
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "u1", "preferred_username": "ana", "groups": ["sre"]}
    )
    wrong: dict[str, Any] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}))
    signing: Any = None
    algorithm: str = "RS256"
    now: Any = field(default_factory=lambda: lambda: datetime.now().astimezone())

    async def description(self, _request: web.Request) -> web.StreamResponse:
        """The provider's metadata."""
        self.asked.append("description")
        return await self._or_fault(
            {
                "issuer": self.wrong.get("issuer", self.url),
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": self.wrong.get("jwks_uri", f"{self.url}/keys"),
            }
        )

    async def keys(self, _request: web.Request) -> web.StreamResponse:
        """The public keys."""
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Log the person in at once, and send the browser back."""
        query = dict(request.query)
        if query["client_id"] != CLIENT or query["redirect_uri"] != self.redirect_uri:
            return web.Response(status=400, text="unknown client or redirect_uri")
        if query["response_type"] != "code" or query["code_challenge_method"] != "S256":
            return web.Response(status=400, text="unsupported")
        if "refuse" in self.wrong:
            back = {"error": self.wrong["refuse"], "state": query["state"]}
        else:
            code = f"code-{len(self.codes)}"
            self.codes[code] = query
            back = {"code": code, "state": query["state"], "iss": self.url}
        raise web.HTTPFound(f"{self.redirect_uri}?{urlencode(back)}")

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Give an ID token for a code, once, to the client that asked."""
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        kind, _, pair = request.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        if (kind, unquote(client), unquote(secret)) != ("Basic", CLIENT, CLIENT_SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or form["redirect_uri"] != self.redirect_uri:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return await self._or_fault({"access_token": "x", "token_type": "Bearer", "id_token": self.signed(asked)})

    def signed(self, asked: dict[str, str]) -> str:
        """The ID token for a login."""
        now = int(self.now().timestamp())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.person,
            **{name: value for name, value in self.wrong.items() if name not in {"issuer", "jwks_uri", "refuse"}},
        }
        header = {"alg": self.algorithm, "kid": self.key.kid}
        return jwt.encode(header, claims, self.signing or self.key, algorithms=[self.algorithm])

    def with_shared_secret(self) -> None:
        """Sign with the public key as an HMAC secret, the classic confusion of algorithms."""
        pem = self.key.as_pem(private=False)
        self.signing, self.algorithm = OctKey.import_key(base64.b64encode(pem).decode()), "HS256"

    async def _or_fault(self, said: dict[str, Any]) -> web.StreamResponse:
        match self.faults.popleft() if self.faults else None:
            case Answer(status=status, body=text):
                return web.Response(status=status, text=text)
            case Hang():
                raise web.HTTPGatewayTimeout
        return web.json_response(said)


@asynccontextmanager
async def identity(redirect_uri: str) -> AsyncIterator[Identity]:
    """A provider on a free loopback port."""
    made = Identity(redirect_uri=redirect_uri)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.description)
    app.router.add_get("/keys", made.keys)
    app.router.add_get("/authorize", made.authorize)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    try:
        yield made
    finally:
        await runner.cleanup()
