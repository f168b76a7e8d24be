"""`freezeline toast` as a process of its own: on a terminal, and on a real session bus."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.notify.desktop import DBUS_DAEMON, Shown, notification_service, session_bus
from tests.fakes.stream import TOKEN, StreamFake, running_stream
from tests.tools import missing_is_an_error
from tests.unit.receiver.notify.notices import HOSTILE
from tests.waiting import until

pytestmark = pytest.mark.acceptance

needs_bus = pytest.mark.skipif(
    DBUS_DAEMON is None and not missing_is_an_error(), reason="needs dbus-daemon, the session bus of Linux desktops"
)

COMMAND = (sys.executable, "-c", "import sys; from freezeline.cli import main; sys.exit(main())", "toast")


@pytest.fixture
async def stream() -> AsyncIterator[StreamFake]:
    """A running event stream."""
    async with running_stream(StreamFake()) as fake:
        yield fake


def options(stream: StreamFake, tmp_path: Path, *more: str) -> list[str]:
    """Options for that stream."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    paths = ["--token-file", str(token), "--seen-file", str(tmp_path / "seen.json")]
    return ["--url", stream.url, *paths, "--after", "0", *more]


@asynccontextmanager
async def toast(options: list[str], env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the program; it is gone on exit."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *options, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(reader: asyncio.StreamReader | None) -> str:
    """The next line of a pipe, within a deadline."""
    assert reader is not None
    return (await asyncio.wait_for(reader.readline(), 20)).decode()


async def test_print_shows_lines_and_ends_well_on_term(stream: StreamFake, tmp_path: Path) -> None:
    """One line a notice as soon as it comes; SIGTERM is a good end."""
    async with toast(options(stream, tmp_path, "--print"), os.environ) as process:
        assert await line(process.stderr) == f"freezeline toast: following {stream.url}\n"
        stream.notice(1, datetime.now(UTC))
        assert (await line(process.stdout)).endswith("[critical] notice 1: failure rate 2.31 % > 0.5 %\n")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_hostile_notice_is_inert_on_a_terminal(stream: StreamFake, tmp_path: Path) -> None:
    """No escape sequence and no second line come out, as text and as JSON."""
    for number, more in enumerate(([], ["--json"]), start=1):
        stream.notice(number, datetime.now(UTC), title=HOSTILE, text=HOSTILE, url="javascript:alert(1)")
        async with toast(options(stream, tmp_path, "--print", *more), os.environ) as process:
            printed = await line(process.stdout)
        assert printed.removesuffix("\n").isprintable()
        assert "javascript" not in printed


async def test_killed_program_goes_on_where_it_was(stream: StreamFake, tmp_path: Path) -> None:
    """SIGKILL after showing costs nothing and repeats nothing."""
    arguments = options(stream, tmp_path, "--print", "--json")
    stream.notice(1, datetime.now(UTC))
    async with toast(arguments, os.environ) as process:
        assert json.loads(await line(process.stdout))["seq"] == 1
        await until((tmp_path / "seen.json").exists, 10, "the position on disk")
        process.kill()
        await process.wait()
    stream.notice(2, datetime.now(UTC))
    async with toast(arguments, os.environ) as process:
        assert json.loads(await line(process.stdout))["seq"] == 2


@needs_bus
async def test_native_toast_on_a_session_bus(stream: StreamFake, tmp_path: Path) -> None:
    """desktop-notifier shows the toast without markup, and a click opens the receiver's page."""
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$1" > {tmp_path}/opened.part\nmv {tmp_path}/opened.part {tmp_path}/opened\n'
    )
    browser.chmod(0o755)
    async with session_bus() as address, notification_service(address) as service:
        env = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address, "BROWSER": f"{browser} %s"}
        async with toast(options(stream, tmp_path), env):
            stream.notice(1, datetime.now(UTC), text="a <b>bold</b> & lie", url=f"{stream.url}/#episode-1")
            await until(lambda: service.shown, 20, "a toast on the desktop")
            assert service.shown == [Shown(id=1, title="notice 1", text="a ‹b>bold‹/b> & lie", urgency=2)]
            await until((tmp_path / "seen.json").exists, 10, "the position on disk")
            service.click(1)
            await until((tmp_path / "opened").exists, 10, "the browser")
    assert (tmp_path / "opened").read_text() == f"{stream.url}/#episode-1\n"


@needs_bus
async def test_a_desktop_without_notification_service_is_waited_for(stream: StreamFake, tmp_path: Path) -> None:
    """The notice is kept until the desktop can show it."""
    async with session_bus() as address:
        env = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}
        async with toast(options(stream, tmp_path), env) as process:
            stream.notice(1, datetime.now(UTC))
            said = ""
            while "did not take the toast" not in said:
                said = await line(process.stderr)
            async with notification_service(address) as service:
                await until(lambda: service.shown, 20, "a toast on the desktop")
    assert [one.title for one in service.shown] == ["notice 1"]
