"""The process around the loop: clock, HTTP client, output and signals."""

import asyncio
import contextlib
import random
import signal
import sys
from datetime import UTC, datetime

import aiohttp

from freezeline.toast.agent import Agent
from freezeline.toast.settings import Settings
from freezeline.toast.show import desktop, printer


async def follow_until_stopped(settings: Settings, *, printed: bool, as_json: bool) -> None:
    """Run until SIGTERM or SIGINT. Raises SeenFileError and NoDesktopError."""
    show = printer(sys.stdout, as_json=as_json) if printed else await desktop()
    draw = random.Random()  # noqa: S311 - spreads reconnects, protects nothing
    # No proxy from the environment: only the receiver may see the token.
    async with aiohttp.ClientSession(trust_env=False) as http:
        following = asyncio.ensure_future(
            Agent(
                settings=settings,
                http=http,
                show=show,
                now=lambda: datetime.now(UTC),
                jitter=draw.random,
                say=_say,
            ).run()
        )
        loop = asyncio.get_running_loop()
        # Windows' event loop has no signal handlers; there Ctrl-C ends asyncio.run.
        with contextlib.suppress(NotImplementedError):
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(name, following.cancel)
        _say(f"following {settings.url}")
        with contextlib.suppress(asyncio.CancelledError):
            await following


def _say(text: str) -> None:
    sys.stderr.write(f"freezeline toast: {text}\n")
    sys.stderr.flush()
