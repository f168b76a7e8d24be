"""Chosen users of a whole rollout: a killed engine leaves nobody on a canary whose share is still 0."""

import http.client
import signal
from pathlib import Path

import pytest

from tests.acceptance.release.killed import QUICK
from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.shop import Shop, opened
from tests.acceptance.release.test_rollout import WATCHED, baking, current, held, unfreeze
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

WITH_USERS = QUICK.replace(
    "canary: canary}}}}", "canary: canary, users: {{map: {root}/users.map, values: [alice]}}}}}}"
)


def alice_gets(shop: Shop) -> set[str]:
    """The releases that answer 20 requests of the chosen user."""
    found = set()
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", shop.front, timeout=5)
        try:
            connection.request("GET", "/", headers={"X-User": "alice"})
            found.add(connection.getresponse().read().decode())
        finally:
            connection.close()
    return found


def why_held(shop: Shop) -> str:
    """What the engine says about the holds."""
    found = shop.rollout()
    return "" if found is None else "; ".join(found.state.holds.values())


@pytest.mark.parametrize("away", [False, True])
async def test_a_kill_between_the_users_and_the_first_weight(tmp_path: Path, away: bool) -> None:  # noqa: FBT001 - two cases
    """The next engine takes the users back at once, although a freeze holds the shift; then the rollout goes on.

    `away`: the engine cannot reach the runtime socket at first. People hear of the users, who go back with the socket.
    """
    users = tmp_path / "users.map"
    users.touch()
    rule = f"use-server canary if {{ req.hdr(x-user),map({users}) -m str canary }}"
    async with opened(tmp_path, current(), stages=WATCHED, spec=WITH_USERS, backend=rule) as shop:
        shop.canary.renamed("v2")
        with engine(shop, "v2", kill_at="add map 1") as running:
            assert await running.ended() == -signal.SIGKILL, running.log.read_text()[-3000:]
        assert (shop.stage(), shop.weights()["canary"]) == (("shift", 0), 0)
        assert alice_gets(shop) == {"v2"}
        assert shop.receiver is not None
        assert await shop.receiver.operate("freeze", service="shop", reason="drill") == 202
        await until((shop.site.root / "flags" / "FREEZE.FLAG").exists, 20, "the service is frozen")
        hidden = shop.socket.with_suffix(".hidden")
        if away:
            shop.socket.rename(hidden)
        with engine(shop, "v2") as running:
            if away:
                await until(lambda: held(shop) == {"source"}, 20, "nobody reaches the proxy")
                assert "chosen users may still get the release" in why_held(shop)
                assert alice_gets(shop) == {"v2"}
                hidden.rename(shop.socket)
            await until(lambda: "frozen" in held(shop), 20, "the freeze holds the first shift")
            await until(lambda: alice_gets(shop) == {"v1"}, 20, "alice gets the stable release")
            assert (shop.stage(), shop.weights()["canary"]) == (("shift", 0), 0)
            await unfreeze(shop)
            await baking(shop)
            assert alice_gets(shop) == {"v2"}
            assert shop.command("abort", "--reason", "drill").returncode == 0
            assert await running.ended() == 1
        assert alice_gets(shop) == {"v1"}
        assert shop.rollbacks() == [("v2", "SUCCEEDED")]
