"""`freezeline drill stream`: opens real streams of server-sent events, and measures connections and first events."""

from __future__ import annotations

import argparse
import time

import aiohttp

from freezeline.drill.asked import Asked, UsageError
from freezeline.toast.sse import Parser, StreamTooLargeError
from receiver.plaintext import plain
from receiver.rehearsals import Rehearsal
from release.drill.experiment import run
from release.drill.stream import Limits, Open, Opened, Streams

STREAMS = 100
AT_ONCE = 10
LIMIT_S = 30.0
FIRST_EVENT_S = 0.5
CONNECTED = 95.0
SHOWN = 150


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--probe", metavar="URL", required=True, help="the address of the stream")
    parser.add_argument("--body", help="the body of the request, as JSON; makes a POST of it")
    parser.add_argument(
        "--event", metavar="NAME", default="", help="the first event with this name counts (default: of any name)"
    )
    parser.add_argument("--streams", type=int, default=STREAMS, help=f"how many streams (default: {STREAMS})")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"how many at once (default: {AT_ONCE})")
    parser.add_argument(
        "--limit", metavar="SECONDS", type=float, default=LIMIT_S, help=f"the longest stream (default: {LIMIT_S:g})"
    )
    parser.add_argument(
        "--first-event-at-most",
        metavar="SECONDS",
        type=float,
        default=FIRST_EVENT_S,
        help=f"the 95th percentile of the time to the first event (default: {FIRST_EVENT_S:g})",
    )
    parser.add_argument(
        "--connected-at-least",
        metavar="PERCENT",
        type=float,
        default=CONNECTED,
        help=f"the least share of streams that are answered to their end (default: {CONNECTED:g})",
    )


async def rehearse(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    """Open all streams, and judge them together."""
    if args.streams < 1 or args.at_once < 1:
        raise UsageError("write a number of at least 1 after --streams and --at-once")
    limits = Limits(
        streams=args.streams,
        at_once=args.at_once,
        limit_s=args.limit,
        first_event_s=args.first_event_at_most,
        connected=args.connected_at_least / 100,
    )
    connector = aiohttp.TCPConnector(limit=0, force_close=True)  # each stream has a connection of its own
    timeout = aiohttp.ClientTimeout(total=args.limit)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        streams = Streams(open=_opening(args, http), limits=limits, opened=[])
        outcome = await run(streams.experiment(), asked.told)
    return asked.about.rehearsal(
        ok=outcome.ok,
        runs=len(streams.opened),
        succeeded=sum(not one.why for one in streams.opened),
        first_event_s=streams.first_event_s,
        connected=streams.connected,
        why=outcome.why,
    )


def _opening(args: argparse.Namespace, http: aiohttp.ClientSession) -> Open:
    """A stream as a user opens one."""
    headers = {"Accept": "text/event-stream"} | ({} if args.body is None else {"Content-Type": "application/json"})

    async def open_one() -> Opened:
        begun, first = time.monotonic(), None
        try:
            async with http.request(
                "GET" if args.body is None else "POST", args.probe, data=args.body, headers=headers
            ) as answer:
                if answer.status != 200 or answer.content_type != "text/event-stream":
                    said = (await answer.read())[:SHOWN].decode(errors="replace")
                    return Opened(why=plain(f"answered {answer.status} {answer.content_type}: {said}", 200))
                parser = Parser()
                async for chunk in answer.content.iter_any():
                    events = parser.feed(chunk)
                    if first is None and any(args.event in ("", event.name) for event in events):
                        first = time.monotonic() - begun
        except (aiohttp.ClientError, TimeoutError, StreamTooLargeError) as error:
            return Opened(first_event_s=first, why=plain(f"{type(error).__name__} {error}", 200))
        return Opened(first_event_s=first, why="" if first is not None else "the stream ended without such an event")

    return open_one
