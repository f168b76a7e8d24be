"""Serves an aiohttp application, by default on a loopback port, and prints its address."""

import argparse
import asyncio
import signal
import sys

from aiohttp import web

LOOPBACK = "127.0.0.1"


async def _serve(app: web.Application, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        host, port = runner.addresses[0][:2]
        print(f"listening on http://{host}:{port}", file=sys.stderr, flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def serve(app: web.Application, port: int = 0, host: str = LOOPBACK) -> None:
    """Serve until INT or TERM, by default on a free port; `listening on URL` goes to stderr once the port answers."""
    asyncio.run(_serve(app, host, port))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--listen`, whose value `address` reads."""
    parser.add_argument("--listen", default=f"{LOOPBACK}:0", metavar="HOST:PORT", help="default: a free loopback port")


def address(listen: str) -> tuple[str, int]:
    """Host and port of a value of `--listen`."""
    host, _, port = listen.rpartition(":")
    return host, int(port)
