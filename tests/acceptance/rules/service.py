"""A small real service: answers over HTTP, fails as it is told, counts what it answered, and is scraped for it."""

import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service:
    """Requests that were answered, by code. `fail_every` = 3 fails each third one; 0 fails none."""

    def __init__(self) -> None:
        self.fail_every = 0
        self.paused = False  # the client sends nothing
        self.answered: Counter[str] = Counter()
        self.address = ""
        self._lock = threading.Lock()
        self._number = 0

    def answer(self) -> int:
        """Decide and count one request."""
        with self._lock:
            self._number += 1
            failed = self.fail_every > 0 and self._number % self.fail_every == 0
            code = 500 if failed else 200
            self.answered[str(code)] += 1
            return code

    def metrics(self) -> str:
        """The counters in Prometheus' text format."""
        with self._lock:
            lines = [f'http_requests_total{{code="{code}"}} {count}' for code, count in sorted(self.answered.items())]
        return "\n".join(["# TYPE http_requests_total counter", *lines]) + "\n"


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = (200, service.metrics()) if self.path == "/metrics" else (service.answer(), "done\n")
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """A test's output is no access log."""

    return Handler


@contextlib.contextmanager
def running(per_second: float) -> Iterator[Service]:
    """The service with a client that sends it so many requests a second, until the context ends."""
    service = Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    service.address = f"127.0.0.1:{server.server_port}"
    stop = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}),
        threading.Thread(target=_send, args=(service, per_second, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield service
    finally:
        stop.set()
        threads[1].join(timeout=10)
        server.shutdown()
        threads[0].join(timeout=10)
        server.server_close()


def _send(service: Service, per_second: float, stop: threading.Event) -> None:
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        due += 1 / per_second
        if service.paused:
            continue
        with contextlib.suppress(urllib.error.HTTPError):  # a failed request is what was asked for
            urllib.request.urlopen(f"http://{service.address}/work", timeout=5).close()
