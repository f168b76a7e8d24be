"""`canary run --speed N` with real parts: bake, soak and days are N times shorter; everything else is as written."""

from contextlib import closing
from pathlib import Path

import pytest

from release.store.database import Database, Step
from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.shop import Shop, kill, opened
from tests.acceptance.release.test_rollout import current
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

STAGES = """\
    - {weight: 50%, bake: 2d, daily: {at: ["08:00", "16:00"], zone: UTC, gate: true}}
    - {weight: 100%, soak: 2d}"""
SPEED = "43200"  # a day takes two seconds
WINDOW_S, SCRAPE_S = 4, 1


def steps(shop: Shop) -> tuple[Step, ...]:
    """The steps of the only rollout."""
    with closing(Database(shop.path, writes=False)) as database:
        (found,) = database.rollouts()
        return tuple(database.steps(found.id))


async def test_four_days_pass_in_seconds(tmp_path: Path) -> None:
    """A killed engine's rollout keeps its speed, although the next command names none. No window is cut short."""
    async with opened(tmp_path, current(), stages=STAGES) as shop:
        shop.canary.renamed("v2")
        with engine(shop, "v2", "--speed", SPEED) as running:
            await until(lambda: shop.stage() == ("settle", 0), 40, "the canary has traffic")
            kill(running)
        with engine(shop, "v2") as running:
            assert await running.ended(120) == 0, running.log.read_text()[-3000:]
        seen = steps(shop)
        asked = [one for one in seen if one.event == "GateAnswered" and one.stage == 0 and one.phase == "bake"]
        assert asked, "the questions of a day were asked in its two seconds"
        for stage in (0, 1):
            shifted = next(one.at for one in seen if one.event == "Shifted" and one.stage == stage)
            watched = next(one.at for one in seen if one.phase in {"bake", "soak"} and one.stage == stage)
            assert watched - shifted >= WINDOW_S + SCRAPE_S, "every gate's window has only data of the new weight"
