"""The switch in front of the shop: `python -m freezeline.demo.switch --follow FILE v1=URL v2=URL`.

A reverse proxy that reads the name of the live release with each request. A change of the file switches the traffic.
"""

import argparse
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec import Struct

from freezeline.demo import listen

RELEASE_HEADER = "X-Release"
UPSTREAM_TIMEOUT_S = 5.0
_HTTP = web.AppKey("http", aiohttp.ClientSession)


class Switch(Struct, frozen=True, kw_only=True):
    """`follow` names the live release; `upstreams` has the address of each release."""

    follow: Path
    upstreams: Mapping[str, str]

    async def forward(self, request: web.Request) -> web.Response:
        """Pass a request to the live release, and its answer back."""
        release = self.follow.read_text().strip()
        upstream = self.upstreams.get(release)
        if upstream is None:
            return web.Response(status=503, text="no such release\n")
        try:
            async with request.app[_HTTP].request(request.method, f"{upstream}{request.path_qs}") as answer:
                body = await answer.read()
                return web.Response(status=answer.status, body=body, headers={RELEASE_HEADER: release})
        except (aiohttp.ClientError, TimeoutError):
            return web.Response(status=502, text="the release does not answer\n", headers={RELEASE_HEADER: release})


async def _session(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=UPSTREAM_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        app[_HTTP] = http
        yield


def main() -> None:
    """Serve until TERM."""
    parser = argparse.ArgumentParser(description="the demo's switch between two releases")
    parser.add_argument("--follow", type=Path, required=True, help="the file that names the live release")
    parser.add_argument("upstream", nargs="+", metavar="RELEASE=URL")
    listen.add_option(parser)
    args = parser.parse_args()
    host, port = listen.address(args.listen)
    upstreams = dict(pair.split("=", 1) for pair in args.upstream)
    app = web.Application()
    app.cleanup_ctx.append(_session)
    app.router.add_get("/{path:.*}", Switch(follow=args.follow, upstreams=upstreams).forward)
    listen.serve(app, port, host)


if __name__ == "__main__":
    main()
