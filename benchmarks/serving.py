"""The servers that benchmarks measure, each in a process of its own, and how a benchmark speaks to them.

`python -m benchmarks.serving KIND DIRECTORY` is such a process.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_S = 60.0


def _serve_bare() -> None:
    from aiohttp import web  # noqa: PLC0415 - each server process loads only what it serves with

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/webhook", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", file=sys.stderr, flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def _serve_ours(directory: Path, kind: str) -> int:
    from receiver.journal import GROUP_MAX  # noqa: PLC0415 - as above
    from receiver.serve import Options, serve  # noqa: PLC0415 - as above

    options = Options(
        policy_dir=directory / "policy", state_dir=directory / "state", config=None, host="127.0.0.1", port=0
    )
    exclusive = "false" if kind == "shared" else "true"
    environment = {"FREEZELINE_CHANNELS": "{log: {type: log}}", "FREEZELINE_JOURNAL_EXCLUSIVE": exclusive}
    return serve(options, environment, group_max=1 if kind == "single" else GROUP_MAX)


@contextmanager
def server(kind: str, directory: Path) -> Iterator[str]:
    """A server in a process of its own; gives its address."""
    with process_of(kind, directory) as (url, _):
        yield url


@contextmanager
def process_of(kind: str, directory: Path) -> Iterator[tuple[str, int]]:
    """Do as `server`, and give the number of the process too."""
    command = [sys.executable, "-m", "benchmarks.serving", kind, str(directory)]
    log = directory / f"{kind}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stderr=output)
    try:
        end = time.monotonic() + START_S
        mark = "listening on "
        while mark not in log.read_text():
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"{kind} did not start: {log.read_text()}")
            time.sleep(0.05)
        yield log.read_text().partition(mark)[2].split()[0], process.pid
    finally:
        process.terminate()
        process.wait(60)


def prepare(directory: Path) -> None:
    """A policy with a flag and nothing else."""
    (directory / "policy").mkdir(parents=True)
    policy = {
        "format": "freezeline.policy/2",
        "name": "bench",
        "service": "gateway",
        "rules": [
            {
                "id": "frozen",
                "match": [{"label": "service", "op": "=", "value": "gateway"}],
                "do": ["freeze"],
                "unfreeze": {"resolved_for_s": 3600},
            }
        ],
        "actions": {"freeze": {"type": "freeze", "flag": str(directory / "flags" / "FREEZE.FLAG")}},
    }
    path = directory / "policy" / "bench.policy.json"
    path.write_text(json.dumps(policy))
    path.chmod(0o644)


# requests


def send(connection: http.client.HTTPConnection, path: str, token: str, data: bytes) -> None:
    """POST a body together with its headers, as Alertmanager does. The answer is still to be read."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if connection.sock is None:
        connection.connect()
    # http.client would send two segments, and the receiver would begin twice.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    connection.request("POST", path, data, headers)
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def post(connection: http.client.HTTPConnection, path: str, token: str, data: bytes) -> None:
    """POST a body, and read the answer."""
    send(connection, path, token, data)
    connection.getresponse().read()


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        _serve_bare()
    sys.exit(_serve_ours(Path(sys.argv[2]), sys.argv[1]))
