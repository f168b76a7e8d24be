"""Serves an aiohttp application on a loopback port until TERM, beside jobs in the background."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterable

from aiohttp import web


async def serve(app: web.Application, port: int, background: Iterable[Coroutine[None, None, None]] = ()) -> None:
    """Serve until INT or TERM; `listening on URL` goes to stderr once the port answers. Port 0: a free one."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    jobs = [asyncio.create_task(job) for job in background]
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        print(f"listening on http://{host}:{bound}", file=sys.stderr, flush=True)
        await _until(stop, jobs)
    finally:
        for job in jobs:
            job.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await job
        await runner.cleanup()


async def _until(stop: asyncio.Event, jobs: list[asyncio.Task[None]]) -> None:
    """Wait for the signal. A job that fails ends the process: it would be missing without anybody noticing."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *jobs], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for one in done:
        one.result()
