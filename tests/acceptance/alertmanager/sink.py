"""A small HTTP server that keeps every POST and says when it came."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from msgspec import Struct, field


class Post(Struct, frozen=True, kw_only=True):
    """One request: `at` is the monotonic clock, `body` its JSON."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    def alert_names(self) -> list[str]:
        """`alertname` of each alert, where it is a webhook of Alertmanager's."""
        return [alert["labels"]["alertname"] for alert in self.body["alerts"]]


class Sink(Struct, kw_only=True):
    """What came. Requests arrive on other threads: read `posts()`."""

    url: str = ""
    _posts: list[Post] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, post: Post) -> None:
        """Keep one."""
        with self._lock:
            self._posts.append(post)

    def posts(self, path: str = "") -> list[Post]:
        """Those to a path; all without one."""
        with self._lock:
            return [post for post in self._posts if path in ("", post.path)]

    def first(self, path: str, text: str) -> Post | None:
        """The first to a path whose body contains a text."""
        return next((post for post in self.posts(path) if text in json.dumps(post.body)), None)


@contextmanager
def running_sink() -> Iterator[Sink]:
    """Serve one on a free loopback port."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            post = Post(at=time.monotonic(), path=self.path, headers=dict(self.headers), body=json.loads(body))
            sink.add(post)
            answer = b'{"status": "success", "dedup_key": "x"}' if self.path == "/pagerduty" else b"ok"
            self.send_response(202 if self.path == "/pagerduty" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Tests show what they need themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
