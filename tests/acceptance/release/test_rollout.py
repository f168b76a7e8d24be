"""Whole rollouts with a real HAProxy, Prometheus and receiver: good releases pass, bad releases are taken back."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.acceptance.release.shop import Shop, Version, engine, opened
from tests.tools import Generation
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


@pytest.fixture
async def shop(generation: Generation, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop that runs v1."""
    async with opened(tmp_path, generation) as shop:
        yield shop


async def test_a_good_release_gets_all_traffic(shop: Shop) -> None:
    """10 %, 50 %, 100 %, each watched; not a single error is needed for a PASS."""
    shop.canary.renamed("v2")
    with engine(shop, "v2") as running:
        assert await running.ended() == 0, running.log.read_text()[-3000:]
    assert shop.weights() == {"stable": 0, "canary": 100}
    assert [one for one in shop.steps() if one[0] == "Shifted"] == [
        ("Shifted", "settle", 0),
        ("Shifted", "settle", 1),
        ("Shifted", "settle", 2),
    ]
    assert set(shop.answers) == {"200"}
    assert shop.site.lines("deploys") == ["v2"]
    await until(lambda: "canary_done" in shop.notices(), 20, "people hear of the end")
    assert shop.notices() == ["canary_started", *["canary_shifted"] * 3, "canary_done"]
    assert shop.rollbacks() == []
