"""Whole rollouts through a real nginx: a rendered file with reload, read back from the running proxy."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.acceptance.release.nginx_shop import NginxShop, opened
from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.test_rollout import current, unfreeze
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


def share(shop: NginxShop) -> int:
    """The percentage that the running nginx gives the canary."""
    return int(100 * asyncio.run(shop.nginx.adapter().read()))


async def test_nginx_takes_a_bad_release_back_and_gives_a_good_one_everything(tmp_path: Path) -> None:
    """The bad one errs at 10 %. The engine of the good one dies at the very end; the same command ends it well."""
    async with opened(tmp_path, current()) as shop:
        shop.canary.renamed("v2")
        shop.canary.fail_every = 4
        with engine(shop, "v2") as running:
            assert await running.ended() == 1, running.log.read_text()[-3000:]
        found = shop.rollout()
        assert found is not None
        assert found.state.why.startswith("gate errors:"), found.state.why
        assert shop.stage() == ("rolled_back", 0)
        assert await asyncio.to_thread(share, shop) == 0
        assert shop.nginx.split([""] * 200) == {"v1": 200}
        assert shop.rollbacks() == [("v2", "SUCCEEDED")]
        await unfreeze(shop)

        shop.canary.renamed("v3")
        with engine(shop, "v3", kill_at="stored:Tick:done 1") as running:
            assert await running.ended() == -signal.SIGKILL, running.log.read_text()[-3000:]
        assert [stage for event, _, stage in shop.steps() if event == "Shifted"] == [0, 1, 2]
        assert await asyncio.to_thread(share, shop) == 100
        assert shop.nginx.split([""] * 200) == {"v3": 200}
        with engine(shop, "v3") as running:
            assert await running.ended() == 0, running.log.read_text()[-3000:]
        await until(lambda: "canary_done" in shop.notices(), 20, "people hear of the end")
        assert shop.notices().count("canary_done") == 1
        assert shop.site.lines("deploys") == ["v2", "v3"]
