"""One release of the demo's shop, as a program of its own: `python -m freezeline.demo.service --release v2 …`.

The shop serves `/order`, fails the given share of requests evenly, and counts both results for Prometheus.
"""

import argparse

from aiohttp import web
from msgspec import Struct, field

from freezeline.demo import listen


class Shop(Struct, kw_only=True):
    """The counters of one release. The failure series starts at 0, and its first failure counts."""

    release: str
    failure_ratio: float
    owed_failures: float = 0.0
    served: dict[str, int] = field(default_factory=lambda: {"200": 0, "500": 0})

    async def order(self, _request: web.Request) -> web.Response:
        """Accept an order, or fail."""
        self.owed_failures += self.failure_ratio
        failed = self.owed_failures >= 1
        if failed:
            self.owed_failures -= 1
        code = "500" if failed else "200"
        self.served[code] += 1
        text = f"release {self.release} lost your order\n" if failed else f"thank you, says release {self.release}\n"
        return web.Response(status=int(code), text=text)

    async def metrics(self, _request: web.Request) -> web.Response:
        """The counters as Prometheus text."""
        lines = ["# HELP http_requests_total Requests by status code.", "# TYPE http_requests_total counter"]
        lines += [f'http_requests_total{{code="{code}"}} {count}' for code, count in self.served.items()]
        return web.Response(text="\n".join(lines) + "\n", headers={"Content-Type": "text/plain; version=0.0.4"})


def main() -> None:
    """Serve until TERM."""
    parser = argparse.ArgumentParser(description="one release of the demo's shop")
    parser.add_argument("--release", required=True)
    parser.add_argument("--failure-ratio", type=float, default=0.0)
    listen.add_option(parser)
    args = parser.parse_args()
    host, port = listen.address(args.listen)
    shop = Shop(release=args.release, failure_ratio=args.failure_ratio)
    app = web.Application()
    app.add_routes([web.get("/order", shop.order), web.get("/metrics", shop.metrics)])
    listen.serve(app, port, host)


if __name__ == "__main__":
    main()
