"""A gateway in front of a server of several tenants, as Mimir has: no answer without the right headers."""

import contextlib
import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

ELSEWHERE = "/elsewhere"  # requests below this path are sent on by a redirect


@contextlib.contextmanager
def gateway(url: str, wanted: Mapping[str, str]) -> Iterator[str]:
    """The gateway's URL. A request without the wanted headers gets 401; any other request goes on to `url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """Checks the headers, then forwards."""

        def do_GET(self) -> None:
            """Answer a request."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
            if self.path.startswith(ELSEWHERE):
                self.send_response(307)
                self.send_header("Location", self.path.removeprefix(ELSEWHERE))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if any(self.headers.get(name) != value for name, value in wanted.items()):
                self._answer(401, b"no org id\n")
                return
            kind = {"Content-Type": self.headers["Content-Type"]} if body is not None else {}
            forwarded = urllib.request.Request(url + self.path, data=body, headers=kind)
            try:
                with urllib.request.urlopen(forwarded, timeout=10) as response:
                    self._answer(response.status, response.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.read())

        def do_POST(self) -> None:
            """Answer a request with a body."""
            self.do_GET()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
