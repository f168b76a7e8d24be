"""A real nginx whose split of two releases is in a file of its own, made from the shipped templates."""

import contextlib
import http.client
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from release.policy.canary import RenderedFile
from release.traffic import template
from release.traffic.rendered import Rendered
from tests.balancers import free_ports
from tests.tools import ROOT, gone_with_us, program, stop
from tests.waiting import wait_until

TEMPLATES = ROOT / "examples" / "traffic"
CONFIG = """\
daemon off;
worker_processes 2;
worker_shutdown_timeout 1s;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  keepalive_requests 100000;
  include {root}/split.conf;
  server {{
    listen 127.0.0.1:{front};
    location / {{ proxy_pass http://$shop_release; }}
  }}
  server {{ listen 127.0.0.1:{stable}; location / {{ return 200 stable; }} }}
  server {{ listen 127.0.0.1:{canary}; location / {{ return 200 canary; }} }}
}}
"""
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


class Nginx:
    """nginx with both releases as servers of its own. `stable_at` and `canary_at` are the ports of other releases."""

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        users: tuple[str, ...] = (),
        stable_at: int | None = None,
        canary_at: int | None = None,
    ) -> None:
        self.root = root
        self.front, self.split_at, stable, canary = free_ports(4)
        self.file, self.template = root / "split.conf", root / name
        text = (TEMPLATES / name).read_text()
        ports = {"9001": stable_at or stable, "9002": canary_at or canary, "9003": self.split_at}
        for shipped, ours in ports.items():
            text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{ours}")
        self.template.write_text(text)
        self.config = root / "nginx.conf"
        self.config.write_text(CONFIG.format(root=root, front=self.front, stable=stable, canary=canary))
        self.file.write_text(template.render(text, Decimal(0), users))
        self.users = users
        self._argv = (str(program("nginx")), "-p", str(root), "-c", str(self.config), "-e", str(root / "error.log"))

    @property
    def reload(self) -> tuple[str, ...]:
        """The command that makes nginx read the file."""
        return (*self._argv, "-s", "reload")

    @property
    def read(self) -> tuple[str, ...]:
        """The command that prints the percentage that the running nginx uses."""
        return (sys.executable, "-c", READ, f"http://127.0.0.1:{self.split_at}/split")

    def adapter(self, **changes: object) -> Rendered:
        """The adapter of a policy for this nginx."""
        values = {
            "template": str(self.template),
            "file": str(self.file),
            "reload": self.reload,
            "read": self.read,
            "timeout_s": 10.0,
            "users": self.users,
        }
        return Rendered(RenderedFile(**{**values, **changes}), {"PATH": "/usr/sbin:/usr/bin:/bin"})  # type: ignore[arg-type]

    @contextlib.contextmanager
    def running(self) -> Iterator["Nginx"]:
        """Nginx from start to end."""
        log = self.root / "nginx.log"
        with log.open("ab") as output:
            process = subprocess.Popen(self._argv, stdout=output, stderr=output, cwd=self.root)
        with gone_with_us(process):
            wait_until(lambda: self._answers() or process.poll() is not None, 20, "nginx answers")
            assert process.poll() is None, log.read_text() + (self.root / "error.log").read_text()
            try:
                yield self
            finally:
                stop(process)

    def _answers(self) -> bool:
        try:
            return bool(self.get())
        except OSError:
            return False

    def get(self, user: str = "") -> str:
        """Which release answers one request."""
        return next(iter(self.split([user], keep_alive=False)))

    def split(self, users: list[str], *, keep_alive: bool = True, connections: int = 10) -> Counter[str]:
        """Send one request for each user by turns over some connections, and count the answers by release."""
        found: Counter[str] = Counter()
        kept = [self._connect() for _ in range(connections)] if keep_alive else []
        try:
            for number, user in enumerate(users):
                client = kept[number % connections] if keep_alive else self._connect()
                client.request("GET", "/", headers={"X-User": user} if user else {})
                found[client.getresponse().read().decode()] += 1
                if not keep_alive:
                    client.close()
        finally:
            for client in kept:
                client.close()
        return found

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.front, timeout=10)
