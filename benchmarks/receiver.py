"""How many durable webhooks a second the receiver takes, and how soon a flag is on disk.

Beside it, in the same run: a bare aiohttp handler that reads the body and answers 200, our receiver without caches
(`journal.exclusive: false`, no target), our receiver with one commit a request (in which lies all that the request
brings, the times of repeats too), and plain write + fsync + rename. Load comes from a process of its own; every body is
different and holds three alerts. `python -m benchmarks.receiver`; exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
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
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from benchmarks.serving import ROOT, START_S, prepare, server
from benchmarks.to_flag import p99, to_flag

CONNECTIONS = (1, 8, 32, 128)
COMPARED_AT = 32
BARE_RATIO_MIN = 0.3
SINGLE_RATIO_MIN = 3.0
FLAG_RATIO_MAX = 5.0
ALERTS = 1000
ROUNDS, ROUND_S = 15, 1.0
"""Rounds of load at `COMPARED_AT`. A machine's speed swings by a fifth from second to second, so each round compares.

Only every fifth round loads with the other numbers of connections too.
"""

PREPARED_PER_S = 12_000
"""Requests made before the clock starts: more than any server here takes."""
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
NAMES = {
    "bare": "bare aiohttp, nothing kept",
    "grouped": "freezeline serve",
    "shared": "… asking the journal",
    "single": "one commit a request",
}

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


# measurements


def throughput(root: Path, connections: tuple[int, ...], seconds: float) -> dict[str, dict[int, list[Load]]]:
    """Load on each kind of server in turns, so that what else the machine does falls on all; the rounds in order."""
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
        for number in range(ROUNDS):
            for count in connections if number % 5 == 0 else (COMPARED_AT,):
                for kind, (url, token) in servers.items():
                    first = (number * 1000 + count) * 10**6
                    load = load_process(url, token, connections=count, seconds=seconds, first=first)
                    found[kind][count].append(load)
    return found


def _median(loads: list[Load]) -> Load:
    return Load(
        per_second=median(load.per_second for load in loads),
        p50_ms=median(load.p50_ms for load in loads),
        p99_ms=median(load.p99_ms for load in loads),
    )


def _ratio(ours: dict[int, list[Load]], theirs: dict[int, list[Load]]) -> float:
    """How many times as many requests a second ours takes: the median of what each round says."""
    pairs = zip(ours[COMPARED_AT], theirs[COMPARED_AT], strict=True)
    return median(one.per_second / other.per_second for one, other in pairs)


def report(seconds: float, flags_written: int) -> dict[str, Any]:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix="freezeline-bench-") as name:
        directory = Path(name)
        kinds = throughput(directory, CONNECTIONS, seconds)
        flags, writes = to_flag(directory / "flag", "grouped", flags_written)
        shared_flags, _ = to_flag(directory / "shared-flag", "shared", flags_written)
    return {
        "load": {kind: {str(n): asdict(_median(loads)) for n, loads in by.items()} for kind, by in kinds.items()},
        "of_bare": _ratio(kinds["grouped"], kinds["bare"]),
        "shared_of_bare": _ratio(kinds["shared"], kinds["bare"]),
        "shared_of_exclusive": _ratio(kinds["shared"], kinds["grouped"]),
        "of_single": _ratio(kinds["grouped"], kinds["single"]),
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
    parser.add_argument("--seconds", type=float, default=ROUND_S, help="of load in each round")
    parser.add_argument("--flags", type=int, default=1000, help="flags to write")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.load:
        url, connections, seconds, first = args.load
        print(json.dumps(asdict(_load(url, os.environ["BENCH_TOKEN"], int(connections), float(seconds), int(first)))))
        return 0
    found = report(args.seconds, args.flags)
    if args.json:
        print(json.dumps(found))
        return 0
    return 0 if show(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
