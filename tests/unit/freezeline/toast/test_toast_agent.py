"""The toast program against an event stream: each notice once, through cuts, restarts and refusals."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from freezeline.toast import seen
from freezeline.toast.agent import Agent
from freezeline.toast.settings import Settings
from freezeline.toast.show import ShowFailedError
from freezeline.toast.toasts import Toast
from tests.fakes.stream import TOKEN, StreamFake, running_stream
from tests.waiting import until

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD = NOW - timedelta(minutes=11)


class Desk(Struct, kw_only=True):
    """A desktop on which toasts appear; `failing` showings fail first."""

    toasts: list[Toast] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    failing: int = 0

    async def show(self, toast: Toast) -> None:
        """Show a toast, or fail."""
        if self.failing:
            self.failing -= 1
            raise ShowFailedError("no notification service")
        self.toasts.append(toast)

    def titles(self) -> list[str]:
        """Titles of what was shown."""
        return [toast.title for toast in self.toasts]


@pytest.fixture
async def stream() -> AsyncIterator[StreamFake]:
    """A running event stream."""
    async with running_stream(StreamFake()) as fake:
        yield fake


@pytest.fixture
def settings(stream: StreamFake, tmp_path: Path) -> Settings:
    """Settings for that stream, from its beginning."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    return Settings(
        url=stream.url, public_url=stream.url, token_file=token, seen_file=tmp_path / "state" / "seen.json", after=0
    )


@asynccontextmanager
async def agent(settings: Settings, desk: Desk, now: Callable[[], datetime] = lambda: NOW) -> AsyncIterator[None]:
    """Run the program; it is stopped as SIGTERM stops it."""
    async with aiohttp.ClientSession() as http:
        running = asyncio.create_task(
            Agent(settings=settings, http=http, show=desk.show, now=now, jitter=lambda: 0.0, say=desk.said.append).run()
        )
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait({running})
            if not running.cancelled():
                running.result()


async def shown(desk: Desk, titles: list[str]) -> None:
    """Wait until exactly these were shown."""
    await until(lambda: len(desk.toasts) >= len(titles), 10, f"{len(titles)} toasts")
    assert desk.titles() == titles


async def kept(settings: Settings, seq: int) -> None:
    """Wait until the number is kept, which is just after its toast was shown."""
    await until(lambda: settings.seen_file.exists() and seen.load(settings.seen_file) == seq, 10, f"{seq} is kept")


async def test_notices_are_shown_in_order(stream: StreamFake, settings: Settings) -> None:
    """Fresh notices get a toast each."""
    desk = Desk()
    async with agent(settings, desk):
        stream.notice(1, NOW)
        stream.notice(2, NOW)
        await shown(desk, ["notice 1", "notice 2"])
        await kept(settings, 2)


async def test_a_cut_connection_shows_nothing_twice(stream: StreamFake, settings: Settings) -> None:
    """After a reconnect, the stream continues at the same place."""
    desk = Desk()
    stream.notice(1, NOW)
    async with agent(settings, desk):
        await shown(desk, ["notice 1"])
        await kept(settings, 1)
        stream.cut()
        stream.notice(2, NOW)
        await shown(desk, ["notice 1", "notice 2"])
    assert stream.asked == ["0", "1"]
    assert desk.said[-1] == "connected again"


async def test_a_restart_shows_nothing_twice(stream: StreamFake, settings: Settings) -> None:
    """The last number shown survives the program."""
    first, second = Desk(), Desk()
    stream.notice(1, NOW)
    async with agent(settings, first):
        await shown(first, ["notice 1"])
        await kept(settings, 1)
    stream.notice(2, NOW)
    async with agent(settings, second):
        await shown(second, ["notice 2"])


async def test_first_start_shows_only_what_is_new(stream: StreamFake, settings: Settings) -> None:
    """Without a position, old notices are not shown."""
    desk = Desk()
    stream.notice(1, NOW)
    async with agent(replace(settings, after=None), desk):
        await until(lambda: stream.asked == [None], 10, "a connection without Last-Event-ID")
        stream.notice(2, NOW)
        await shown(desk, ["notice 2"])


async def test_old_notices_share_one_toast(stream: StreamFake, settings: Settings) -> None:
    """Notices older than ten minutes share a toast; fresh notices do not."""
    desk = Desk()
    for seq in (1, 2, 3, 4, 5):
        stream.notice(seq, OLD)
    stream.notice(6, NOW)
    async with agent(settings, desk):
        await shown(desk, ["5 notices while you were away", "notice 6"])
        await kept(settings, 6)
    assert desk.toasts[0].text == "notice 5; notice 4; notice 3; and 2 more"


async def test_old_notices_alone_are_shown_after_the_burst(stream: StreamFake, settings: Settings) -> None:
    """No fresh notice is needed for the collapsed toast to appear."""
    desk = Desk()
    stream.notice(1, OLD)
    stream.notice(2, OLD)
    stream.add(3, "state", {})
    async with agent(settings, desk):
        await shown(desk, ["2 notices while you were away"])


async def test_reset_says_that_notices_were_missed(stream: StreamFake, settings: Settings) -> None:
    """A lost position is reported once, then the stream continues."""
    desk = Desk()
    seen.save(settings.seen_file, 3)
    stream.held_from = 10
    stream.notice(20, NOW)
    async with agent(settings, desk):
        await shown(desk, ["Freezeline: notices were missed"])
        stream.notice(21, NOW)
        await shown(desk, ["Freezeline: notices were missed", "notice 21"])
        await kept(settings, 21)


async def test_state_events_move_the_position(stream: StreamFake, settings: Settings) -> None:
    """After a quiet day, the program does not ask for old events again."""
    desk = Desk()
    stream.add(7, "state", {"frozen": []})
    async with agent(settings, desk):
        await kept(settings, 7)
    assert desk.toasts == []


async def test_a_toast_that_cannot_be_shown_is_tried_again(stream: StreamFake, settings: Settings) -> None:
    """A missing notification service loses no notice."""
    desk = Desk(failing=1)
    stream.notice(1, NOW)
    async with agent(settings, desk):
        await shown(desk, ["notice 1"])
    assert desk.said == ["no notification service; trying again in 1 s"]


async def test_a_wrong_token_is_said_and_read_again(stream: StreamFake, settings: Settings) -> None:
    """A new token is used without a restart."""
    desk = Desk()
    settings.token_file.write_text("old")
    stream.notice(1, NOW)
    async with agent(settings, desk):
        await until(lambda: desk.said, 10, "a word about the token")
        settings.token_file.write_text(TOKEN)
        await shown(desk, ["notice 1"])
    assert desk.said == ["401: the receiver does not accept the token; trying again in 1 s", "connected again"]


async def test_a_token_open_to_others_is_not_sent(stream: StreamFake, settings: Settings) -> None:
    """A token file with mode 0640 is refused before anything is sent."""
    desk = Desk()
    settings.token_file.chmod(0o640)
    async with agent(settings, desk):
        await until(lambda: desk.said, 10, "a word about the token")
    assert "mode 0640 lets other users read the token" in desk.said[0]
    assert stream.asked == []


async def test_redirects_are_not_followed(stream: StreamFake, settings: Settings) -> None:
    """The token goes to the configured receiver alone."""
    desk = Desk()
    stream.refuse = [(302, {"Location": f"{stream.url}/elsewhere"})]
    async with agent(settings, desk):
        await until(lambda: desk.said, 10, "a word about the redirect")
    assert desk.said[0].startswith("302 ")


async def test_retry_after_is_obeyed(stream: StreamFake, settings: Settings) -> None:
    """A receiver that is shutting down says when to come back."""
    desk = Desk()
    stream.refuse = [(503, {"Retry-After": "17"})]
    async with agent(settings, desk):
        await until(lambda: desk.said, 10, "a word about the refusal")
    assert desk.said[0].endswith("trying again in 17 s")


async def test_an_unreadable_notice_does_not_stop_the_rest(stream: StreamFake, settings: Settings) -> None:
    """A broken event is reported and left out."""
    desk = Desk()
    stream.add(1, "notice", {"seq": 1})
    stream.notice(2, NOW)
    async with agent(settings, desk):
        await shown(desk, ["notice 2"])
    assert desk.said == ["left out a notice that cannot be read: the notice lacks at, service, severity, title, text"]


async def test_hostile_texts_are_inert(stream: StreamFake, settings: Settings) -> None:
    """Control characters never reach the desktop, foreign links are never offered."""
    desk = Desk()
    stream.notice(1, NOW, title="\x1b]0;x\x07" + "t" * 99, text="a\nb\x00" + "x" * 999, url="javascript:alert(1)")
    stream.notice(2, NOW, url=f"{stream.url}/#episode-1")
    async with agent(settings, desk):
        await until(lambda: len(desk.toasts) == 2, 10, "2 toasts")
    first, second = desk.toasts
    assert (len(first.title), len(first.text), first.url) == (64, 200, "")
    assert (first.title + first.text).isprintable()
    assert second.url == f"{stream.url}/#episode-1"
