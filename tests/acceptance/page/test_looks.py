"""How every page looks and is used: at both widths, in both themes, frozen and calm, by keyboard and screen reader.

`./dev test tests/acceptance/page/test_looks.py --update-pictures` writes the pictures of the docs.
"""

import importlib.util
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.page.chromium import CHROMIUM, Page, browser
from tests.acceptance.page.test_page import log_in, pytestmark
from tests.acceptance.page.world import World, trouble, world
from tests.tools import ROOT
from tests.waiting import until

__all__ = ["pytestmark"]

PICTURES = ROOT / "docs" / "pictures"
PAGES = {
    "services": "",
    "service": "page/service?name=gateway",
    "incidents": "page/incidents",
    "incident": "page/incident?id={incident}",
    "rollouts": "page/rollouts",
    "rollout": "page/rollout?service=shop&id={rollout}",
    "notices": "page/letters",
    "system": "page/system",
}
WIDTHS = (360, 1600)
THEMES = ("light", "dark")
CHECKED_BY_AXE = {(360, "light"), (1600, "dark")}
SERIOUS = {"serious", "critical"}
MEASURED = "!document.body.innerText.includes('is being asked')"
CRAMPED = """[...document.querySelectorAll('main *, header *')].filter((one) => {
  const box = one.getBoundingClientRect(), words = one.children.length === 0 && one.textContent.trim().length > 3;
  return words && box.width > 0 && box.width < 28 && box.height > 60;
}).map((one) => one.outerHTML.slice(0, 120))"""
"""Elements whose text stands one letter a line."""


def axe() -> str:
    """The script of axe-core, from the package that ./dev installs for this."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None, "run ./dev test, which installs axe-playwright-python"
    assert found.origin is not None
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8")


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A tab of a new browser."""
    assert CHROMIUM is not None
    async with browser() as tab:
        yield tab


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can search, unlike pytest's: otherwise each page says that pipelines see no flag."""
    with tempfile.TemporaryDirectory(prefix="freezeline-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def measured(found: World, page: Page) -> None:
    """Wait until Prometheus' answers about gateway are on its page."""
    await page.open(f"{found.receiver.url}/page/service?name=gateway")
    await page.sees("document.querySelector('.chart path') !== null", "a graph")


async def violations(page: Page) -> list[str]:
    """What axe-core finds, of serious and critical impact."""
    script = "axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(found.violations))"
    found: list[dict[str, Any]] = json.loads(await page.run(script))
    return [
        f"{one['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


async def looks_good(page: Page, name: str, *, updates: bool) -> None:
    """Nothing wider than the window, no column of letters, nothing serious for axe; the docs have a picture."""
    await page.send("Runtime.evaluate", expression=axe())
    for width in WIDTHS:
        for theme in THEMES:
            await page.look(width, theme)
            where = f"{name} at {width} px, {theme}"
            assert await page.run("document.documentElement.scrollWidth <= innerWidth"), where
            assert await page.run(CRAMPED) == [], where
            if (width, theme) in CHECKED_BY_AXE:
                assert await violations(page) == [], where
            picture = PICTURES / f"page-{name}-{width}-{theme}.webp"
            if updates:
                await page.picture(picture)
            assert picture.exists(), "run the test with --update-pictures"


@pytest.fixture
def updates(request: pytest.FixtureRequest) -> bool:
    """Whether the pictures of the docs are drawn anew."""
    return bool(request.config.getoption("--update-pictures", default=False))


async def test_the_way_in(tmp_path: Path, page: Page, updates: bool) -> None:  # noqa: FBT001 - a fixture
    """The page to log in."""
    async with world(tmp_path, past=False) as found:
        await page.open(f"{found.receiver.url}/")
        assert await page.run("document.querySelector('input[name=token]') !== null")
        await looks_good(page, "login", updates=updates)
    assert page.violations == []


@pytest.mark.parametrize("state", ["calm", "frozen"])
async def test_every_page(state: str, public: Path, page: Page, updates: bool) -> None:  # noqa: FBT001 - a fixture
    """Each page at both widths and in both themes, while nothing is wrong and while a service is frozen."""
    async with world(public) as found:
        if state == "frozen":
            await trouble(found)
        await log_in(page, found.receiver)
        await measured(found, page)
        rollout = "r1" if state == "calm" else "r2"
        incident = found.receiver.site.rows("SELECT max(incident) FROM episode")[0][0]
        for name, path in PAGES.items():
            await page.open(f"{found.receiver.url}/{path.format(incident=incident, rollout=rollout)}")
            await page.sees(MEASURED, "Prometheus' answer")
            await looks_good(page, f"{name}-{state}", updates=updates)
    assert page.violations == []


async def test_the_keyboard_is_enough(tmp_path: Path, page: Page) -> None:
    """From the first key to a freeze: skip link, menu, search, service, form. The focus can always be seen."""
    async with world(tmp_path, past=False) as found:
        await log_in(page, found.receiver)
        await page.open(f"{found.receiver.url}/")
        await page.press("Tab")
        assert await page.run("document.activeElement.innerText") == "Skip to the content"
        await tab_to(page, "document.activeElement.innerText === 'search'")
        assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.press("Enter")
        await page.sees("document.querySelector('h1')?.innerText === 'search'", "the page of the service")
        await tab_to(page, "document.activeElement.innerText === 'Freeze by hand…'")
        await page.press("Enter")
        await tab_to(page, "document.activeElement.name === 'reason'")
        await page.send("Input.insertText", text="drill")
        await page.press("Enter")
        await page.sees("document.body.innerText.includes('drill (by Ana)')", "the freeze")


async def tab_to(page: Page, there: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(40):
        await page.press("Tab")
        if await page.run(there):
            return
    raise AssertionError(f"no Tab leads to {there}")


@pytest.mark.parametrize("trouble", ["away", "slow", "lying"])
async def test_prometheus_in_trouble_holds_up_no_page(trouble: str, tmp_path: Path, page: Page) -> None:
    """The page is there at once, and says what is unknown and why."""
    async with world(tmp_path, past=False) as found:
        fake, url = found.prometheus, found.receiver.url
        await log_in(page, found.receiver)
        if trouble == "away":
            await fake.close()
        fake.hangs, fake.lies = trouble == "slow", trouble == "lying"
        for path in ("", "page/service?name=gateway", "page/incidents", "page/system"):
            await page.open(f"{url}/{path}")
            spent_ms = await page.run("performance.getEntriesByType('navigation')[0].responseEnd")
            assert spent_ms < 2000, path
        await page.open(f"{url}/")
        said = "not measured" if trouble == "lying" else "unknown since"
        await until(lambda: _says(page, said), 30, f"the page says {said}")


async def _says(page: Page, text: str) -> bool:
    return text in await page.text()


async def test_the_search_works_while_typing(tmp_path: Path, page: Page) -> None:
    """The list follows, the address too, and the cursor stays in the field."""
    async with world(tmp_path, past=False) as found:
        await log_in(page, found.receiver)
        await page.type("input[type=search]", "check")
        await page.sees("document.querySelectorAll('.service').length === 1", "one service")
        assert await page.run("document.querySelector('.service h2').innerText") == "checkout"
        await page.sees("location.search === '?q=check'", "the search in the address")
        await page.send("Input.insertText", text="out")
        await page.sees("document.querySelector('input[type=search]').value === 'checkout'", "the typed word")
