"""The command behind `./dev workload`."""

import argparse
import asyncio
import sys
from pathlib import Path

import aiohttp

from examples.workload.run import stage as files
from examples.workload.run.load import Load
from examples.workload.run.servers import Servers, running
from freezeline.demo.lifetime import cancelled_by_signals, directory, in_background
from freezeline.demo.programs import DemoError, find
from freezeline.demo.stage import Stage

NEEDED = ("prometheus", "alertmanager", "haproxy", "redis-server")
HTTP_TIMEOUT_S = 10.0


def main() -> int:
    """Start everything, and wait for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="./dev workload", description=__doc__)
    parser.add_argument("--ratings", type=Path, help="MovieLens, as `python -m devtools.movielens` wrote it")
    parser.add_argument("--per-second", type=float, default=20.0, help="requests that users send (default: 20)")
    args = parser.parse_args()
    try:
        asyncio.run(_run(args.ratings, args.per_second))
    except DemoError as error:
        sys.stderr.write(f"workload: {error}\n")
        return 3
    except asyncio.CancelledError:
        print("everything has ended", flush=True)
    return 0


async def _run(ratings: Path | None, per_second: float) -> None:
    for tool in NEEDED:
        find(tool)  # before anything is made
    timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
    with directory() as root, cancelled_by_signals():
        print(f"setting up in {root}", flush=True)
        stage = files.built(root)
        async with aiohttp.ClientSession(timeout=timeout) as http, running(stage, http, ratings) as servers:
            load = Load(http=http, url=servers.front, per_second=per_second)
            async with in_background(load.run()):
                print(_where(stage, servers), flush=True)
                await asyncio.Event().wait()


def _where(stage: Stage, servers: Servers) -> str:
    """Where to look, and what to try."""
    policy = stage.policies / "slo.policy.json"
    run = f"./dev run canary run {policy} --release worse-model --speed 100"
    lines = ["everything is up", ""]
    lines += [f"  {name:<13}{address}" for name, address in servers.addresses().items()]
    lines += [
        f"  {'logs':<13}{stage.root}/*.log",
        "",
        "roll out a bad release (docs/workload.md lists the releases):",
        "",
        f"  {stage.root}/deploy.sh worse-model",
        f"  {run} \\",
        f"    --prometheus {servers.control.prometheus} --state {stage.state}",
        "",
        "Ctrl-C ends everything.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
