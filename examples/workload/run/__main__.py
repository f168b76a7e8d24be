"""The command behind `./dev workload`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from examples.workload.run import stage as files
from examples.workload.run.servers import Servers, running
from freezeline.demo.lifetime import cancelled_by_signals, directory
from freezeline.demo.programs import DemoError, find
from freezeline.demo.stage import Stage

HTTP_TIMEOUT_S = 30.0


def main() -> int:
    """Start the chosen services, and wait for Ctrl-C."""
    args = _arguments()
    try:
        asyncio.run(_run(args.services or list(files.SERVICES), args.ratings, args.per_second))
    except DemoError as error:
        sys.stderr.write(f"workload: {error}\n")
        return 3
    except asyncio.CancelledError:
        print("everything has ended", flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev workload", description=__doc__)
    known = ", ".join(files.SERVICES)
    parser.add_argument("services", nargs="*", metavar="SERVICE", help=f"{known}; without a name, all of them")
    parser.add_argument("--ratings", type=Path, help="MovieLens, as `python -m devtools.movielens` wrote it")
    parser.add_argument(
        "--per-second",
        type=float,
        default=20.0,
        help="requests to the assistant (default: 20); scripts get a fifth of them, generation a twentieth",
    )
    args = parser.parse_args()
    unknown = sorted(set(args.services) - set(files.SERVICES))
    if unknown:
        parser.error(f"there is no service {', '.join(unknown)}; name some of {known}")
    if args.per_second <= 0:
        parser.error("--per-second takes a number above 0")
    args.services = list(dict.fromkeys(args.services))
    return args


async def _run(names: Sequence[str], ratings: Path | None, per_second: float) -> None:
    chosen = [files.SERVICES[name] for name in names]
    for tool in ("prometheus", "alertmanager"):
        find(tool)  # before anything is made
    if any(one.sides for one in chosen):
        find("haproxy")
    if any("redis" in one.needs for one in chosen):
        find("redis-server")
    timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
    with directory() as root, cancelled_by_signals():
        print(f"setting up in {root}", flush=True)
        stage = files.built(root, names)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            running(stage, http, names, ratings=ratings, per_second=per_second) as servers,
        ):
            print(_where(stage, servers), flush=True)
            await asyncio.Event().wait()


def _where(stage: Stage, servers: Servers) -> str:
    """Where to look, and what to try."""
    lines = ["everything is up", ""]
    lines += [f"  {name:<13}{address}" for name, address in servers.addresses().items()]
    lines += [f"  {'logs':<13}{stage.root}/*.log", ""]
    if "assistant" in servers.services:
        policy = stage.policies / "assistant-phase4.policy.json"
        lines += [
            "roll out a bad release of the assistant (docs/workload.md lists the releases):",
            "",
            f"  {stage.root}/assistant/deploy.sh worse-model",
            f"  ./dev run canary run {policy} --release worse-model --speed 100 \\",
            f"    --prometheus {servers.control.prometheus} --state {stage.state}",
            "",
        ]
    if servers.providers:
        fault = '{"openai": {"kind": "slow", "wait_s": 0.8}, "embeddings": {"kind": "slow", "wait_s": 0.8}}'
        lines += ["slow the vendors down:", "", f"  curl -d '{fault}' {servers.providers}/faults", ""]
    return "\n".join([*lines, "Ctrl-C ends everything."])


if __name__ == "__main__":
    sys.exit(main())
