"""Versions of a service that are really served, and clients that send them requests."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

EDGES = (0.05, 0.1, 0.25, 0.5, 1.0)
CLIENTS = 8
REQUEST = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


class Version:
    """One running version: how it behaves, and what it has counted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fail_every = 0
        self.delay_s = 0.01
        self.memory = 0.3
        self.broken = 0
        self.port = 0
        self._lock = threading.Lock()
        self._codes: Counter[int] = Counter({200: 0})
        self._buckets: Counter[float] = Counter()
        self._spent_s = 0.0
        self._number = 0

    def renamed(self, name: str) -> None:
        """Another version is deployed in this place: its counters begin at nothing."""
        with self._lock:
            self.name, self.fail_every, self.delay_s, self.memory, self.broken = name, 0, 0.01, 0.3, 0
            self._codes, self._buckets, self._spent_s = Counter({200: 0}), Counter(), 0.0

    def answer(self) -> int:
        """Work on one request, and count it."""
        begun = time.monotonic()
        time.sleep(self.delay_s)
        with self._lock:
            self._number += 1
            code = 500 if self.fail_every and self._number % self.fail_every == 0 else 200
            spent = time.monotonic() - begun
            self._codes[code] += 1
            self._buckets[next((edge for edge in EDGES if spent <= edge), float("inf"))] += 1
            self._spent_s += spent
        return code

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return sum(self._codes.values())

    def metrics(self) -> str:
        """Prometheus' text format."""
        with self._lock:
            version, count, lines = f'version="{self.name}"', 0, []
            for code, number in sorted(self._codes.items()):
                lines.append(f'shop_requests_total{{code="{code}",{version}}} {number}')
            for edge in (*EDGES, float("inf")):
                count += self._buckets[edge]
                le = "+Inf" if edge == float("inf") else f"{edge:g}"
                lines.append(f'shop_request_duration_seconds_bucket{{le="{le}",{version}}} {count}')
            lines += [
                f"shop_request_duration_seconds_count{{{version}}} {count}",
                f"shop_request_duration_seconds_sum{{{version}}} {self._spent_s}",
                f"shop_memory_ratio{{{version}}} {self.memory}",
                f"shop_broken{{{version}}} {self.broken}",
            ]
        return "\n".join(lines) + "\n"


class Release(Protocol):
    """What can be served: a name, the port to listen on, and the work on one request."""

    name: str
    port: int

    def answer(self) -> int:
        """Work on one request, and count it."""

    def metrics(self) -> str:
        """Prometheus' text format."""


def _handler(version: Release) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # HAProxy ends the sessions of a canary that is taken back
                super().handle()

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/health":
                code, body = 200, "ok"
            elif self.path == "/metrics":
                code, body = 200, version.metrics()
            else:
                code, body = version.answer(), version.name
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """A test's output is no access log."""

    return Handler


@contextlib.contextmanager
def served(version: Release) -> Iterator[None]:
    """The version from start to end, on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", version.port), _handler(version))
    server.daemon_threads = True
    version.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


@contextlib.contextmanager
def loaded(port: int, per_second: float, request: str = REQUEST) -> Iterator[Counter[str]]:
    """Clients that keep their connections and send so many requests a second; counts the codes that they got."""
    ended = threading.Event()
    found: Counter[str] = Counter()
    threads = [
        threading.Thread(target=_client, args=(port, request.encode(), per_second / CLIENTS, ended, found))
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ended.set()
        for thread in threads:
            thread.join(timeout=30)


def _client(port: int, request: bytes, per_second: float, ended: threading.Event, found: Counter[str]) -> None:
    due = time.monotonic()
    with contextlib.ExitStack() as kept:
        connection: socket.socket | None = None
        while not ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / per_second, time.monotonic() - 1)
            try:
                if connection is None:
                    connection = kept.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                connection.sendall(request)
                answer = connection.recv(65536)
                found[answer[9:12].decode() or "closed"] += 1
            except OSError:
                answer = b""
                found["refused"] += 1
            if not answer:
                kept.close()
                connection = None
