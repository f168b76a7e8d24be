"""A client that sends orders, and records which release answers and how often it fails.

Also a program of its own: `python -m freezeline.demo.load --url http://shop:8080`.
"""

import argparse
import asyncio
from collections import deque
from collections.abc import Callable

import aiohttp
from msgspec import Struct, field

from freezeline.demo.switch import RELEASE_HEADER

WINDOW = 100
"""The failure ratio is told over this many of the last requests."""

REQUEST_TIMEOUT_S = 5.0


class Answer(Struct, frozen=True, kw_only=True):
    """One answered request. Without an answer, the request has no release, and failed."""

    release: str
    failed: bool


class Load(Struct, kw_only=True):
    """Sends `per_second` requests evenly, and passes each answer to `seen`."""

    http: aiohttp.ClientSession
    url: str
    per_second: float
    seen: Callable[[Answer], None]
    sent: int = 0
    last: deque[Answer] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def failure_ratio(self) -> float:
        """The share of failures among the last requests; 0 before the first."""
        return sum(answer.failed for answer in self.last) / max(len(self.last), 1)

    async def run(self) -> None:
        """Send until cancelled. A slow answer delays no other request; every request gets its answer before the end."""
        clock = asyncio.get_running_loop().time
        due_at = clock()
        async with asyncio.TaskGroup() as under_way:
            while True:
                due_at += 1 / self.per_second
                await asyncio.sleep(max(due_at - clock(), 0))
                under_way.create_task(self._one())

    async def _one(self) -> None:
        self.sent += 1
        try:
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            async with self.http.get(f"{self.url}/order", timeout=timeout) as answer:
                await answer.read()
                seen = Answer(release=answer.headers.get(RELEASE_HEADER, ""), failed=answer.status >= 500)
        except (aiohttp.ClientError, TimeoutError):
            seen = Answer(release="", failed=True)
        self.last.append(seen)
        self.seen(seen)


async def _send(url: str, per_second: float) -> None:
    async with aiohttp.ClientSession() as http:
        await Load(http=http, url=url, per_second=per_second, seen=lambda _answer: None).run()


def main() -> None:
    """Send orders until TERM."""
    parser = argparse.ArgumentParser(description="the demo's customers")
    parser.add_argument("--url", required=True, help="the address of the shop")
    parser.add_argument("--per-second", type=float, default=20.0, help="so many orders a second")
    args = parser.parse_args()
    asyncio.run(_send(args.url, args.per_second))


if __name__ == "__main__":
    main()
