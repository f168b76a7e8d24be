"""A real headless Chromium, driven over its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct, field

from tests.waiting import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_DEADLINE_S = 30.0
ANSWER_DEADLINE_S = 20.0
NARROW = 600
"""Windows narrower than this are phones."""


class ScriptError(AssertionError):
    """A script in the page failed."""


class Page(Struct, kw_only=True):
    """One tab. `dialogs` are alerts that some script opened, `violations` what the Content-Security-Policy stopped."""

    socket: aiohttp.ClientWebSocketResponse
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    dialogs: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Take answers and events until the socket closes."""
        async for message in self.socket:
            body = json.loads(message.data)
            if "id" in body:
                future = self.waiting.pop(body["id"], None)
                if future is not None and not future.done():
                    future.set_result(body)
                continue
            self._event(body["method"], body["params"])

    def _event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
        elif method == "Log.entryAdded" and "Content Security Policy" in params["entry"]["text"]:
            self.violations.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Give one command and return its result."""
        number = next(self.numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.waiting[number] = future
        await self.socket.send_json({"id": number, "method": method, "params": params})
        body = await asyncio.wait_for(future, ANSWER_DEADLINE_S)
        if "error" in body:
            raise ScriptError(f"{method}: {body['error']}")
        result: dict[str, Any] = body["result"]
        return result

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise ScriptError(str(result["exceptionDetails"].get("exception", result["exceptionDetails"])))
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        """Go to a URL and wait until it is loaded."""
        await self.send("Page.navigate", url=url)
        await self.loaded()

    async def loaded(self) -> None:
        """Wait until the document is complete."""
        await until(lambda: self._ready("document.readyState === 'complete'"), ANSWER_DEADLINE_S, "a loaded page")

    async def sees(self, script: str, what: str) -> None:
        """Wait until an expression is true; a page that is just changing counts as not yet."""
        await until(lambda: self._ready(script), ANSWER_DEADLINE_S, what)

    async def _ready(self, script: str) -> bool:
        try:
            return bool(await self.run(script))
        except ScriptError:
            return False

    async def text(self) -> str:
        """The visible text."""
        return str(await self.run("document.body.innerText"))

    async def type(self, selector: str, text: str) -> None:
        """Type into a field as a person does."""
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.send("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click an element as a person does."""
        box = await self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    async def look(self, width: int, theme: str) -> None:
        """Make the window this wide, as a phone where narrow, and prefer a theme: light or dark."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < NARROW}
        await self.send("Emulation.setDeviceMetricsOverride", **size)
        preferred = [{"name": "prefers-color-scheme", "value": theme}]
        await self.send("Emulation.setEmulatedMedia", features=preferred)

    async def press(self, key: str) -> None:
        """Press a key as a person does: Tab, Enter or a space."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        pressed = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def picture(self, path: Path, selector: str = "html") -> None:
        """Take a picture of one element; without a selector, of the whole page. A `.webp` is small."""
        x, y, width, height = await self.run(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [r.x + scrollX, r.y + scrollY, r.width, r.height]; })()"
        )
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        form = {"format": "webp", "quality": 30} if path.suffix == ".webp" else {"format": "png"}
        shot = await self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip, **form)
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(*, scripts: bool = True) -> AsyncIterator[Page]:
    """Start Chromium with one tab; `scripts` False turns JavaScript off in pages."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="freezeline-chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--window-size=1280,1000",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            await until(port_file.exists, START_DEADLINE_S, "Chromium's debugging port")
            port = int((await until(port_file.read_text, START_DEADLINE_S, "the port's number")).split()[0])
            async with aiohttp.ClientSession() as http, _tab(http, port) as page:
                if not scripts:
                    await page.send("Emulation.setScriptExecutionDisabled", value=True)
                yield page
        finally:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def _tab(http: aiohttp.ClientSession, port: int) -> AsyncIterator[Page]:
    async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
    async with http.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
        page = Page(socket=socket)
        reading = asyncio.create_task(page.read())
        try:
            for domain in ("Page", "Runtime", "Log", "Network"):
                await page.send(f"{domain}.enable")
            yield page
        finally:
            reading.cancel()
            await asyncio.wait({reading})
