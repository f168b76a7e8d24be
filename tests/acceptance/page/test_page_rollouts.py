"""A real rollout on the page, in a real browser: what the engine does and waits for appears without a reload."""

from pathlib import Path

import pytest

from tests.acceptance.page.chromium import CHROMIUM, Page, browser
from tests.acceptance.page.test_page import log_in
from tests.acceptance.release.killed import QUICK
from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.shop import opened
from tests.acceptance.release.test_rollout import WATCHED, baking, current
from tests.tools import missing_is_an_error

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        CHROMIUM is None and not missing_is_an_error(), reason="needs Chromium (Debian's package chromium)"
    ),
]

CARD = "(document.querySelector('[aria-labelledby=rollouts] article') || {innerText: ''}).innerText"


async def shows(page: Page, *texts: str) -> None:
    """Wait until the card of the rollout has each of the texts."""
    for text in texts:
        await page.sees(f"{CARD}.includes({text!r})", f"{text!r} on the rollout's card")


async def test_the_page_follows_a_rollout(tmp_path: Path) -> None:
    """Stage, share and gates; a pause, a freeze, a dead engine, and the end."""
    async with opened(tmp_path, current(), stages=WATCHED, spec=QUICK) as shop, browser() as page:
        assert shop.receiver is not None
        await log_in(page, shop.receiver)
        await page.open(f"{shop.receiver.url}/page/rollouts")
        await page.sees("document.body.innerText.includes('No rollout yet.')", "the page of rollouts")
        await page.run("window.same = true")
        shop.canary.renamed("v2")
        with engine(shop, "v2") as running:
            await baking(shop)
            await shows(page, "shop: v2 bake", "1 of 2, which gives the canary 50 % of the traffic")
            await shows(page, "50 % set, 50 % read from the proxy", "watched for", "p95")
            await page.sees(f"{CARD}.match(/pass/g).length === 4", "four gates that pass")
            assert shop.command("pause", "--by", "ann").returncode == 0
            await shows(page, "held: paused by ann")
            assert await shop.receiver.operate("freeze", service="shop", reason="drill") == 202
            await shows(page, "held: the service is frozen")
            running.process.kill()
            await running.ended()
            await shows(page, "nobody has looked for")
        with engine(shop, "v2") as running:
            await page.sees(f"!{CARD}.includes('nobody has looked')", "an engine that looks again")
            assert shop.command("abort", "--by", "ann", "--reason", "drill").returncode == 0
            assert await running.ended() == 1
        await shows(page, "shop: v2 rolled back", "0 % set, 0 % read from the proxy", "ann: drill")
        assert await page.run("window.same") is True, "the page was never loaded anew"
        await page.click("[aria-labelledby=rollouts] article a")
        await page.sees("document.querySelector('h1')?.innerText === 'shop: v2'", "the report")
        text = await page.text()
        for part in ("rolled back", "ann: drill", "abort asked: ann, drill", "paused: ann", "p95"):
            assert part in text, part
        link = await page.run("document.querySelector('a[download]').href")
        kept = await page.run(f"fetch('{link}').then((answer) => answer.text())")
        assert kept.startswith("## Rollout of shop v2")
        async with shop.receiver.http.get(link) as answer:
            assert answer.status == 401
        assert page.violations == []
