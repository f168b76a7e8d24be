"""How many durable webhooks a second the receiver takes, and how soon a flag is on disk.

Beside it, in the same run: a bare aiohttp handler that reads the body and answers 200, our receiver without caches
(`journal.exclusive: false`, no target), our receiver with one commit a request (in which lies all that the request
brings, the times of repeats too), and plain write + fsync + rename. Load comes from a process of its own; every body is
different and holds three alerts. `python -m benchmarks.receiver`; exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = (1, 8, 32, 128)
COMPARED_AT = 32
BARE_RATIO_MIN = 0.3
SINGLE_RATIO_MIN = 3.0
FLAG_RATIO_MAX = 5.0
START_S = 60.0
ALERTS = 1000
ROUNDS = 5
POLL_S = 0.0001
PREPARED_PER_S = 12_000
"""Requests made before the clock starts: more than any server here takes."""
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
NAMES = {
    "bare": "bare aiohttp, nothing kept",
    "grouped": "freezeline serve",
    "shared": "… asking the journal",
    "single": "one commit a request",
}
GROUP_MAX = 256

ALERT = (
    '{"status":"firing","labels":{"alertname":"Other%d","service":"shop","severity":"warning","instance":"10.0.0.%d:9100"},'
    '"annotations":{"summary":"value %d is above the limit","runbook_url":"https://runbooks.example.org/other"},'
    '"startsAt":"2026-11-21T08:17:42Z","endsAt":"0001-01-01T00:00:00Z",'
    '"generatorURL":"http://prometheus.example.org:9090/graph?g0.expr=x","fingerprint":"%016x"}'
)
BODY = (
    '{"receiver":"freezeline","status":"firing","alerts":[%s],"groupLabels":{},"commonLabels":{"service":"shop"},'
    '"commonAnnotations":{},"externalURL":"http://alertmanager.example.org:9093","version":"4",'
    '"groupKey":"{}:{}","truncatedAlerts":0}'
)


class Load(Struct, frozen=True, kw_only=True):
    """One run of load."""

    per_second: float
    p50_ms: float
    p99_ms: float


def body(number: int) -> bytes:
    """The body with this number: three of a thousand alerts, and a value that no other body has."""
    first = number * 3
    alerts = (ALERT % (n % ALERTS, n % 250, number, n % ALERTS + 1) for n in range(first, first + 3))
    return (BODY % ",".join(alerts)).encode()


# load, in a process of its own


def _requests(host: str, token: str, numbers: Iterator[int]) -> Iterator[bytes]:
    head = f"POST /webhook HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n".encode()
    head += b"Content-Type: application/json\r\nUser-Agent: Alertmanager/0.34.2\r\n"
    for number in numbers:
        data = body(number)
        yield head + b"Content-Length: %d\r\n\r\n" % len(data) + data


def _is_whole(answer: bytes) -> bool:
    """Whether an answer has come to its end. Raises SystemExit where it is not 200."""
    head, end, rest = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    found = LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200") or found is None:
        raise SystemExit(f"the server answered {answer[:100]!r}")
    return len(rest) >= int(found[1])


def _load(url: str, token: str, connections: int, seconds: float, first: int) -> Load:
    """Keep each connection busy. Nothing but sockets: what load costs is taken from what it measures."""
    host, _, port = url.removeprefix("http://").partition(":")
    requests = _requests(f"{host}:{port}", token, iter(range(first, first + 10**9)))
    ready = list(itertools.islice(requests, int(PREPARED_PER_S * seconds)))
    ready.reverse()
    times: list[float] = []
    sockets = [socket.create_connection((host, int(port)), timeout=START_S) for _ in range(connections)]
    sent: dict[int, float] = {}
    got: dict[int, bytes] = {}
    poll = select.epoll()
    by_fd = {one.fileno(): one for one in sockets}
    begun = time.perf_counter()
    for fd, one in by_fd.items():
        poll.register(fd, select.EPOLLIN)
        sent[fd] = time.perf_counter()
        one.sendall(ready.pop())
    while sent:
        for fd, _event in poll.poll(START_S):
            piece = by_fd[fd].recv(65536)
            if not piece:
                raise SystemExit("the server closed a connection")
            answer = got.pop(fd, b"") + piece
            if not _is_whole(answer):
                got[fd] = answer
                continue
            now = time.perf_counter()
            times.append(now - sent.pop(fd))
            if now < begun + seconds:
                request = ready.pop() if ready else next(requests)
                sent[fd] = time.perf_counter()
                by_fd[fd].sendall(request)
    spent = time.perf_counter() - begun
    for one in sockets:
        one.close()
    times.sort()
    return Load(
        per_second=len(times) / spent,
        p50_ms=1000 * times[len(times) // 2],
        p99_ms=1000 * times[len(times) * 99 // 100],
    )


def load_process(url: str, token: str, *, connections: int, seconds: float, first: int) -> Load:
    """Load from another process."""
    command = [sys.executable, "-m", "benchmarks.receiver", "--load", url, str(connections), str(seconds), str(first)]
    # Not an argument: it may begin with a dash.
    environment = {**os.environ, "BENCH_TOKEN": token}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return Load(**json.loads(done.stdout))


# servers


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
    command = [sys.executable, "-m", "benchmarks.receiver", "--serve", kind, str(directory)]
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


# measurements


def throughput(root: Path, connections: tuple[int, ...], seconds: float, rounds: int) -> dict[str, dict[int, Load]]:
    """Load on each kind of server in turns, so that what else the machine does falls on all; medians of the rounds."""
    found: dict[str, dict[int, list[Load]]] = {kind: {count: [] for count in connections} for kind in NAMES}
    with ExitStack() as stack:
        servers = {}
        for kind in NAMES:
            directory = root / kind
            directory.mkdir()
            prepare(directory)
            url = stack.enter_context(server(kind, directory))
            path = directory / "state" / "tokens" / "webhook"
            servers[kind] = (url, path.read_text() if path.exists() else "none")
            load_process(*servers[kind], connections=8, seconds=1.0, first=10**9)  # warm up
        for number in range(rounds):
            for count in connections:
                for kind, (url, token) in servers.items():
                    first = (number * 1000 + count) * 10**6
                    load = load_process(url, token, connections=count, seconds=seconds / rounds, first=first)
                    found[kind][count].append(load)
    return {kind: {count: _median(loads) for count, loads in by.items()} for kind, by in found.items()}


def _median(loads: list[Load]) -> Load:
    return Load(
        per_second=median(load.per_second for load in loads),
        p50_ms=median(load.p50_ms for load in loads),
        p99_ms=median(load.p99_ms for load in loads),
    )


def send(connection: http.client.HTTPConnection, path: str, token: str, data: bytes) -> None:
    """POST a body. The answer is still to be read."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", path, data, headers)


def post(connection: http.client.HTTPConnection, path: str, token: str, data: bytes) -> None:
    """POST a body, and read the answer."""
    send(connection, path, token, data)
    connection.getresponse().read()


def _firing(number: int) -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": "FailureRateHigh", "service": "gateway", "number": str(number)},
        "annotations": {"summary": "failure rate 2.31 % > 0.5 %"},
        "startsAt": "2026-11-21T08:17:42Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number + 2**60:016x}",
    }
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


def _plain_write(directory: Path, text: bytes) -> float:
    begun = time.perf_counter()
    temporary = directory / "plain.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, text)
    os.fsync(fd)
    os.close(fd)
    temporary.rename(directory / "plain")
    return time.perf_counter() - begun


def _until(what: str, is_so: Callable[[], bool], poll_s: float = POLL_S) -> float:
    """Wait for something; when it was so."""
    end = time.monotonic() + 30
    while not is_so():
        time.sleep(poll_s)  # a busy loop would take a core from what it measures
        if time.monotonic() > end:
            raise SystemExit(f"not in 30 s: {what}")
    return time.perf_counter()


def _until_at_rest(journal: Path) -> None:
    """An alert finds the receiver with nothing else to do, as nearly always; and so does the plain write."""
    from receiver.journal import open_view  # noqa: PLC0415 - as above

    view, connection = open_view(journal)
    _until("the receiver is at rest", lambda: not view.unfinished_actions(), 10 * POLL_S)
    connection.close()


def to_flag(directory: Path, kind: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds from POST to the flag's being visible, and of write + fsync + rename, in turns."""
    directory.mkdir()
    prepare(directory)
    flag = directory / "flags" / "FREEZE.FLAG"
    flags, writes = [], []
    with server(kind, directory) as url:
        webhook, operate = ((directory / "state" / "tokens" / role).read_text() for role in ("webhook", "operate"))
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        for number in range(rounds + 10):
            data = _firing(number)
            begun = time.perf_counter()
            send(connection, "/webhook", webhook, data)
            there = _until("the flag is there", flag.exists)
            connection.getresponse().read()
            flags.append(there - begun)
            text = flag.read_bytes()
            post(connection, "/api/v1/unfreeze", operate, b'{"service": "gateway", "reason": "bench"}')
            _until("the flag is gone", lambda: not flag.exists())
            _until_at_rest(directory / "state" / "journal.db")
            writes.append(_plain_write(directory, text))
    return sorted(flags[10:]), sorted(writes[10:])


def p99(sorted_times: list[float]) -> float:
    """The 99th percentile."""
    return sorted_times[len(sorted_times) * 99 // 100]


def report(seconds: float, rounds: int) -> dict[str, Any]:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix="freezeline-bench-") as name:
        directory = Path(name)
        kinds = throughput(directory, CONNECTIONS, seconds, ROUNDS)
        flags, writes = to_flag(directory / "flag", "grouped", rounds)
        shared_flags, _ = to_flag(directory / "shared-flag", "shared", rounds)
    ours = kinds["grouped"][COMPARED_AT].per_second
    shared = kinds["shared"][COMPARED_AT].per_second
    return {
        "load": {kind: {str(n): asdict(load) for n, load in loads.items()} for kind, loads in kinds.items()},
        "of_bare": ours / kinds["bare"][COMPARED_AT].per_second,
        "shared_of_bare": shared / kinds["bare"][COMPARED_AT].per_second,
        "shared_of_exclusive": shared / ours,
        "of_single": ours / kinds["single"][COMPARED_AT].per_second,
        "flag_p50_ms": 1000 * flags[len(flags) // 2],
        "flag_p99_ms": 1000 * p99(flags),
        "shared_flag_p50_ms": 1000 * shared_flags[len(shared_flags) // 2],
        "shared_flag_p99_ms": 1000 * p99(shared_flags),
        "write_p50_ms": 1000 * writes[len(writes) // 2],
        "write_p99_ms": 1000 * p99(writes),
        "of_write": p99(flags) / p99(writes),
    }


def show(found: dict[str, Any]) -> bool:
    """Print the tables; whether every target is met."""
    load = found["load"]
    print(f"{'3 alerts a request':<28}{'connections':>12}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
    for kind, loads in load.items():
        for count, one in loads.items():
            print(f"{NAMES[kind]:<28}{count:>12}{one['per_second']:>12.0f}{one['p50_ms']:>9.2f}{one['p99_ms']:>9.2f}")
    print(f"POST → flag: p50 {found['flag_p50_ms']:.2f} ms, p99 {found['flag_p99_ms']:.2f} ms")
    print(f"… asking the journal: p50 {found['shared_flag_p50_ms']:.2f} ms, p99 {found['shared_flag_p99_ms']:.2f} ms")
    print(f"write + fsync + rename: p50 {found['write_p50_ms']:.2f} ms, p99 {found['write_p99_ms']:.2f} ms")
    targets = (
        (f"of bare aiohttp at {COMPARED_AT}", found["of_bare"], ">=", BARE_RATIO_MIN),
        (f"of one commit a request at {COMPARED_AT}", found["of_single"], ">=", SINGLE_RATIO_MIN),
        ("POST → flag p99 of a plain write's", found["of_write"], "<=", FLAG_RATIO_MAX),
    )
    print(f"… asking the journal: {found['shared_of_bare']:.2f} × of bare aiohttp at {COMPARED_AT}, ", end="")
    print(f"{found['shared_of_exclusive']:.2f} × of freezeline serve (no target)")
    met = True
    for what, value, op, bound in targets:
        good = value >= bound if op == ">=" else value <= bound
        met = met and good
        print(f"{'ok  ' if good else 'MISS'} {value:.2f} × {what} (target {op} {bound:g})")
    return met


def main(argv: list[str]) -> int:
    """Measure, or be one of the processes that measuring starts."""
    parser = argparse.ArgumentParser(prog="benchmarks.receiver", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load at each number of connections")
    parser.add_argument("--rounds", type=int, default=300, help="flags to write")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.load:
        url, connections, seconds, first = args.load
        print(json.dumps(asdict(_load(url, os.environ["BENCH_TOKEN"], int(connections), float(seconds), int(first)))))
        return 0
    if args.serve:
        kind, directory = args.serve
        if kind == "bare":
            _serve_bare()
        return _serve_ours(Path(directory), kind)
    found = report(args.seconds, args.rounds)
    if args.json:
        print(json.dumps(found))
        return 0
    return 0 if show(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
