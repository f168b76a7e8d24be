"""Asks services whether they are ready, each second, and exports what kube-state-metrics would: kube_pod_status_ready.

`python -m examples.workload.probes web-0=http://127.0.0.1:8080/ready`
"""

import argparse
import asyncio
import sys

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from examples.workload.serving import serve

EVERY_S = 1.0
TIMEOUT_S = 0.8


def main() -> int:
    """Serve until TERM."""
    parser = argparse.ArgumentParser(prog="python -m examples.workload.probes", description=__doc__)
    parser.add_argument("pods", nargs="+", metavar="POD=URL")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    pods = dict(one.split("=", 1) for one in args.pods)
    registry = CollectorRegistry()
    ready = Gauge("kube_pod_status_ready", "Whether a pod is ready.", ["condition", "pod"], registry=registry)

    async def metrics(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    asyncio.run(serve(app, args.port, [_watch(pods, ready)]))
    return 0


async def _watch(pods: dict[str, str], ready: Gauge) -> None:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        while True:
            for pod, url in pods.items():
                found = await _asked(http, url)
                ready.labels("true", pod).set(found)
                ready.labels("false", pod).set(not found)
            await asyncio.sleep(EVERY_S)


async def _asked(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(main())
