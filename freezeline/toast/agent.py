"""The loop of `freezeline toast`: connect, show each notice once, remember it, reconnect."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import aiohttp
from msgspec import Struct, field

from freezeline.toast import seen
from freezeline.toast.follow import ConnectionLostError, delay_s, follow
from freezeline.toast.settings import Settings, TokenError, read_token
from freezeline.toast.show import Show, ShowFailedError
from freezeline.toast.sse import Event
from freezeline.toast.toasts import BadNoticeError, Collapser, Toast, missed, parse

# Old notices come in one burst after a reconnect; silence of this length ends the burst.
BURST_END_S = 1.0
SHOW_RETRY_S = (1.0, 5.0, 30.0)
SAVE_EVERY = timedelta(seconds=60)


class Agent(Struct, kw_only=True):
    """Follows one receiver for ever.

    `say` gets one line for a person whenever the state of the connection changes. `position` is the last sequence
    number that was handled (for a notice: shown); -1 before the first. The seen file keeps it.
    """

    settings: Settings
    http: aiohttp.ClientSession
    show: Show
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    say: Callable[[str], None]
    position: int = -1
    failures: int = 0
    saved_at: datetime | None = None
    collapser: Collapser = field(default_factory=lambda: Collapser(public_url=""))

    def __post_init__(self) -> None:
        self.collapser = Collapser(public_url=self.settings.public_url)

    async def run(self) -> None:
        """Follow until cancelled. Raises seen.SeenFileError."""
        last = seen.load(self.settings.seen_file)
        after = self.settings.after if last is None else last
        self.position = -1 if after is None else after
        while True:
            try:
                await self._connection()
            except (ConnectionLostError, TokenError) as error:
                asked_s = error.retry_after_s if isinstance(error, ConnectionLostError) else None
                self.failures += 1
                pause_s = delay_s(self.failures, self.jitter(), asked_s)
                self.say(f"{error}; trying again in {pause_s:.0f} s")
                await asyncio.sleep(pause_s)

    async def _connection(self) -> None:
        """Handle the events of one connection. Raises ConnectionLostError, TokenError."""
        token = read_token(self.settings.token_file)
        after = None if self.position < 0 else self.position
        events = follow(self.http, self.settings.url, token, after)
        coming = asyncio.ensure_future(anext(events))
        try:
            while True:
                pause_s = BURST_END_S if self.collapser.waiting else None
                done, _ = await asyncio.wait({coming}, timeout=pause_s)
                if not done:
                    await self._present(self.collapser.flush())
                    continue
                event = coming.result()
                coming = asyncio.ensure_future(anext(events))
                self._greet()
                await self._take(event)
        finally:
            coming.cancel()
            await asyncio.wait({coming})
            await events.aclose()
            # Waiting notices are shown now, or come again: `position` has not passed them.
            await self._present(self.collapser.flush())

    def _greet(self) -> None:
        if self.failures:
            self.say("connected again")
        self.failures = 0

    async def _take(self, event: Event) -> None:
        if event.name == "notice":
            await self._take_notice(event.data)
            return
        seq = int(event.id) if event.id.isascii() and event.id.isdigit() else None
        if event.name == "reset":
            await self._present(self.collapser.flush())
            await self._present([missed(-1 if seq is None else seq, self.now(), self.settings.public_url)])
        elif seq is not None and not self.collapser.waiting:
            await self._remember(seq)

    async def _take_notice(self, data: str) -> None:
        try:
            notice = parse(data)
        except BadNoticeError as error:
            self.say(f"left out a notice that cannot be read: {error}")
            return
        if notice.seq > self.position:
            await self._present(self.collapser.add(notice, self.now()))

    async def _present(self, toasts: list[Toast]) -> None:
        for toast in toasts:
            await self._show(toast)
            self.position = toast.seq
            await self._save()

    async def _show(self, toast: Toast) -> None:
        failures = 0
        while True:
            try:
                await self.show(toast)
            except ShowFailedError as error:
                pause_s = SHOW_RETRY_S[min(failures, len(SHOW_RETRY_S) - 1)]
                failures += 1
                self.say(f"{error}; trying again in {pause_s:.0f} s")
                await asyncio.sleep(pause_s)
            else:
                return

    async def _remember(self, seq: int) -> None:
        """Save the position without a notice: after a restart, the agent does not ask for old events again."""
        if seq <= self.position:
            return
        self.position = seq
        if self.saved_at is None or self.now() - self.saved_at > SAVE_EVERY:
            await self._save()

    async def _save(self) -> None:
        if self.position >= 0:
            await asyncio.to_thread(seen.save, self.settings.seen_file, self.position)
            self.saved_at = self.now()
