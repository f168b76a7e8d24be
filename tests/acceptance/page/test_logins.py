"""Logging in beside tokens, at a real receiver: an identity provider and a trusted proxy give names and roles."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.fakes.identity import CLIENT, CLIENT_SECRET, Identity, identity

pytestmark = pytest.mark.acceptance

PUBLIC = "http://127.0.0.1:9099"


class Door(Struct, kw_only=True):
    """A receiver, its provider, and a browser without pictures."""

    receiver: Receiver
    provider: Identity
    browser: aiohttp.ClientSession

    async def gets(self, path: str, **headers: str) -> tuple[int, str, str]:
        """Status, text and redirect of a page."""
        url = path if path.startswith("http") else f"{self.receiver.url}/{path}"
        async with self.browser.get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text(), answer.headers.get("Location", "")

    async def sends(self, path: str, form: dict[str, str], **headers: str) -> int:
        """The status after sending a form."""
        url = f"{self.receiver.url}/{path}"
        async with self.browser.post(url, data=form, headers=headers, allow_redirects=False) as answer:
            return answer.status

    async def through_the_provider(self, landing: str) -> tuple[int, str, str]:
        """Log in with the provider; what the receiver answers at the end."""
        _, _, there = await self.gets(f"page/oidc?landing={landing}")
        _, _, back = await self.gets(there)
        assert back.startswith(f"{PUBLIC}/page/oidc-done?")
        return await self.gets(back.removeprefix(f"{PUBLIC}/"))


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A receiver that knows a provider, and believes a proxy on this machine."""
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    jar = aiohttp.CookieJar(unsafe=True)
    async with identity(f"{PUBLIC}/page/oidc-done") as provider, aiohttp.ClientSession(cookie_jar=jar) as browser:
        site = Site(root=tmp_path)
        site.settings |= {
            "public_url": PUBLIC,
            "oidc": {
                "issuer": provider.url,
                "client_id": CLIENT,
                "client_secret_file": str(tmp_path / "secret"),
                "operate": ["groups=sre"],
            },
            "proxy": {
                "name_header": "X-Forwarded-User",
                "addresses": ["127.0.0.1"],
                "operate": ["user=cleo"],
                "read": ["user=ben"],
            },
        }
        site.write()
        async with receiver(site) as running:
            yield Door(receiver=running, provider=provider, browser=browser)


def csrf(text: str) -> str:
    """The token in the forms of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', text)
    assert found is not None
    return found.group(1)


async def test_names_come_from_the_provider_or_the_proxy(door: Door) -> None:
    """Each name reaches the journal, and nobody who is not listed gets in."""
    status, text, _ = await door.gets("page/service?name=gateway")
    assert (status, "Log in with 127.0.0.1" in text) == (200, True)
    assert "page/oidc?landing=page/service%3Fname%3Dgateway" in text

    status, _, place = await door.through_the_provider("page/service%3Fname%3Dgateway")
    assert (status, place) == (303, "../page/service?name=gateway")
    _, text, _ = await door.gets("page/service?name=gateway")
    assert ">ana<" in text
    form = {"service": "gateway", "reason": "database move"}
    assert await door.sends("page/freeze", form) == 403  # a form from elsewhere
    assert await door.sends("page/freeze", {**form, "csrf": csrf(text)}) == 303

    door.browser.cookie_jar.clear()
    door.provider.person = {"sub": "u9", "preferred_username": "<b>eve</b>"}
    status, text, _ = await door.through_the_provider("")
    assert (status, "No list in receiver.yaml names &lt;b&gt;eve&lt;/b&gt;" in text) == (403, True)
    status, text, _ = await door.gets("page/oidc-done?code=code-0&state=x")
    assert (status, "This browser has begun no login" in text) == (400, True)

    door.browser.cookie_jar.clear()
    _, text, _ = await door.gets("", **{"X-Forwarded-User": "ben"})
    assert ("ben (may only look)" in text, "Log out" in text) == (True, False)
    ben = {"service": "gateway", "reason": "moved", "csrf": csrf(text)}
    assert await door.sends("page/unfreeze", ben, **{"X-Forwarded-User": "ben"}) == 403
    assert await door.sends("page/unfreeze", ben, **{"X-Forwarded-User": "cleo"}) == 403  # another one's form
    _, text, _ = await door.gets("", **{"X-Forwarded-User": "cleo"})
    cleo = {**ben, "csrf": csrf(text)}
    assert await door.sends("page/unfreeze", cleo, **{"X-Forwarded-User": "cleo"}) == 303
    _, text, _ = await door.gets("", **{"X-Forwarded-User": "eve"})
    assert "No list in receiver.yaml names eve" in text
    _, text, _ = await door.gets("")
    assert "Log in with 127.0.0.1" in text

    sentences = [one["sentence"] for one in (await door.receiver.get("/api/v1/decisions"))["decisions"]]
    assert "ana froze gateway: database move" in sentences
    assert "cleo unfroze gateway: moved" in sentences
    log = door.receiver.log.read_text()
    assert [secret for secret in (CLIENT_SECRET, "code-0") if secret in log] == []
