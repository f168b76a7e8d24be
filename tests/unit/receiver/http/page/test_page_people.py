"""Who somebody is, as a proxy or an identity provider says: what is believed, and what is not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from joserfc.jwk import RSAKey
from msgspec import Struct
from multidict import CIMultiDict

from receiver.http.page import session
from receiver.http.page.oidc import LoginError, Provider, cookie_of, pending_of
from receiver.http.page.people import Grants, Person, Proxy, name_of
from receiver.http.tokens import Role
from receiver.notify.secret import SecretFile
from tests.fakes.faults import Answer
from tests.fakes.identity import CLIENT, CLIENT_SECRET, Identity, identity

PUBLIC = "https://freeze.example.org/ops"
KEY = b"k" * 32


class World(Struct, kw_only=True):
    """A provider, the receiver as its client, and a clock."""

    provider: Provider
    fake: Identity
    http: aiohttp.ClientSession
    at: datetime

    async def comes_back(self) -> tuple[dict[str, str], Any]:
        """Begin a login, go through the provider's page, and come back."""
        address, pending = await self.provider.begin("page/incidents")
        async with self.http.get(address, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
            place = urlsplit(answer.headers["Location"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == self.provider.redirect_uri
        return {name: values[0] for name, values in parse_qs(place.query).items()}, pending

    async def logs_in(self) -> Person:
        """A whole login."""
        return await self.provider.finish(*await self.comes_back())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A provider that knows the receiver."""
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    async with aiohttp.ClientSession() as http, identity(f"{PUBLIC}/page/oidc-done") as fake:
        made: World
        provider = Provider(
            http=http,
            issuer=fake.url,
            client_id=CLIENT,
            secret=SecretFile(path=tmp_path / "secret"),
            scope="openid",
            name_claim="preferred_username",
            grants=Grants(read=("email=ben@example.org",), operate=("groups=sre",)),
            public_url=PUBLIC,
            clock=lambda: made.at,
        )
        made = World(provider=provider, fake=fake, http=http, at=datetime.now(UTC))
        yield made


async def test_somebody_logs_in_with_name_and_role(world: World) -> None:
    """The provider checks client, address and PKCE; its description is asked once."""
    assert await world.logs_in() == Person(name="ana", role=Role.OPERATE)
    assert await world.logs_in() == Person(name="ana", role=Role.OPERATE)
    assert world.fake.asked == ["description"]


@pytest.mark.parametrize(
    "claims, person",
    [
        (
            {"sub": "u2", "email": "ben@example.org", "email_verified": True},
            Person(name="ben@example.org", role=Role.READ),
        ),
        ({"sub": "u2", "email": "ben@example.org"}, Person(name="u2", role=None)),
        ({"sub": "u2", "email": "ben@example.org", "email_verified": "true"}, Person(name="u2", role=None)),
        ({"sub": "u3", "preferred_username": "eve", "groups": "sre"}, Person(name="eve", role=Role.OPERATE)),
        ({"sub": "u4", "preferred_username": "e\x1bve\u202e", "groups": [{"sre": 1}]}, Person(name="e ve", role=None)),
    ],
)
async def test_only_listed_people_may_do_anything(world: World, claims: dict[str, Any], person: Person) -> None:
    """An address that nobody checked is no proof."""
    world.fake.person = claims
    found = await world.logs_in()
    assert (found.name.replace("  ", " ").strip(), found.role) == (person.name, person.role)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"iss": "https://another.example.org"},
        {"exp": 1},
        {"iat": 99999999999},
        {"sub": None},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_token_for_another_purpose_is_refused(world: World, wrong: dict[str, Any]) -> None:
    """Every claim is checked."""
    world.fake.wrong = wrong
    with pytest.raises(LoginError, match="ID token is"):
        await world.logs_in()


async def test_a_token_with_another_signature_is_refused(world: World) -> None:
    """Another key, and the public key as a shared secret."""
    world.fake.signing = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(LoginError, match="not valid"):
        await world.logs_in()
    world.fake.with_shared_secret()
    with pytest.raises(LoginError, match="not valid"):
        await world.logs_in()


async def test_new_keys_of_the_provider_are_found(world: World) -> None:
    """A provider changes its keys."""
    await world.logs_in()
    world.fake.key = RSAKey.generate_key(2048, {"kid": "two", "use": "sig", "alg": "RS256"})
    assert (await world.logs_in()).name == "ana"


async def test_an_answer_of_another_login_is_refused(world: World) -> None:
    """State, issuer, time, and the code's single use."""
    query, pending = await world.comes_back()
    for wrong in ({"state": "x"}, {"iss": "https://another.example.org"}):
        with pytest.raises(LoginError, match="another"):
            await world.provider.finish({**query, **wrong}, pending)
    with pytest.raises(LoginError, match="another login"):
        await world.provider.finish({name: value for name, value in query.items() if name != "state"}, pending)
    await world.provider.finish(query, pending)
    with pytest.raises(LoginError, match="invalid_grant"):
        await world.provider.finish(query, pending)
    world.at += timedelta(minutes=11)
    with pytest.raises(LoginError, match="too long"):
        await world.provider.finish(query, pending)


@pytest.mark.parametrize(
    "fault, said",
    [
        (Answer(status=500), "does not answer"),
        (Answer(status=200, body="<html>"), "not JSON"),
        (Answer(status=200, body="[]"), "not JSON"),
        (Answer(status=302, body="{}"), "refused: 302"),
        (Answer(status=200, body='{"issuer": "https://another.example.org"}'), "another name"),
    ],
)
async def test_a_provider_in_trouble_is_said(world: World, fault: Answer, said: str) -> None:
    """The visitor reads what is wrong, and the next login works."""
    world.fake.faults.append(fault)
    with pytest.raises(LoginError, match=said):
        await world.logs_in()
    assert (await world.logs_in()).name == "ana"


async def test_a_provider_that_is_away_or_refuses_is_said(world: World, tmp_path: Path) -> None:
    """Connection refused, the person's own refusal, keys at an unencrypted address, a missing secret."""
    world.fake.wrong = {"jwks_uri": "http://192.0.2.1/keys"}
    with pytest.raises(LoginError, match="no usable jwks_uri"):
        await world.logs_in()
    world.fake.wrong = {"refuse": "access_denied\x1b<b>"}
    with pytest.raises(LoginError, match="refused: access_denied") as caught:
        await world.logs_in()
    assert str(caught.value).isprintable()
    world.fake.wrong = {}
    (tmp_path / "secret").write_text("FAKEwrongFAKEsecret")
    with pytest.raises(LoginError, match="invalid_client"):
        await world.logs_in()
    (tmp_path / "secret").unlink()
    with pytest.raises(LoginError, match="cannot log anybody in: secret file"):
        await world.logs_in()
    world.provider.issuer = "http://127.0.0.1:9"
    world.at += timedelta(hours=2)
    with pytest.raises(LoginError, match="does not answer"):
        await world.logs_in()


async def test_a_login_waits_in_a_sealed_cookie(world: World) -> None:
    """Nobody can make one, and a session's cookie is none."""
    _, pending = await world.provider.begin("page/incidents")
    cookie = cookie_of(pending, KEY)
    assert pending_of(cookie, KEY) == pending
    visitor = session.begin(name="ana", role=Role.READ, nonce="n", now=world.at)
    for foreign in (f"{cookie}x", "", "a.b", session.cookie_of(visitor, KEY)):
        assert pending_of(foreign, KEY) is None
    assert session.session_of(cookie, KEY, now=world.at) is None


PROXY = Proxy(
    name_header="X-Forwarded-User",
    groups_header="X-Forwarded-Groups",
    networks=(ip_network("10.0.0.0/8"), ip_network("::1")),
    grants=Grants(read=("*",), operate=("groups=sre", "user=ana")),
)


@pytest.mark.parametrize(
    "peer, headers, person",
    [
        ("10.1.2.3", [("X-Forwarded-User", "ana")], Person(name="ana", role=Role.OPERATE)),
        ("::ffff:10.1.2.3", [("X-Forwarded-User", "ana")], Person(name="ana", role=Role.OPERATE)),
        (
            "::1",
            [("x-forwarded-user", "ben"), ("X-Forwarded-Groups", "web, sre")],
            Person(name="ben", role=Role.OPERATE),
        ),
        ("::1", [("X-Forwarded-User", "ben"), ("X-Forwarded-Groups", "sre2")], Person(name="ben", role=Role.READ)),
        ("127.0.0.1", [("X-Forwarded-User", "ana")], None),
        ("", [("X-Forwarded-User", "ana")], None),
        ("10.1.2.3", [], None),
        ("10.1.2.3", [("X-Forwarded-User", " ")], None),
        ("10.1.2.3", [("X-Forwarded-User", "ben"), ("X-Forwarded-User", "ana")], None),
    ],
)
def test_only_the_proxy_is_believed(peer: str, headers: list[tuple[str, str]], person: Person | None) -> None:
    """A second name in one request is an attack or a mistake."""
    assert PROXY.person(peer, CIMultiDict(headers)) == person


def test_nobody_may_do_anything_by_default() -> None:
    """An identity provider may know the whole world."""
    assert Grants().role({"sub": "u1", "groups": ["sre"]}) is None
    nested = Grants(operate=("realm_access.roles=freeze",))
    assert nested.role({"realm_access": {"roles": ["freeze"]}}) is Role.OPERATE
    assert nested.role({"realm_access": "freeze"}) is None
    assert name_of({"sub": "u1", "name": ""}, "name") == "u1"
