"""Real HAProxy and nginx for tests, on free ports of the loopback."""

import contextlib
import http.client
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.tools import gone_with_us, program, stop
from tests.waiting import wait_until

CONFIG = """\
global
  stats socket {socket} level admin
defaults
  mode {mode}
  timeout connect 1s
  timeout client 20s
  timeout server 20s
  {defaults}
backend shop
  {backend}
  server stable 127.0.0.1:{stable} weight 100
  server canary 127.0.0.1:{canary_at} weight 0
frontend front
  bind 127.0.0.1:{front}
  default_backend shop
frontend stable-release
  mode http
  bind 127.0.0.1:{stable}
  http-request return status 200 content-type text/plain string stable
frontend canary-release
  mode http
  bind 127.0.0.1:{canary}
  http-request return status 200 content-type text/plain string canary
"""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Proxy:
    """A running HAProxy whose backend `shop` has the servers `stable` and `canary`."""

    def __init__(
        self,
        directory: Path,
        *,
        backend: str = "balance roundrobin",
        mode: str = "http",
        defaults: str = "",
        canary_at: int | None = None,
    ) -> None:
        """Write the configuration. Both releases are frontends of the same HAProxy that answer with their name.

        `canary_at` is the port of another canary.
        """
        self.directory = directory
        self.socket = directory / "admin.sock"
        self.front, self.stable, self.canary = free_ports(3)
        self.config = directory / "haproxy.cfg"
        self.config.write_text(
            CONFIG.format(
                socket=self.socket,
                front=self.front,
                stable=self.stable,
                canary=self.canary,
                canary_at=canary_at or self.canary,
                backend=backend,
                mode=mode,
                defaults=defaults,
            )
        )

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """HAProxy from start to end."""
        self.socket.unlink(missing_ok=True)
        argv = [str(program("haproxy")), "-db", "-f", str(self.config)]
        log = self.directory / "haproxy.log"
        with log.open("ab") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=self.directory)
        with gone_with_us(process):
            wait_until(lambda: self._answers() or process.poll() is not None, 20, "haproxy answers")
            assert process.poll() is None, log.read_text()
            try:
                yield self
            finally:
                stop(process)

    def _answers(self) -> bool:
        try:
            return bool(self.get())
        except OSError:
            return False

    def get(self, headers: dict[str, str] | None = None) -> str:
        """Which release answers one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.front, timeout=5)
        try:
            connection.request("GET", "/", headers=headers or {})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def split(self, requests: int, *, keep_alive: bool = True, connections: int = 10) -> Counter[str]:
        """Send requests by turns over some connections, and count the answers by release."""
        found: Counter[str] = Counter()
        request = b"GET / HTTP/1.1\r\nHost: shop\r\n" + (b"" if keep_alive else b"Connection: close\r\n") + b"\r\n"
        kept = [self._connect() for _ in range(connections)] if keep_alive else []
        try:
            for number in range(requests):
                client = kept[number % connections] if keep_alive else self._connect()
                client.sendall(request)
                found[_body(client)] += 1
                if not keep_alive:
                    client.close()
        finally:
            for client in kept:
                client.close()
        return found

    def _connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.front), timeout=5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client


def _body(client: socket.socket) -> str:
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 6:
        more = client.recv(4096)
        assert more, answer
        answer += more
    return answer.partition(b"\r\n\r\n")[2].decode()
